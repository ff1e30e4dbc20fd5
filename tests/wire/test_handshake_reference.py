"""Second opinions on the opening handshake: `websockets` and `wsproto`, as servers.

All must grant the same requests and compute the same answer, but for the differences in
`TestKnownDifferences`, each of which has its reason there.
"""

import base64
from typing import Final, TypeAlias

import pytest
import wsproto
import wsproto.events
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.http11 import Request
from websockets.server import ServerProtocol
from wsproto.utilities import RemoteProtocolError

from fairway.wire.handshake import HandshakeRefused, OpeningHandshake
from tests.wire.streams import FUZZ

KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
USUAL: Final = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}
Lines: TypeAlias = list[tuple[str, str]]


def ours(lines: Lines) -> str | None:
    """The accept value, None if the request is refused."""
    fields = [(name.lower().encode(), value.encode()) for name, value in lines]
    try:
        handshake = OpeningHandshake.parse("GET", "1.1", fields)
    except HandshakeRefused:
        return None
    return dict(handshake.accept_headers(None))[b"Sec-WebSocket-Accept"].decode()


def of_websockets(lines: Lines) -> str | None:
    """The same of `websockets`."""
    try:
        accept, _, _ = ServerProtocol().process_request(Request("/", Headers(lines)))
    except InvalidHandshake:
        return None
    return accept


def of_wsproto(lines: Lines) -> str | None:
    """The same of `wsproto`."""
    connection = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    text = "".join(f"{name}: {value}\r\n" for name, value in lines)
    try:
        connection.receive_data(f"GET / HTTP/1.1\r\nHost: a\r\n{text}\r\n".encode())
    except RemoteProtocolError:
        return None
    answer = connection.send(wsproto.events.AcceptConnection()).decode()
    return answer.partition("Sec-WebSocket-Accept: ")[2].partition("\r\n")[0]


def usual(**other: str | list[str] | None) -> Lines:
    """The usual fields with other values of some: none, one or several lines."""
    lines: Lines = []
    for name, value in USUAL.items():
        new = other.get(name.replace("-", "_"), value)
        values = [] if new is None else [new] if isinstance(new, str) else new
        lines += [(name, line) for line in values]
    return lines


class TestAgreement:
    """The same verdict as both references."""

    @FUZZ
    @given(st.binary(min_size=16, max_size=16), st.permutations(list(USUAL)))
    def test_keys(self, nonce: bytes, order: list[str]) -> None:
        """On each key, with the fields in any order."""
        fields = {**USUAL, "Sec-WebSocket-Key": base64.b64encode(nonce).decode()}
        lines = [(name, fields[name]) for name in order]
        assert ours(lines) is not None
        assert ours(lines) == of_websockets(lines) == of_wsproto(lines)

    @pytest.mark.parametrize(
        "lines",
        [
            usual(),
            usual(Connection="keep-alive, Upgrade"),
            usual(Connection="keep-alive"),
            usual(Upgrade="WebSocket"),
            usual(Upgrade="h2c"),
            usual(Sec_WebSocket_Version="8"),
            usual(Sec_WebSocket_Version=None),
            usual(Sec_WebSocket_Key=None),
            [*usual(), ("Sec-WebSocket-Protocol", "chat, superchat")],
        ],
    )
    def test_fields(self, lines: Lines) -> None:
        """On the fields with other values, or without one."""
        assert ours(lines) == of_websockets(lines) == of_wsproto(lines)


class TestKnownDifferences:
    """Where they differ, and the reason for what Fairway does."""

    @pytest.mark.parametrize(
        "lines",
        [
            pytest.param(usual(Sec_WebSocket_Key="short"), id="§4.2.1, 5: 16 bytes"),
            pytest.param(usual(Sec_WebSocket_Key=KEY + "!"), id="§4.2.1, 5: base64"),
            pytest.param(usual(Sec_WebSocket_Key=KEY[:-2]), id="§4.2.1, 5: padding"),
            pytest.param(usual(Sec_WebSocket_Key=[KEY, KEY]), id="§11.3.1: once"),
            pytest.param(usual(Sec_WebSocket_Version=["13", "13"]), id="§11.3.5: once"),
            pytest.param([*usual(), ("Sec-WebSocket-Protocol", "a b")], id="§4.2.1, 8: tokens"),
        ],
    )
    def test_stricter_than_wsproto(self, lines: Lines) -> None:
        """What `wsproto` grants, and the RFC forbids; `websockets` refuses it, too."""
        assert ours(lines) is of_websockets(lines) is None
        assert of_wsproto(lines) is not None

    @pytest.mark.parametrize(
        "lines",
        [
            pytest.param(usual(Upgrade="h2c, websocket"), id="RFC 9110 §7.8: one of a list"),
            pytest.param(usual(Upgrade=["h2c", "websocket"]), id="RFC 9110 §5.3: of several lines"),
            pytest.param(
                [*usual(), ("Sec-WebSocket-Protocol", "")],
                id="RFC 9110 §5.6.1.2: a list of nothing, as some clients send it",
            ),
            pytest.param(
                usual(Connection="a b, upgrade"),
                id="RFC 9110 §7.6.1: an option that nobody knows is none of our business",
            ),
        ],
    )
    def test_laxer_than_websockets(self, lines: Lines) -> None:
        """What `websockets` refuses without need."""
        assert ours(lines) is not None
        assert of_websockets(lines) is None
