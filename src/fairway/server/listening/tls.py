"""TLS: certificates in files become contexts for listening sockets, again and again."""

import contextlib
import contextvars
import dataclasses
import os
import re
import ssl
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final, Self

#: What is offered to clients that ask which protocols there are (RFC 7301).
PROTOCOLS: Final = ("http/1.1",)
#: What ``tls_minimum_version`` may be.
VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
#: What ``tls_client_certificates`` may be.
CLIENT_CERTIFICATES: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}

_FIRST_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
#: The ssl module does not tell which certificate a context shows.
_shown: Final[weakref.WeakKeyDictionary[ssl.SSLContext, str]] = weakref.WeakKeyDictionary()


#: What sends the last words of the handshake that is being given something, if it fails.
last_words: Final[contextvars.ContextVar[Callable[[bytes], object] | None]] = (
    contextvars.ContextVar("last_words", default=None)
)


class Handshake(ssl.SSLObject):
    """TLS on one connection, whose client is told why its handshake fails.

    "SHOULD send an appropriate fatal alert" (RFC 8446 §6.2). OpenSSL writes one, but the event
    loops close the connection before they would send it.
    """

    _tell: Callable[[bytes], object] | None = None
    _outgoing: ssl.MemoryBIO | None = None

    @classmethod
    def _create(  # the one place where it learns what it writes to
        cls, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **options: Any
    ) -> Self:
        created: Self = super()._create(incoming, outgoing, *args, **options)  # type: ignore[misc]  # typeshed lacks it
        created._outgoing = outgoing
        return created

    def do_handshake(self) -> None:
        """Go on with the handshake.

        Raises:
            ssl.SSLError: It needs more of the client, or it has failed.
        """
        self._tell = last_words.get() or self._tell
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            if self._tell is not None and self._outgoing is not None:
                self._tell(self._outgoing.read())
            self._tell = self._outgoing = None
            raise
        self._tell = self._outgoing = None


class TLSError(ValueError):
    """A certificate, key or parameter file cannot be used; the message says which and why."""


class PasswordError(TLSError):
    """A private key is encrypted, and the password is missing or wrong."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """PEM files that prove who the server is.

    Attributes:
        certificate: The server's certificate, mostly with those behind it that lead to a root.
        key: Its private key; None if it is in the same file.
        password: What the key is encrypted with; None if it is not.
        chain: Certificates behind the server's own, if they are in a file of their own.
        dh_parameters: For key exchanges over finite fields, which clients of today do not need.
    """

    certificate: str
    key: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)
    chain: str | None = None
    dh_parameters: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is agreed on with clients, whichever certificate they are shown.

    Attributes:
        minimum_version: ``"1.2"`` (RFC 5246) or ``"1.3"`` (RFC 8446).
        ciphers: The suites for TLS 1.2 in OpenSSL's words; None for Python's choice, which has
            forward secrecy and authenticated encryption only. Those of TLS 1.3 are all good.
        client_ca: PEM file with the authorities that sign certificates of clients.
        client_certificates: ``"none"``, ``"optional"`` or ``"required"``.
        protocols: What is offered to clients that ask which protocols there are (RFC 7301).
    """

    minimum_version: str = "1.2"
    ciphers: str | None = None
    client_ca: str | None = None
    client_certificates: str = "none"
    protocols: tuple[str, ...] = PROTOCOLS


#: What is agreed on unless somebody says otherwise.
DEFAULT_POLICY: Final = Policy()


class TLS:
    """What greets the clients of listening sockets, from files that can be read again.

    Args:
        files: The certificate.
        policy: What is agreed on.

    Attributes:
        files: As given.
    """

    def __init__(self, files: Certificate, policy: Policy = DEFAULT_POLICY) -> None:
        self.files = files
        self._policy = policy
        self._context: ssl.SSLContext | None = None

    @property
    def context(self) -> ssl.SSLContext:
        """For the next handshake; connections that exist keep the one that they began with.

        Raises:
            TLSError: :meth:`load` was not called before, and fails now.
        """
        if self._context is None:
            self.load()
            assert self._context is not None
        return self._context

    def load(self) -> None:
        """Read the files, the first time or again: after a renewal, say. Idempotent.

        Raises:
            TLSError: One of them is missing, is none of its kind, or does not fit the others. What
                was loaded before stays in force.
        """
        self._context = make_context(self.files, self._policy)


def make_context(files: Certificate, policy: Policy = DEFAULT_POLICY) -> ssl.SSLContext:
    """What listens with a certificate. The files are read now, and not again.

    Raises:
        TLSError: One of them is missing, is none of its kind, or does not fit the others; or the
            policy names ciphers that do not exist.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = Handshake
    context.minimum_version = VERSIONS[policy.minimum_version]
    # A client of TLS 1.2 could otherwise ask for a new handshake, the costly part, at will.
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(policy.protocols)
    _load_certificate(context, files)
    _load_policy(context, policy)
    return context


def _load_certificate(context: ssl.SSLContext, files: Certificate) -> None:
    for path in (files.certificate, files.key, files.chain, files.dh_parameters):
        _check_readable(path)
    key = files.key or files.certificate
    try:
        with _one_file(files) as certificate:
            # An empty password: without any, OpenSSL asks on the terminal.
            context.load_cert_chain(certificate, key, files.password or "")
            _remember(context, certificate)
    except ssl.SSLError as error:
        raise _why(files, key, error) from None
    if files.dh_parameters is not None:
        try:
            context.load_dh_params(files.dh_parameters)
        except ssl.SSLError:
            raise TLSError(f"There are no DH parameters in {files.dh_parameters}.") from None


def shown_certificate(context: ssl.SSLContext) -> str | None:
    """The server's own certificate that a context of :func:`make_context` shows, as PEM."""
    return _shown.get(context)


def _remember(context: ssl.SSLContext, path: str) -> None:
    with open(path, encoding="ascii", errors="replace") as file:
        found = _FIRST_CERTIFICATE.search(file.read())
    if found is not None:
        _shown[context] = found[0] + "\n"


def _load_policy(context: ssl.SSLContext, policy: Policy) -> None:
    if policy.ciphers is not None:
        try:
            context.set_ciphers(policy.ciphers)
        except ssl.SSLError:
            raise TLSError(
                f"tls_ciphers is {policy.ciphers!r}, which selects none of OpenSSL's suites for "
                "TLS 1.2. (Those of TLS 1.3 cannot be chosen.)"
            ) from None
    if policy.client_ca is not None:
        _check_readable(policy.client_ca)
        try:
            context.load_verify_locations(policy.client_ca)
        except ssl.SSLError:
            raise TLSError(f"There are no certificates in {policy.client_ca}.") from None
    context.verify_mode = CLIENT_CERTIFICATES[policy.client_certificates]


def _check_readable(path: str | None) -> None:
    if path is None:
        return
    try:
        with open(path, "rb"):
            return
    except OSError as error:
        raise TLSError(f"Cannot read {path}: {(error.strerror or str(error)).lower()}.") from None


@contextlib.contextmanager
def _one_file(files: Certificate) -> Iterator[str]:
    """The path of a file with the certificate and the chain, which OpenSSL wants in one."""
    if files.chain is None:
        yield files.certificate
        return
    import tempfile  # noqa: PLC0415  it brings 3 ms of modules, which few servers need

    with tempfile.TemporaryDirectory() as directory:
        joined = os.path.join(directory, "chain.pem")
        with open(joined, "wb") as whole:
            for path in (files.certificate, files.chain):
                with open(path, "rb") as part:
                    whole.write(part.read() + b"\n")
        yield joined


def _why(files: Certificate, key: str, error: ssl.SSLError) -> TLSError:
    reason = error.reason or ""
    if reason in {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"}:
        return TLSError(f"The key in {key} is not that of the certificate in {files.certificate}.")
    # OpenSSL does not say so: a key that it cannot decrypt is none.
    with open(key, "rb") as file:
        if b"ENCRYPTED" in file.read():
            return PasswordError(f"The password of the key in {key} is missing or wrong.")
    if reason in {"EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "CA_KEY_TOO_SMALL"}:
        return TLSError(
            f"The certificate in {files.certificate} is too weak for OpenSSL: {reason}."
        )
    return TLSError(
        f"There is no certificate in {files.certificate}, or no private key in {key} "
        f"({reason or error})."
    )
