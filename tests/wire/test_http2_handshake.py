"""The opening handshake of a WebSocket over HTTP/2: RFC 8441 §5."""

import pytest

from fairway._types import Headers
from fairway.wire.handshake import HandshakeRefused
from fairway.wire.http2_handshake import ExtendedHandshake

VERSION: Headers = [(b"sec-websocket-version", b"13")]


class TestParsing:
    """The request."""

    def test_least(self) -> None:
        """A version is enough: no key, nothing to upgrade."""
        assert ExtendedHandshake.parse_connect([(b"host", b"a"), *VERSION]).subprotocols == []

    def test_offers(self) -> None:
        """Subprotocols and extensions are offered as over HTTP/1.1."""
        handshake = ExtendedHandshake.parse_connect(
            [
                *VERSION,
                (b"sec-websocket-protocol", b"chat, superchat"),
                (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
            ]
        )
        assert handshake.subprotocols == ["chat", "superchat"]
        assert len(handshake.extensions) == 1

    @pytest.mark.parametrize("headers", [[], VERSION * 2, [(b"sec-websocket-version", b"8")]])
    def test_version(self, headers: Headers) -> None:
        """Other versions are refused with the one that there is, and nothing to upgrade to."""
        with pytest.raises(HandshakeRefused) as caught:
            ExtendedHandshake.parse_connect(headers)
        assert (caught.value.status, caught.value.headers) == (400, VERSION)
        assert str(caught.value) == "This server speaks version 13 of the WebSocket protocol only."

    def test_malformed(self) -> None:
        """Subprotocols are tokens."""
        with pytest.raises(HandshakeRefused, match="Sec-WebSocket-Protocol"):
            ExtendedHandshake.parse_connect([*VERSION, (b"sec-websocket-protocol", b"a b")])


class TestAccepting:
    """The response."""

    def test_fields(self) -> None:
        """Neither Sec-WebSocket-Accept, without a key, nor what belongs to a connection."""
        handshake = ExtendedHandshake.parse_connect(
            [*VERSION, (b"sec-websocket-protocol", b"chat")]
        )
        assert handshake.accept_headers(None) == []
        assert handshake.accept_headers("chat", b"permessage-deflate") == [
            (b"Sec-WebSocket-Protocol", b"chat"),
            (b"Sec-WebSocket-Extensions", b"permessage-deflate"),
        ]

    @pytest.mark.parametrize(
        ("times", "answers"), [(1, [b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]), (2, [])]
    )
    def test_key(self, times: int, answers: list[bytes]) -> None:
        """A key is not asked for, and answered all the same: some clients insist on that."""
        keys: Headers = [(b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")] * times
        handshake = ExtendedHandshake.parse_connect([*VERSION, *keys])
        assert handshake.accept_headers(None) == [
            (b"Sec-WebSocket-Accept", answer) for answer in answers
        ]

    def test_not_offered(self) -> None:
        """Only what is offered can be chosen."""
        with pytest.raises(ValueError, match="does not offer the subprotocol 'chat'"):
            ExtendedHandshake.parse_connect(VERSION).accept_headers("chat")
