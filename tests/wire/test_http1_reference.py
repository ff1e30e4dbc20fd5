"""A second opinion: `h11`, as a server, on the requests that clients send.

What both accept they must understand in the same way, byte for byte, or one of them could be made
to see a request that the other does not. Where the two differ stands in `TestKnownDifferences`,
each difference with its reason; all but three are that Fairway refuses more.
"""

from typing import Final, NamedTuple

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.wire.http1 import END_OF_MESSAGE, HTTP1Connection, Refusal, Request
from tests.wire.http1_requests import CODED, GET, LooseRequest, loose_requests, mutated
from tests.wire.streams import FUZZ

POST: Final = b"POST / HTTP/1.1"
SHORT_RESPONSE: Final = h11.Response(status_code=404, headers=[("content-length", "0")])


class Message(NamedTuple):
    """A request as far as it is known; ``whole`` once its end has been seen."""

    method: bytes
    target: bytes
    version: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    whole: bool


class Verdict(NamedTuple):
    """Requests, and the status with which the next one is refused, None if it is not, and why."""

    messages: list[Message]
    refused: int | None
    why: str = ""


def ours(data: bytes) -> Verdict:
    """Our verdict."""
    connection = HTTP1Connection()
    events = connection.receive_data(data)
    # What follows an upgrade is read as if there had been none, as the reference does.
    while isinstance(last := events[-1] if events else None, Request) and last.upgrade:
        events.append(END_OF_MESSAGE)
        if not last.keep_alive:
            break
        connection, data = HTTP1Connection(), connection.upgraded_data
        events += connection.receive_data(data)
    messages: list[Message] = []
    for event in events:
        if isinstance(event, Request):
            version = event.http_version.encode()
            head = (event.method.encode(), event.target, version, list(event.headers))
            messages.append(Message(*head, b"", whole=False))
        elif isinstance(event, Refusal):
            return Verdict(messages, event.status, event.detail)
        elif event is END_OF_MESSAGE:
            messages[-1] = messages[-1]._replace(whole=True)
        else:
            assert isinstance(event, bytes)
            messages[-1] = messages[-1]._replace(body=messages[-1].body + event)
    return Verdict(messages, None)


def theirs(data: bytes) -> Verdict:
    """The reference's verdict; it is given a response to each request so that it goes on."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    messages: list[Message] = []
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            # What comes after a last request is no request, but nothing to answer either.
            late = str(error) == "Got data when expecting EOF"
            return Verdict(messages, None if late else error.error_status_hint, str(error))
        if isinstance(event, h11.Request):
            head = (event.method, event.target, event.http_version, list(event.headers))
            messages.append(Message(*head, b"", whole=False))
        elif isinstance(event, h11.Data):
            messages[-1] = messages[-1]._replace(body=messages[-1].body + bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            messages[-1] = messages[-1]._replace(whole=True)
            connection.send(SHORT_RESPONSE)
            connection.send(h11.EndOfMessage())
            if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
                connection.start_next_cycle()
        else:
            return Verdict(messages, None)


class TestAgreement:
    """The same verdict as the reference."""

    @FUZZ
    @given(st.lists(loose_requests(), min_size=1, max_size=4))
    def test_requests(self, requests: list[LooseRequest]) -> None:
        """On pipelined requests with a fault here and there: what they say, and where it ends."""
        data = b"".join(request.data for request in requests)
        assert understood(ours(data)) == understood(theirs(data))


def understood(verdict: Verdict) -> tuple[list[Message], bool]:
    """What can be compared: HTTP/1.0 cannot be kept alive with `h11`, and statuses may differ."""
    for position, message in enumerate(verdict.messages):
        if message.version == b"1.0":
            return verdict.messages[: position + 1], False
    return verdict.messages, verdict.refused is not None


def is_known(why: str, data: bytes) -> bool:
    """Whether `h11` refuses what Fairway reads for a reason of `TestKnownDifferences`."""
    return why == "no request line received" or (
        why.startswith("illegal chunk header") and (b" ;" in data or b"\t;" in data)
    )


class TestStricter:
    """Fairway understands no request that the reference understands otherwise."""

    @FUZZ
    @given(mutated())
    def test_no_second_meaning(self, data: bytes) -> None:
        """Each request that is accepted is, to the byte, the one that the reference sees there."""
        mine, other = ours(data).messages, theirs(data)
        for position, message in enumerate(mine):
            if not message.whole:
                return  # the reference may have found the fault, or not have come that far
            if position == len(other.messages) or not other.messages[position].whole:
                assert other.refused is not None
                assert is_known(other.why, data), other.why
                return
            assert message == other.messages[position]
            if message.version == b"1.0":
                return  # which the reference never keeps alive


def fields(*lines: bytes, line: bytes = b"GET / HTTP/1.1") -> bytes:
    """A request with these field lines after its Host."""
    return b"".join(b"%b\r\n" % part for part in (line, b"Host: a", *lines, b""))


def sent_to_both(data: bytes) -> tuple[int | None, str, int | None, str]:
    """Status and reason, ours and theirs."""
    mine, other = ours(data), theirs(data)
    return mine.refused, mine.why, other.refused, other.why


class TestKnownDifferences:
    """Where the two differ, and the reason for what Fairway does."""

    @pytest.mark.parametrize(
        ("data", "status", "why"),
        [
            pytest.param(
                b"GET / HTTP/1.1\nHost: a\n\n",
                400,
                "A line ends in LF alone instead of CRLF.",
                id="RFC 9112 §2.2: LF alone MAY be read as a line's end; agents on the way may not",
            ),
            pytest.param(
                fields(b"X: a", b" b"),
                400,
                "A header field is folded over several lines.",
                id="RFC 9112 §5.2: an obs-fold is rejected with 400, which is one of the two ways",
            ),
            pytest.param(
                fields(b"Content-Length: 3", CODED, line=POST) + b"0\r\n\r\n",
                400,
                "Content-Length and Transfer-Encoding exclude each other.",
                id="RFC 9112 §6.3: both at once ought to be handled as an error",
            ),
            pytest.param(
                b"POST / HTTP/1.0\r\n" + CODED + b"\r\n\r\n0\r\n\r\n",
                400,
                "Transfer-Encoding does not exist in HTTP/1.0.",
                id="RFC 9112 §6.1: a coding in HTTP/1.0 means that the framing is faulty",
            ),
            pytest.param(
                fields(b"Content-Length: 3, 3", line=POST) + b"abc",
                400,
                "Content-Length is not one number that can be a length.",
                id="RFC 9110 §8.6: a list of equal lengths may be rejected, and some only see one",
            ),
            pytest.param(
                fields(b"Content-Length: 3", b"Content-Length: 3", line=POST) + b"abc",
                400,
                "Content-Length is not one number that can be a length.",
                id="RFC 9110 §8.6: the same in two lines",
            ),
            pytest.param(
                fields(b"Content-Length: 1000000000000000000", line=POST),
                400,
                "Content-Length is not one number that can be a length.",
                id="RFC 9112 §6.2 warns of overflow: beyond 63 bits a length is none",
            ),
            pytest.param(
                fields(CODED, line=POST) + b"1000000000000000\r\n",
                400,
                "The size of a chunk is beyond all reason.",
                id="RFC 9112 §7.1 warns of overflow: so is the size of a chunk",
            ),
            pytest.param(
                fields(b"X: a\x01"),
                400,
                "The value of a header field holds a control character.",
                id="RFC 9110 §5.5: values with control characters are invalid",
            ),
            pytest.param(
                fields(b"X: a\x7f"),
                400,
                "The value of a header field holds a control character.",
                id="RFC 9110 §5.5: so is DEL",
            ),
            pytest.param(
                b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
                400,
                "There is more than one Host header, or it names no valid host.",
                id="RFC 9112 §3.2: an invalid Host MUST be 400",
            ),
            pytest.param(
                fields(line=b"GET /#f HTTP/1.1"),
                400,
                "The request target has a fragment, which is for the client alone.",
                id="RFC 9110 §7.1: a target has no fragment",
            ),
            pytest.param(
                fields(line=b"GET * HTTP/1.1"),
                400,
                "The request target is neither a path nor a URI of this server.",
                id="RFC 9112 §3.2.4: the asterisk is for OPTIONS",
            ),
            pytest.param(
                fields(line=b"GET a:80 HTTP/1.1"),
                400,
                "The request target is neither a path nor a URI of this server.",
                id="RFC 9112 §3.2.3: the authority is for CONNECT",
            ),
            pytest.param(
                fields(line=b"CONNECT a:80 HTTP/1.1"),
                501,
                "This server is not a proxy: it does not implement CONNECT.",
                id="RFC 9110 §9.3.6: an origin server may not implement CONNECT",
            ),
            pytest.param(
                fields(line=b"BREW / HTTP/1.1"),
                501,
                "This server does not implement the request method.",
                id="RFC 9110 §9.1: an unknown method SHOULD be 501",
            ),
            pytest.param(
                fields(line=b"GET / HTTP/2.0"),
                505,
                "This server speaks HTTP/1.1 and HTTP/1.0.",
                id="RFC 9110 §15.6.6: another major version is 505",
            ),
            pytest.param(
                fields(b"Expect: tea", b"Content-Length: 1", line=POST) + b"x",
                417,
                "This server meets no other expectation than 100-continue.",
                id="RFC 9110 §10.1.1: an unknown expectation MAY be 417",
            ),
        ],
    )
    def test_stricter(self, data: bytes, status: int, why: str) -> None:
        """What `h11` reads and Fairway refuses."""
        assert sent_to_both(data) == (status, why, None, "")

    def test_empty_line_before_a_request(self) -> None:
        """RFC 9112 §2.2: at least one SHOULD be ignored; old clients send one behind a POST."""
        assert ours(b"\r\n" + GET) == ours(GET)
        assert theirs(b"\r\n" + GET) == Verdict([], 400, "no request line received")

    def test_space_before_an_extension(self) -> None:
        """RFC 9112 §7.1.1: a recipient MUST parse bad white space around the semicolon."""
        data = fields(CODED, line=POST)
        assert ours(data + b"1 ;a\r\nx\r\n0\r\n\r\n") == ours(data + b"1;a\r\nx\r\n0\r\n\r\n")
        assert theirs(data + b"1 ;a\r\nx\r\n0\r\n\r\n").why.startswith("illegal chunk header: ")

    def test_absolute_target(self) -> None:
        """RFC 9112 §3.2.2: the host of an absolute target replaces the header."""
        data = fields(line=b"GET http://b/c HTTP/1.1")
        assert ours(data).messages[0].headers == [(b"host", b"b")]
        assert theirs(data).messages[0].headers == [(b"host", b"a")]

    def test_another_coding(self) -> None:
        """RFC 9112 §6.3: 400 if the body's length cannot be known, where `h11` says 501."""
        data = fields(b"Transfer-Encoding: gzip", line=POST)
        why = "The last transfer coding has to be chunked, and only that one."
        assert sent_to_both(data) == (400, why, 501, "Only Transfer-Encoding: chunked is supported")

    def test_kept_alive_in_http_1_0(self) -> None:
        """RFC 9112 §9.3: HTTP/1.0 may ask for it, which `h11` never grants."""
        data = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        assert len(ours(data * 2).messages) == 2
        assert len(theirs(data * 2).messages) == 1
