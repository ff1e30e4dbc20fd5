"""The opening handshake: any header fields behind a request that wants a WebSocket."""

import base64

from fairway.wire.handshake import HandshakeRefused, OpeningHandshake, is_token
from fairway.wire.http1 import HTTP1Connection, Request
from fuzzing.target import Target

__all__ = ["TARGET", "check", "check_fields"]


def check_fields(method: str, version: str, fields: list[tuple[bytes, bytes]]) -> bool:
    """Granted or refused with a status that says why; returns whether it was granted."""
    try:
        handshake = OpeningHandshake.parse(method, version, fields)
    except HandshakeRefused as error:
        refused = error
    else:
        _check_granted(handshake, method, fields)
        return True
    assert refused.status in (400, 405, 426)
    assert refused.detail.endswith(".")
    assert str(refused) == refused.detail
    return False


def _check_granted(
    handshake: OpeningHandshake, method: str, fields: list[tuple[bytes, bytes]]
) -> None:
    assert method == "GET"
    assert len(base64.b64decode(handshake.key, validate=True)) == 16
    assert fields.count((b"sec-websocket-version", b"13")) == 1
    for name in [None, *handshake.subprotocols]:
        headers = dict(handshake.accept_headers(name))
        assert len(base64.b64decode(headers[b"Sec-WebSocket-Accept"])) == 20
        assert name is None or is_token(headers[b"Sec-WebSocket-Protocol"])


def check(data: bytes) -> None:
    """Header fields as bytes, once by themselves and once within a request."""
    fields = []
    for line in data.split(b"\n"):
        name, _, value = line.partition(b":")
        fields.append((name.strip().lower(), value.strip(b" \t\r")))
    alone = check_fields("GET", "1.1", fields)
    assert not check_fields("POST", "1.1", fields)
    assert not check_fields("GET", "1.0", fields)
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + data.replace(b"\n", b"\r\n") + b"\r\n\r\n"
    for event in HTTP1Connection().receive_data(head):
        if isinstance(event, Request) and event.upgrade:
            granted = check_fields(event.method, event.http_version, event.headers)
            # An empty line ends the fields of the request.
            assert granted == alone or b"\r" in data or b"\n\n" in b"\n" + data


_KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"
_USUAL = b"Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n" + _KEY

TARGET = Target(
    name="handshake",
    check=check,
    seeds=(
        _USUAL,
        _USUAL + b"Sec-WebSocket-Protocol: chat, superchat\n",
        _USUAL + b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\n",
        b"Connection: keep-alive, Upgrade\n" + _USUAL.replace(b"13", b"8"),
    ),
    tokens=(
        *(b"Connection: ", b"Upgrade: ", b"websocket", b"Upgrade", b"Sec-WebSocket-Version: "),
        *(b"Sec-WebSocket-Key: ", b"Sec-WebSocket-Protocol: ", b"13", b",", b"==", b'"', b";"),
        *(b"Sec-WebSocket-Extensions: ", b"permessage-deflate", b"client_max_window_bits", b"=15"),
        *(b"server_max_window_bits", b"server_no_context_takeover", b"client_no_context_takeover"),
    ),
    modules=("fairway.wire.handshake",),
)
