"""Chunked bodies (RFC 9112 §7.1); every input at once, byte by byte and cut in two."""

import pytest

from fairway.wire.http1_chunked import MAX_SIZE_LINE, ChunkedDecoder
from fairway.wire.http1_events import HTTP1Limits, Refusal
from tests.wire.http1_input import END, Described, receive, request

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def decode(body: bytes, limits: HTTP1Limits | None = None) -> list[Described]:
    """What a connection makes of a chunked body and the request behind it."""
    first, *events = receive(HEAD + body + NEXT, limits)
    headers = [(b"host", b"a"), (b"transfer-encoding", b"chunked")]
    assert first == request(headers=headers, has_body=True)
    return events


class TestChunks:
    """RFC 9112 §7.1."""

    @pytest.mark.parametrize(
        ("body", "data"),
        [
            (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
            (b"5\r\nhello\r\n1\r\n \r\n005\r\nworld\r\n000\r\n\r\n", b"hello world"),
            (b"b\r\nhello world\r\n0\r\n\r\n", b"hello world"),
            (b"B\r\nhello world\r\n0\r\n\r\n", b"hello world"),
            (b"000000000000001\r\na\r\n0\r\n\r\n", b"a"),
            (b"6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", b"\r\n0\r\n\r"),
            (b"1\r\na\r\n1\r\nb\r\n1;x=y\r\nc\r\n1\r\nd\r\n2\r\nef\r\n0;z\r\n\r\n", b"abcdef"),
        ],
    )
    def test_data(self, body: bytes, data: bytes) -> None:
        """Sizes are hexadecimal; the data may be anything, and the next request follows it."""
        assert decode(body) == [data, END, request(), END]

    def test_empty_body(self) -> None:
        """The last chunk alone is a body without data."""
        assert decode(b"0\r\n\r\n") == [END, request(), END]

    def test_chunks_that_arrive_together_are_one_part(self) -> None:
        """The application is not woken for each chunk, only for what arrived."""
        data = b"..1\r\na\r\n2\r\nbc\r\n0\r\n\r\nGET"
        assert ChunkedDecoder(HTTP1Limits()).decode(data, 2) == (b"abc", 20, END)

    @pytest.mark.parametrize(
        "line",
        [b"", b"x", b"5x", b"0x5", b"+5", b"-5", b" 5", b"5 ", b"5\t", b"5,", b"5 x", b"\xb25"],
    )
    def test_bad_size(self, line: bytes) -> None:
        """What is not a hexadecimal number is 400."""
        detail = "The size of a chunk is not a hexadecimal number."
        assert decode(line + b"\r\nhello\r\n0\r\n\r\n") == [Refusal(400, detail)]

    @pytest.mark.parametrize("size", [b"1" + 15 * b"0", b"f" * 16, b"0" * 15 + b"5", b"F" * 100])
    def test_huge_size(self, size: bytes) -> None:
        """A size that would overflow somewhere is 400."""
        detail = "The size of a chunk is beyond all reason."
        assert decode(size + b"\r\nhello\r\n0\r\n\r\n") == [Refusal(400, detail)]

    @pytest.mark.parametrize(
        "body",
        [
            b"5\r\nhello!\r\n0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello\r0\r\n\r\n",
            b"5\r\nhello\n\r\n0\r\n\r\n",
        ],
    )
    def test_wrong_end(self, body: bytes) -> None:
        """CRLF has to stand where the size says that a chunk ends."""
        detail = "A chunk does not end where its size says."
        assert decode(body) == [b"hello", Refusal(400, detail)]

    @pytest.mark.parametrize("line", [b"5\nhello", b"5;a\nhello", b"\nhello"])
    def test_bare_lf(self, line: bytes) -> None:
        """A size line ends in CRLF: some would read on to it, others only to LF."""
        detail = "A line of a chunked body ends in LF alone instead of CRLF."
        assert decode(line + b"\r\n0\r\n\r\n") == [Refusal(400, detail)]


class TestExtensions:
    """RFC 9112 §7.1.1."""

    @pytest.mark.parametrize(
        "extension",
        [
            b";a",
            b";a=b",
            b' ; a = "b;c"',
            b';a="\\"\xe4\t";b',
            b";a" * ((MAX_SIZE_LINE - 1) // 2),
        ],
    )
    def test_ignored(self, extension: bytes) -> None:
        """Extensions have no meaning here, and so no effect."""
        events = decode(b"5%b\r\nhello\r\n0%b\r\n\r\n" % (extension, extension))
        assert events == [b"hello", END, request(), END]

    @pytest.mark.parametrize("extension", [b";a\rb", b";a\0", b";\x7f", b";a\r", b';a="\r"'])
    def test_control_characters(self, extension: bytes) -> None:
        """They hold no control characters; a bare CR least of all."""
        detail = "The extension of a chunk is malformed."
        assert decode(b"5%b\r\nhello\r\n0\r\n\r\n" % extension) == [Refusal(400, detail)]

    @pytest.mark.parametrize(
        "extension",
        [b";", b";;a", b";a=", b";a=b c", b";\xe4", b';a="b', b";a;", b"; a b", b";a ="],
    )
    def test_malformed(self, extension: bytes) -> None:
        """What is none is refused: somebody else might find the end of the line elsewhere."""
        detail = "The extension of a chunk is malformed."
        assert decode(b"5%b\r\nhello\r\n0\r\n\r\n" % extension) == [Refusal(400, detail)]

    @pytest.mark.parametrize("line", [b"5\r", b"5 ", b"\t5"])
    def test_size_alone(self, line: bytes) -> None:
        """Without one there is nothing beside the size, no whitespace either."""
        detail = "The size of a chunk is not a hexadecimal number."
        assert decode(b"%b\r\nhello\r\n0\r\n\r\n" % line) == [Refusal(400, detail)]

    def test_ahead_of_the_data(self) -> None:
        """All of them together are not ahead of the data by more than their limit."""
        limits = HTTP1Limits(chunk_extensions=100)
        signed = b"64;%b\r\n%b\r\n" % (b"a" * 99, b"x" * 100)
        assert decode(signed * 5 + b"0\r\n\r\n", limits)[0] == b"x" * 500
        detail = "The chunks have more extensions than this server accepts."
        small = b"1;%b\r\nx\r\n" % (b"a" * 49)
        assert decode(small * 3, limits)[-1] == Refusal(400, detail, "chunk_extensions")
        unlimited = HTTP1Limits(chunk_extensions=0)
        assert decode(small * 9 + b"0\r\n\r\n", unlimited)[0] == b"x" * 9

    @pytest.mark.parametrize("excess", [0, 1, 2, 1000])
    def test_bounded(self, excess: int) -> None:
        """A size line that is too long is refused, whether it ends or not."""
        detail = "The line that begins a chunk is longer than this server accepts."
        line = b"5;" + b"a" * (MAX_SIZE_LINE - 1 + excess)
        assert decode(line + b"\r\nhello\r\n0\r\n\r\n") == [Refusal(400, detail)]
        assert decode(line + b"a") == [Refusal(400, detail)]


class TestTrailers:
    """RFC 9112 §7.1.2, RFC 9110 §6.5."""

    @pytest.mark.parametrize(
        "trailers", [b"X: y\r\n", b"X: y\r\nContent-Length: 5\r\nHost:\r\nTransfer-Encoding: x\r\n"]
    )
    def test_dropped(self, trailers: bytes) -> None:
        """Trailer fields are read and forgotten, whatever they say."""
        assert decode(b"0\r\n%b\r\n" % trailers) == [END, request(), END]

    @pytest.mark.parametrize(
        ("trailer", "detail"),
        [
            (b"X", "A header field has no colon."),
            (b"X : y", "There is whitespace between the name of a header field and its colon."),
            (b"X: y\r\n z", "A header field is folded over several lines."),
            (b"X: y\0", "The value of a header field holds a control character."),
            (b"X: y\n", "A line of a chunked body ends in LF alone instead of CRLF."),
            (b"\n", "A line of a chunked body ends in LF alone instead of CRLF."),
            (b"\r\r", "A header field has no colon."),
        ],
    )
    def test_malformed(self, trailer: bytes, detail: str) -> None:
        """They are held to the rules of header fields."""
        assert decode(b"0\r\n%b\r\n\r\n" % trailer) == [Refusal(400, detail)]

    def test_size(self) -> None:
        """Together they may be as large as the header fields."""
        limits = HTTP1Limits(header_size=40)
        assert decode(b"0\r\nA: %b\r\nB: c\r\n\r\n" % (b"a" * 29), limits) == [END, request(), END]
        too_large = Refusal(431, "The trailer fields together are larger than this server accepts.")
        assert decode(b"0\r\nA: %b\r\nB: c\r\n\r\n" % (b"a" * 30), limits) == [too_large]
        assert decode(b"0\r\nA: " + b"a" * 100, limits) == [too_large]
        assert decode(b"0\r\n" + b"A: b\r\n" * 100, limits) == [too_large]

    def test_count(self) -> None:
        """They may be as many as the header fields."""
        limits = HTTP1Limits(header_count=2)
        assert decode(b"0\r\nA: b\r\nA: b\r\n\r\n", limits) == [END, request(), END]
        too_many = Refusal(431, "There are more header fields than this server accepts.")
        assert decode(b"0\r\nA: b\r\nA: b\r\nA: b\r\n\r\n", limits) == [too_many]

    def test_no_limits(self) -> None:
        """0 means no limit."""
        limits = HTTP1Limits(header_size=0, header_count=0)
        assert decode(b"0\r\n" + b"A: b\r\n" * 500 + b"\r\n", limits) == [END, request(), END]


class TestBodySize:
    @pytest.mark.parametrize("body_size", [None, 0, 10])
    def test_within(self, body_size: int | None) -> None:
        """A body may be as large as its limit, if there is one."""
        body = b"5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"
        assert decode(body, HTTP1Limits(body_size=body_size)) == [
            b"helloworld",
            END,
            request(),
            END,
        ]

    def test_beyond_in_small_chunks(self) -> None:
        """The chunk that would exceed it is refused at its size, after those before it."""
        decoder = ChunkedDecoder(HTTP1Limits(body_size=3))
        body = b"1\r\na\r\n" * 4 + b"0\r\n\r\n"
        detail = "The request body is larger than this server accepts."
        assert decoder.decode(body, 0) == (b"aaa", 21, Refusal(413, detail, "body_size"))

    def test_beyond(self) -> None:
        """A chunk that passes the limit is refused when it is announced: 413."""
        body = b"5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"
        too_large = Refusal(413, "The request body is larger than this server accepts.")
        assert decode(body, HTTP1Limits(body_size=9)) == [b"hello", too_large]
        assert decode(body, HTTP1Limits(body_size=4)) == [too_large]
        assert decode(b"fffffffffffffff\r\n", HTTP1Limits(body_size=9)) == [too_large]
