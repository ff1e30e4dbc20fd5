"""TLS: certificates in files become contexts for listening sockets."""

import contextlib
import dataclasses
import os
import ssl
import tempfile
from collections.abc import Iterator
from typing import Final

#: What is offered to clients that ask which protocols there are (RFC 7301).
PROTOCOLS: Final = ("http/1.1",)


class TLSError(ValueError):
    """A certificate, key or parameter file cannot be used; the message says which and why."""


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


def make_context(files: Certificate) -> ssl.SSLContext:
    """What listens with a certificate: TLS 1.2 (RFC 5246) or newer, HTTP/1.1 only.

    The files are read now, and not again.

    Raises:
        TLSError: One of them is missing, is none of its kind, or does not fit the others.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(PROTOCOLS)
    for path in (files.certificate, files.key, files.chain, files.dh_parameters):
        _check_readable(path)
    key = files.key or files.certificate
    try:
        with _one_file(files) as certificate:
            # An empty password: without any, OpenSSL asks on the terminal.
            context.load_cert_chain(certificate, key, files.password or "")
    except ssl.SSLError as error:
        raise TLSError(_why(files, key, error)) from None
    if files.dh_parameters is not None:
        try:
            context.load_dh_params(files.dh_parameters)
        except ssl.SSLError:
            raise TLSError(f"There are no DH parameters in {files.dh_parameters}.") from None
    return context


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
    with tempfile.TemporaryDirectory() as directory:
        joined = os.path.join(directory, "chain.pem")
        with open(joined, "wb") as whole:
            for path in (files.certificate, files.chain):
                with open(path, "rb") as part:
                    whole.write(part.read() + b"\n")
        yield joined


def _why(files: Certificate, key: str, error: ssl.SSLError) -> str:
    reason = error.reason or ""
    if reason in {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"}:
        return f"The key in {key} is not that of the certificate in {files.certificate}."
    # OpenSSL does not say so: a key that it cannot decrypt is none.
    with open(key, "rb") as file:
        if b"ENCRYPTED" in file.read():
            return f"The password of the key in {key} is missing or wrong."
    if reason in {"EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "CA_KEY_TOO_SMALL"}:
        return f"The certificate in {files.certificate} is too weak for OpenSSL: {reason}."
    return (
        f"There is no certificate in {files.certificate}, or no private key in {key} "
        f"({reason or error})."
    )
