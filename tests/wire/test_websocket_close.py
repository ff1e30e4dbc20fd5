"""The closing handshake: RFC 6455 §1.4, §5.5.1, §7."""

from typing import Final

import pytest

from fairway.wire.frames import CloseCode
from fairway.wire.websocket import Closed, Event, Ping, State
from tests.wire.client import (
    CLOSE,
    PING,
    Client,
    binary,
    close,
    continuation,
    frame,
    goodbye,
    text,
    unmasked,
)

#: One code at each border of each range of §7.4, and each code of the registry.
VALID_CODES: Final = (
    *(1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014),
    *(3000, 3999, 4000, 4401, 4999),
)
INVALID_CODES: Final = (
    *(0, 1, 125, 999),  # "not used"
    *(1004, 1005, 1006, 1015),  # reserved, or never to be sent
    *(1016, 1100, 1999, 2000, 2999),  # for revisions of the standard, which has none
    *(5000, 9999, 32768, 65535),  # undefined
)

#: What must be discarded when it comes behind a Close.
AFTERWARDS: Final = {
    "nothing": b"",
    "empty Close": close(),
    "another Close": close(1001, "again"),
    "Ping": frame(PING, b"p"),
    "empty Ping": frame(PING),
    "text": text("more"),
    "a fragment": text("more", fin=False),
    "a continuation of nothing": continuation(b"more"),
    "a frame without a mask": unmasked(CLOSE, b"\x03\xe8"),
    "bad UTF-8": text(b"\xff"),
    "noise": bytes(range(255, 0, -1)),
    "half a header": b"\x81",
}


class TestClientCloses:
    """§5.5.1: "the endpoint MUST send a Close frame in response"."""

    @pytest.mark.parametrize("code", VALID_CODES)
    @pytest.mark.parametrize("reason", ["", "leaving", "αντίο 👋", "x" * 123])
    def test_code(self, client: Client, code: int, reason: str) -> None:
        """The client's code and reason are told, and the code is echoed."""
        assert client.says(close(code, reason)) == [Closed(code, reason)]
        assert client.hears() == goodbye(code)
        assert client.state is State.CLOSED

    def test_no_code(self, client: Client) -> None:
        """A Close without a body is told as 1005 (§7.1.5) and echoed without a body."""
        assert client.says(close()) == [Closed(1005, "")]
        assert client.hears() == b"\x88\x00"
        assert client.state is State.CLOSED

    def test_after_messages(self, client: Client) -> None:
        """What the client sent before is given before."""
        data = text("1") + frame(PING, b"2") + binary(b"3") + close(1001)
        assert client.says(data) == ["1", Ping(b"2"), b"3", Closed(1001, "")]
        assert client.hears() == b"\x8a\x012" + goodbye(1001)

    def test_within_message(self, client: Client) -> None:
        """A Close may come between fragments; the message that it cuts off is lost."""
        assert client.says(text("1", fin=False) + close(1001)) == [Closed(1001, "")]
        assert client.hears() == goodbye(1001)
        assert client.state is State.CLOSED


class TestServerCloses:
    """§7.1.2: the server sends a Close and waits for the client's."""

    @pytest.mark.parametrize("code", VALID_CODES)
    @pytest.mark.parametrize("reason", ["", "leaving", "αντίο 👋", "x" * 123])
    def test_code(self, client: Client, code: int, reason: str) -> None:
        """The Close carries code and reason; the client's answer is told and not answered."""
        assert client.connection.send_close(code, reason) == goodbye(code, reason)
        assert client.says(close(code)) == [Closed(code, "")]
        assert client.hears() == b""
        assert client.state is State.CLOSED

    def test_default(self, client: Client) -> None:
        """Without arguments it is 1000, a normal closure."""
        assert client.connection.send_close() == b"\x88\x02\x03\xe8"

    def test_no_code(self, client: Client) -> None:
        """None sends a Close without a body."""
        assert client.connection.send_close(None) == b"\x88\x00"
        assert client.says(close()) == [Closed(1005, "")]
        assert client.hears() == b""

    @pytest.mark.parametrize("answer", [1000, 1001, 4999])
    def test_other_answer(self, client: Client, answer: int) -> None:
        """The client's code counts, even where it does not echo the server's (§7.1.5)."""
        client.connection.send_close(4000)
        assert client.says(close(answer, "mine")) == [Closed(answer, "mine")]
        assert client.hears() == b""

    def test_once(self, client: Client) -> None:
        """A second call sends nothing, so a Close is sent once."""
        assert client.connection.send_close(4000) == goodbye(4000)
        assert client.connection.send_close(4001) == b""
        assert client.connection.send_close(None) == b""

    def test_crossing(self, client: Client) -> None:
        """What was under way when the server hung up is dropped, unanswered."""
        assert client.says(text("half", fin=False)) == []
        client.connection.send_close()
        data = continuation(b"of it") + frame(PING, b"p") + binary(b"1" * 300) + text("2")
        assert client.says(data) == []
        assert client.hears() == b""
        assert client.says(close(1000)) == [Closed(1000, "")]

    def test_with_replies_waiting(self, client: Client) -> None:
        """Replies from before the Close are still there, to be sent before it."""
        client.says(frame(PING, b"p"))
        assert client.connection.send_close() == goodbye(1000)
        assert client.hears() == b"\x8a\x01p"

    @pytest.mark.parametrize("code", INVALID_CODES)
    def test_bad_code(self, client: Client, code: int) -> None:
        """A code that must not be sent is the caller's mistake; the connection stays open."""
        with pytest.raises(ValueError, match=f"^{code} cannot be sent in a Close frame: use 1000"):
            client.connection.send_close(code)
        assert client.state is State.OPEN
        assert client.connection.send_text("hi") == b"\x81\x02hi"

    @pytest.mark.parametrize(
        ("reason", "sent"),
        [
            ("x" * 124, "x" * 123),
            ("x" * 1000, "x" * 123),
            ("é" * 62, "é" * 61),
            ("x" + "é" * 62, "x" + "é" * 61),
            ("€" * 42, "€" * 41),
            ("👋" * 31, "👋" * 30),
            ("lone \ud83d half", "lone ? half"),
        ],
        ids=ascii,
    )
    def test_long_reason(self, client: Client, reason: str, sent: str) -> None:
        """A reason is cut at the last character that fits into a control frame (§5.5)."""
        assert client.connection.send_close(4000, reason) == goodbye(4000, sent)


class TestAfterClose:
    """§1.4: after the Close "a peer discards any further data received"."""

    @pytest.mark.parametrize("data", AFTERWARDS.values(), ids=AFTERWARDS)
    @pytest.mark.parametrize("code", [None, 1000])
    def test_same_chunk(self, client: Client, code: int | None, data: bytes) -> None:
        """What follows the client's Close is discarded, good or bad, in the same chunk or not."""
        assert client.says(close(code) + data) == [Closed(code or 1005, "")]
        assert client.says(data) == []
        assert client.hears() == goodbye(code)
        assert client.state is State.CLOSED

    @pytest.mark.parametrize("data", AFTERWARDS.values(), ids=AFTERWARDS)
    def test_answer(self, client: Client, data: bytes) -> None:
        """The same where the client's Close answers the server's."""
        client.connection.send_close()
        assert client.says(close(1000) + data) == [Closed(1000, "")]
        assert client.hears() == b""
        assert client.state is State.CLOSED

    @pytest.mark.parametrize("data", AFTERWARDS.values(), ids=AFTERWARDS)
    def test_failed(self, client: Client, data: bytes) -> None:
        """After a violation nothing is processed, not even "a responding Close frame" (§7.1.7)."""
        reason = "Opcode 0x3 is not defined."
        assert client.says(frame(0x3) + data) == [Closed(1002, reason)]
        assert client.says(data) == []
        assert client.hears() == goodbye(1002, reason)
        assert client.state is State.FAILED


class TestBadClose:
    """§5.5.1 and §7.4: bodies that a Close must not have."""

    @pytest.mark.parametrize("code", INVALID_CODES)
    @pytest.mark.parametrize("reason", ["", "why"])
    def test_code(self, client: Client, code: int, reason: str) -> None:
        """A code that must not be sent fails the connection."""
        problem = f"A Close frame carries the code {code}."
        assert client.says(close(code, reason)) == [Closed(1002, problem)]
        assert client.hears() == goodbye(1002, problem)
        assert client.state is State.FAILED

    @pytest.mark.parametrize("octet", [b"\x00", b"\x03", b"\xe8"])
    def test_one_byte(self, client: Client, octet: bytes) -> None:
        """Half a code is none: "the first two bytes of the body MUST be" a whole one."""
        problem = "A Close frame has half a code."
        assert client.says(frame(CLOSE, octet)) == [Closed(1002, problem)]
        assert client.hears() == goodbye(1002, problem)
        assert client.state is State.FAILED

    @pytest.mark.parametrize(
        "reason", [b"\xff", b"ok\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"x" * 122 + b"\x80"]
    )
    def test_reason(self, client: Client, reason: bytes) -> None:
        """A reason that is not UTF-8 fails the connection with 1007 (§8.1)."""
        problem = "The reason in a Close frame is not valid UTF-8."
        assert client.says(frame(CLOSE, b"\x03\xe8" + reason)) == [Closed(1007, problem)]
        assert client.hears() == goodbye(1007, problem)
        assert client.state is State.FAILED

    @pytest.mark.parametrize(
        ("body", "code", "problem"),
        [
            (b"\x03", 1002, "A Close frame has half a code."),
            (b"\x03\xed", 1002, "A Close frame carries the code 1005."),
            (b"\x03\xe8\xff", 1007, "The reason in a Close frame is not valid UTF-8."),
        ],
    )
    def test_as_answer(self, client: Client, body: bytes, code: int, problem: str) -> None:
        """In answer to the server's Close it is told in the same way, but nothing is sent."""
        client.connection.send_close()
        assert client.says(frame(CLOSE, body)) == [Closed(code, problem)]
        assert client.hears() == b""
        assert client.state is State.FAILED


class TestEndOfInput:
    """§7.1.5: without a Close from the client, the code is 1006."""

    @pytest.mark.parametrize(
        "before",
        [
            b"",
            b"\x81",
            text("hi")[:5],
            text("hi")[:7],
            text("half", fin=False),
            text(b"\xf0\x9f", fin=False),
            frame(PING, b"ping")[:8],
            close(1000)[:7],
        ],
        ids=[
            "between frames",
            "after one byte",
            "within a header",
            "within a payload",
            "within a message",
            "within a character",
            "within a Ping",
            "within a Close",
        ],
    )
    @pytest.mark.parametrize("hung_up", [False, True], ids=["open", "closing"])
    def test_anywhere(self, client: Client, before: bytes, hung_up: bool) -> None:
        """Wherever the stream ends, that is all there is to tell."""
        if hung_up:
            client.connection.send_close()
        assert client.says(before) == []
        assert client.leaves() == [Closed(1006, "")]
        assert client.hears() == b""
        assert client.state is State.CLOSED
        assert client.leaves() == []

    def test_after_message(self, client: Client) -> None:
        """Whole messages from before the end were given."""
        events: list[Event] = client.says(text("1") + text("2")) + client.leaves()
        assert events == ["1", "2", Closed(1006, "")]


class TestCloseCodes:
    """The names of the codes, §7.4.1 and the IANA registry."""

    def test_registry(self) -> None:
        """Each registered name has its number."""
        assert {code.name: code.value for code in CloseCode} == {
            "NORMAL_CLOSURE": 1000,
            "GOING_AWAY": 1001,
            "PROTOCOL_ERROR": 1002,
            "UNSUPPORTED_DATA": 1003,
            "NO_STATUS_RECEIVED": 1005,
            "ABNORMAL_CLOSURE": 1006,
            "INVALID_PAYLOAD_DATA": 1007,
            "POLICY_VIOLATION": 1008,
            "MESSAGE_TOO_BIG": 1009,
            "MANDATORY_EXTENSION": 1010,
            "INTERNAL_ERROR": 1011,
            "SERVICE_RESTART": 1012,
            "TRY_AGAIN_LATER": 1013,
            "BAD_GATEWAY": 1014,
            "TLS_HANDSHAKE": 1015,
            "UNAUTHORIZED": 4401,
            "NOT_FOUND": 4404,
        }
