"""The opening handshake, server side: RFC 6455 §1.3, §4.2, §11.3."""

import re
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
)
from websockets.protocol import State
from websockets.uri import parse_uri

from fairway._types import Headers
from fairway.wire.deflate import Compression, CompressionOptions
from fairway.wire.extensions import Extension
from fairway.wire.handshake import HandshakeRefused, OpeningHandshake, accept_value, is_token
from tests.wire.streams import FUZZ

#: The request of §1.3.
REQUEST: Final[Headers] = [
    (b"host", b"server.example.com"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"origin", b"http://example.com"),
    (b"sec-websocket-protocol", b"chat, superchat"),
    (b"sec-websocket-version", b"13"),
]

EXTENSIONS: Final = b"sec-websocket-extensions"

SWITCHING: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)


def request(name: bytes, *values: bytes) -> Headers:
    """The request of §1.3 with other values of one header: none, one or several lines."""
    others = [(other, value) for other, value in REQUEST if other != name]
    return [*others, *((name, value) for value in values)]


def refusal(
    headers: Headers, *, method: str = "GET", http_version: str = "1.1"
) -> tuple[int, str, Headers]:
    """Status, sentence and headers with which the request is refused."""
    with pytest.raises(HandshakeRefused) as caught:
        OpeningHandshake.parse(method, http_version, headers)
    assert str(caught.value) == caught.value.detail
    return caught.value.status, caught.value.detail, caught.value.headers


def response(handshake: OpeningHandshake, subprotocol: str | None, headers: bytes) -> bytes:
    """The whole response that opens the WebSocket, with further header lines."""
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        *(b": ".join(field) for field in handshake.accept_headers(subprotocol)),
        headers,
    ]
    return b"\r\n".join(lines) + b"\r\n"


class TestExample:
    """The example of §1.3."""

    def test_request(self) -> None:
        """Key and subprotocols are taken from the request."""
        handshake = OpeningHandshake.parse("GET", "1.1", REQUEST)
        assert handshake.key == b"dGhlIHNhbXBsZSBub25jZQ=="
        assert handshake.subprotocols == ["chat", "superchat"]

    def test_accept_value(self) -> None:
        """The accept value is the one that the standard computes."""
        assert accept_value(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

    def test_answer(self) -> None:
        """The answer is the one that the standard gives."""
        handshake = OpeningHandshake.parse("GET", "1.1", REQUEST)
        answer = SWITCHING + b"Sec-WebSocket-Protocol: chat\r\n\r\n"
        assert response(handshake, "chat", b"") == answer


class TestRequestLine:
    """§4.2.1, item 1: "An HTTP/1.1 or higher GET request"."""

    @pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "get"])
    def test_method(self, method: str) -> None:
        """Another method is 405, with the one that is allowed."""
        assert refusal(REQUEST, method=method) == (
            405,
            f"A WebSocket is opened with GET, not {method}.",
            [(b"allow", b"GET")],
        )

    @pytest.mark.parametrize("version", ["1.0", "0.9"])
    def test_version(self, version: str) -> None:
        """HTTP/1.0 knows no Upgrade: 400."""
        assert refusal(REQUEST, http_version=version) == (
            400,
            f"A WebSocket is opened over HTTP/1.1, not HTTP/{version}.",
            [],
        )


class TestUpgrade:
    """§4.2.1, items 3 and 4: Upgrade names "websocket" and Connection names "Upgrade"."""

    @pytest.mark.parametrize(
        "values",
        [
            [b"websocket"],
            [b"WebSocket"],
            [b"WEBSOCKET"],
            [b"h2c, websocket"],
            [b"websocket,h2c"],
            [b"h2c", b"websocket"],
            [b", websocket ,"],
        ],
    )
    def test_upgrade(self, values: list[bytes]) -> None:
        """The name may be in any case, and one of several in any number of lines."""
        handshake = OpeningHandshake.parse("GET", "1.1", request(b"upgrade", *values))
        assert response(handshake, None, b"") == SWITCHING + b"\r\n"

    @pytest.mark.parametrize(
        "values", [[], [b""], [b"h2c"], [b"websockets"], [b"web socket"], [b"websocket/13"]]
    )
    def test_other_upgrade(self, values: list[bytes]) -> None:
        """Without it the request asks for something else: 400."""
        assert refusal(request(b"upgrade", *values)) == (
            400,
            "The Upgrade header does not say websocket.",
            [],
        )

    @pytest.mark.parametrize(
        "values",
        [
            [b"Upgrade"],
            [b"upgrade"],
            [b"UPGRADE"],
            [b"keep-alive, Upgrade"],
            [b"Upgrade,keep-alive"],
            [b"keep-alive", b"upgrade"],
            [b"keep-alive\t,\tUpgrade"],
        ],
    )
    def test_connection(self, values: list[bytes]) -> None:
        """The token may be in any case, and one of several in any number of lines."""
        handshake = OpeningHandshake.parse("GET", "1.1", request(b"connection", *values))
        assert response(handshake, None, b"") == SWITCHING + b"\r\n"

    @pytest.mark.parametrize("values", [[], [b""], [b"keep-alive"], [b"close"], [b"upgrades"]])
    def test_other_connection(self, values: list[bytes]) -> None:
        """Without it Upgrade is not meant for this server: 400."""
        assert refusal(request(b"connection", *values)) == (
            400,
            "The Connection header does not say upgrade.",
            [],
        )


class TestVersion:
    """§4.2.1, item 6, and §4.4: there is one version, 13."""

    @pytest.mark.parametrize("version", [b"", b"0", b"7", b"8", b"12", b"14", b"013", b"13, 8"])
    def test_other(self, version: bytes) -> None:
        """Another version is 426, with the one that the server speaks."""
        assert refusal(request(b"sec-websocket-version", version)) == (
            426,
            "This server speaks version 13 of the WebSocket protocol only.",
            [
                (b"sec-websocket-version", b"13"),
                (b"upgrade", b"websocket"),
                (b"connection", b"upgrade"),
            ],
        )

    def test_missing(self) -> None:
        """No version is 400."""
        assert refusal(request(b"sec-websocket-version")) == (
            400,
            "The Sec-WebSocket-Version header is missing.",
            [],
        )

    @pytest.mark.parametrize("values", [(b"13", b"13"), (b"13", b"8")])
    def test_repeated(self, values: tuple[bytes, ...]) -> None:
        """It "MUST NOT appear more than once" (§11.3.5): 400."""
        assert refusal(request(b"sec-websocket-version", *values)) == (
            400,
            "The Sec-WebSocket-Version header was sent more than once.",
            [],
        )


class TestKey:
    """§4.2.1, item 5: a key which, "when decoded, is 16 bytes in length"."""

    @pytest.mark.parametrize(
        "key",
        [
            b"",
            b"AAAA",
            b"AAAAAAAAAAAAAAAAAAAA",  # 15 bytes
            b"AAAAAAAAAAAAAAAAAAAAAAA=",  # 17 bytes
            b"dGhlIHNhbXBsZSBub25jZQ",  # no padding
            b"dGhlIHNhbXBsZSBub25jZQ=",
            b"dGhlIHNhbXBsZSBub25jZQ===",
            b"dGhlIHNhbXBsZSBub25jZQ==AAAA",
            b"dGhlIHNhbXBsZSBub25j ZQ==",
            b"dGhlIHNhbXBsZSBub25jZQ==, AAAA",
            b"____IHNhbXBsZSBub25jZQ==",  # another alphabet
            b"the sample nonce",
            b"\xff" * 24,
        ],
    )
    def test_bad(self, key: bytes) -> None:
        """Anything else is 400."""
        assert refusal(request(b"sec-websocket-key", key)) == (
            400,
            "The Sec-WebSocket-Key header is not 16 bytes in base64.",
            [],
        )

    def test_missing(self) -> None:
        """No key is 400."""
        assert refusal(request(b"sec-websocket-key")) == (
            400,
            "The Sec-WebSocket-Key header is missing.",
            [],
        )

    def test_repeated(self) -> None:
        """It "MUST NOT appear more than once" (§11.3.1): 400."""
        key = b"dGhlIHNhbXBsZSBub25jZQ=="
        assert refusal(request(b"sec-websocket-key", key, key)) == (
            400,
            "The Sec-WebSocket-Key header was sent more than once.",
            [],
        )


class TestSubprotocols:
    """§4.2.1, item 8, and §11.3.4: what the client offers."""

    @pytest.mark.parametrize(
        ("values", "offered"),
        [
            ([], []),
            ([b""], []),
            ([b"chat"], ["chat"]),
            ([b"chat,superchat"], ["chat", "superchat"]),
            ([b" chat\t,  superchat "], ["chat", "superchat"]),
            ([b"b, a", b"c"], ["b", "a", "c"]),
            ([b"a", b"", b"b, c", b"d"], ["a", "b", "c", "d"]),
            ([b", a,, b ,"], ["a", "b"]),
            ([b"Chat, chat"], ["Chat", "chat"]),
            ([b"!#$%&'*+-.^_`|~09AZaz"], ["!#$%&'*+-.^_`|~09AZaz"]),
        ],
    )
    def test_offered(self, values: list[bytes], offered: list[str]) -> None:
        """They are listed as they came, over all lines, most wanted first."""
        headers = request(b"sec-websocket-protocol", *values)
        assert OpeningHandshake.parse("GET", "1.1", headers).subprotocols == offered

    @pytest.mark.parametrize(
        "value",
        [b"a b", b"a/b", b"a=b", b'"a"', b"a;q=1", b"a, (b)", "é".encode(), b"\x00", b"a\x7f"],
    )
    def test_no_token(self, value: bytes) -> None:
        """What is no token is 400."""
        assert refusal(request(b"sec-websocket-protocol", value)) == (
            400,
            "The Sec-WebSocket-Protocol header is not a list of tokens.",
            [],
        )


class TestAnswer:
    """§4.2.2, item 5: the answer that opens the WebSocket."""

    handshake = OpeningHandshake.parse("GET", "1.1", REQUEST)

    def test_plain(self) -> None:
        """It needs neither a subprotocol nor headers."""
        assert response(self.handshake, None, b"") == SWITCHING + b"\r\n"

    def test_fields(self) -> None:
        """Its fields are also there one by one, for whoever writes the response."""
        fields = [
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ]
        assert self.handshake.accept_headers(None) == fields
        fields.append((b"Sec-WebSocket-Protocol", b"chat"))
        assert self.handshake.accept_headers("chat") == fields

    def test_headers(self) -> None:
        """Headers of the application stand behind those of the handshake, as they are."""
        headers = b"Set-Cookie: a=b\r\nX-Room: 7\r\n"
        answer = SWITCHING + b"Sec-WebSocket-Protocol: superchat\r\n" + headers + b"\r\n"
        assert response(self.handshake, "superchat", headers) == answer

    @pytest.mark.parametrize("name", ["other", "", "Chat", "chat, superchat", "a\r\nX: y"])
    def test_not_offered(self, name: str) -> None:
        """A subprotocol that was not offered is the application's mistake: clients would fail."""
        problem = f"The client does not offer the subprotocol {name!r}; it offers: chat, superchat."
        with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
            response(self.handshake, name, b"")
        with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
            self.handshake.accept_headers(name)

    def test_none_offered(self) -> None:
        """The same where the client offers none at all."""
        handshake = OpeningHandshake.parse("GET", "1.1", request(b"sec-websocket-protocol"))
        with pytest.raises(ValueError, match=r"'chat'; it offers: none\.$"):
            response(handshake, "chat", b"")


class TestClient:
    """A client that is not ours opens a WebSocket."""

    def test_websockets(self) -> None:
        """The request of `websockets` is accepted, and so is our answer."""
        client = ClientProtocol(parse_uri("ws://127.0.0.1/"), subprotocols=["b", "a"])  # type: ignore[list-item]  # plain text is what Subprotocol is at run time
        sent = client.connect()
        headers = [
            (name.lower().encode(), value.encode()) for name, value in sent.headers.raw_items()
        ]
        handshake = OpeningHandshake.parse("GET", "1.1", headers)
        assert handshake.subprotocols == ["b", "a"]
        client.receive_data(response(handshake, "a", b"Server: fairway\r\n"))
        assert client.handshake_exc is None
        assert (client.state, client.subprotocol) == (State.OPEN, "a")


class TestAnything:
    """Headers of any kind lead to a handshake or to a refusal, and to no other error."""

    names = st.sampled_from([name for name, _ in REQUEST])
    values = st.binary(max_size=30) | st.sampled_from([value for _, value in REQUEST])

    @FUZZ
    @given(st.lists(st.tuples(names, values), max_size=4), st.integers(0, len(REQUEST)))
    def test_headers(self, changes: Headers, kept: int) -> None:
        """What is not refused is answered with one accept value, and offers tokens only."""
        try:
            handshake = OpeningHandshake.parse("GET", "1.1", [*REQUEST[:kept], *changes])
        except HandshakeRefused:
            return
        head, _, tail = SWITCHING.partition(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        assert response(handshake, None, b"") == head + accept_value(handshake.key) + tail + b"\r\n"
        assert all(is_token(name.encode()) for name in handshake.subprotocols)


class TestIsToken:
    """RFC 9110 §5.6.2."""

    def test_each_byte(self) -> None:
        """Of all bytes, these may stand in a token."""
        allowed = {octet for octet in range(256) if is_token(bytes((octet,)))}
        letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        assert allowed == set(b"!#$%&'*+-.^_`|~0123456789" + letters)

    @pytest.mark.parametrize(
        ("value", "verdict"), [(b"", False), (b"a", True), (b"a b", False), (b"a\n", False)]
    )
    def test_whole(self, value: bytes, verdict: bool) -> None:
        """A token is not empty, and is one to its end."""
        assert is_token(value) is verdict


class TestExtensions:
    """§9.1, §11.3.2: offered in one line or several, answered in one."""

    def test_offered(self) -> None:
        """They are given in their order."""
        values = (b"permessage-deflate; client_max_window_bits, foo", b"bar")
        handshake = OpeningHandshake.parse("GET", "1.1", request(EXTENSIONS, *values))
        assert handshake.extensions == [
            Extension("permessage-deflate", (("client_max_window_bits", None),)),
            Extension("foo"),
            Extension("bar"),
        ]

    def test_none(self) -> None:
        """Most requests of the past have none."""
        assert OpeningHandshake.parse("GET", "1.1", REQUEST).extensions == []

    @pytest.mark.parametrize("value", [b"foo;", b'foo; x="', b"foo bar", b"foo; x=(1)"])
    def test_malformed(self, value: bytes) -> None:
        """What is no list of extensions fails the connection."""
        assert refusal(request(EXTENSIONS, value)) == (
            400,
            "The Sec-WebSocket-Extensions header is not a list of extensions.",
            [],
        )

    def test_answered(self) -> None:
        """The answer is a header of its own, without which all are declined."""
        handshake = OpeningHandshake.parse("GET", "1.1", request(EXTENSIONS, b"foo"))
        assert EXTENSIONS not in dict(handshake.accept_headers(None))
        headers = handshake.accept_headers(None, b"foo; x=1")
        assert headers[-1] == (b"Sec-WebSocket-Extensions", b"foo; x=1")

    def test_with_websockets(self) -> None:
        """A client takes the answer, and both then compress with what was agreed on."""
        client = ClientProtocol(
            parse_uri("ws://server.example.com/"),
            extensions=[ClientPerMessageDeflateFactory(server_max_window_bits=11)],
        )
        asked = client.connect()
        fields = [
            (name.lower().encode(), value.encode()) for name, value in asked.headers.raw_items()
        ]
        handshake = OpeningHandshake.parse("GET", "1.1", fields)
        compression = Compression(CompressionOptions(client_window_bits=12))
        agreement = compression.negotiate(handshake.extensions)
        assert agreement is not None
        lines = [b"HTTP/1.1 101 Switching Protocols"]
        lines += [b": ".join(field) for field in handshake.accept_headers(None, agreement.answer)]
        client.send_request(asked)
        client.receive_data(b"\r\n".join([*lines, b"", b""]))
        assert client.handshake_exc is None
        assert client.state is State.OPEN
        (extension,) = client.extensions
        assert isinstance(extension, PerMessageDeflate)
        assert (extension.remote_max_window_bits, extension.local_max_window_bits) == (11, 12)
        assert extension.remote_no_context_takeover
        assert extension.local_no_context_takeover
