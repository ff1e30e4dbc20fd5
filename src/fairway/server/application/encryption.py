"""What an application learns about the encryption of its connection: ASGI's extension "tls".

See https://asgi.readthedocs.io/en/latest/specs/tls.html.
"""

import asyncio
import ssl
from typing import Any, Final

from fairway.server.listening.tls import shown_certificate

#: The versions as they are written on the wire (RFC 8446 §4.2.1).
_VERSIONS: Final = {"TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}

#: OpenSSL's names of attribute types, and those that RFC 4514 §3 has for them.
_ATTRIBUTES: Final = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
_SPECIAL: Final = frozenset('"+,;<>\\')

#: Numbers of cipher suites by OpenSSL's names for them; filled as they are met.
_suites: Final[dict[str, int]] = {}


def tls_extension(transport: asyncio.BaseTransport) -> dict[str, Any] | None:
    """The extension for all scopes of a connection; None if it is not encrypted.

    What a client shows was verified before, or the handshake would have failed: there is never a
    ``client_cert_error``. The certificates behind a client's own are known from Python 3.13 on.
    """
    connection: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if connection is None:
        return None
    cipher = connection.cipher()
    chain = _client_chain(connection)
    subject = (connection.getpeercert() or {}).get("subject", ()) if chain else ()
    return {
        "server_cert": shown_certificate(connection.context),
        "client_cert_chain": chain,
        "client_cert_name": distinguished_name(subject) if chain else None,
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(connection.version() or ""),
        "cipher_suite": _suite(connection.context, cipher[0]) if cipher else None,
    }


def distinguished_name(subject: Any) -> str:
    """A name as text (RFC 4514).

    Args:
        subject: As ``getpeercert()`` has it: a tuple of relative names, each a tuple of pairs.
    """
    return ",".join(
        "+".join(f"{_ATTRIBUTES.get(kind, kind)}={_escape(value)}" for kind, value in relative)
        for relative in reversed(subject)  # "starting with the last element", §2.1
    )


def _escape(value: str) -> str:
    text = "".join(f"\\{char}" if char in _SPECIAL else char for char in value)
    text = text.replace("\0", "\\00")
    if text[:1] in (" ", "#"):
        text = "\\" + text
    if text[-1:] == " " and len(text) > 1 and text[-2] != "\\":
        text = text[:-1] + "\\ "
    return text


def _client_chain(connection: ssl.SSLObject) -> list[str]:
    own = connection.getpeercert(binary_form=True)
    if own is None:
        return []
    found = [own]
    if hasattr(connection, "get_unverified_chain"):
        found = connection.get_unverified_chain() or found
    return [ssl.DER_cert_to_PEM_cert(certificate) for certificate in found]


def _suite(context: ssl.SSLContext, name: str) -> int | None:
    if name not in _suites:
        # OpenSSL's identifiers hold the two bytes of the registry at their end.
        _suites.update({suite["name"]: suite["id"] & 0xFFFF for suite in context.get_ciphers()})
    return _suites.get(name)
