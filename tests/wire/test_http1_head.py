"""The head of a request, as RFC 9112 has it; every input at once, byte by byte and cut in two."""

import pytest

from fairway.wire import http1_head
from fairway.wire.http1_events import HTTP1Limits, Refusal, Request
from fairway.wire.http1_faults import KNOWN_METHODS
from fairway.wire.http1_head import HeadReader, PartialHead, skip_empty_lines
from tests.wire.http1_input import END, describe, feed, receive, refusal, request

HOST = b"Host: a\r\n"


def get(fields: bytes = b"", target: bytes = b"/", version: bytes = b"1.1") -> bytes:
    """A GET request with a Host and further field lines."""
    return b"GET %b HTTP/%b\r\n%b%b\r\n" % (target, version, HOST, fields)


class TestRequestLine:
    """RFC 9112 §3."""

    def test_simple_request(self) -> None:
        """A request line and a Host are a whole request."""
        assert receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") == [request(), END]

    @pytest.mark.parametrize("method", KNOWN_METHODS)
    def test_methods(self, method: bytes) -> None:
        """Every method that is known reaches the application."""
        events = receive(b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % method)
        assert events == [request(method=method.decode()), END]

    @pytest.mark.parametrize("method", [b"BREW", b"get", b"!", b"GETS", b"DESCRIBE"])
    def test_unknown_method(self, method: bytes) -> None:
        """A method that is not known is 501 (RFC 9110 §9.1); methods are case-sensitive."""
        answer = refusal(b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % method)
        assert answer == Refusal(501, "This server does not implement the request method.")

    def test_connect(self) -> None:
        """CONNECT is for proxies: 501 (RFC 9110 §15.6.2)."""
        answer = refusal(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")
        detail = "This server is not a proxy: it does not implement CONNECT."
        assert answer == Refusal(501, detail)

    @pytest.mark.parametrize(
        "line",
        [
            b"PRI * HTTP/2.0",
            b"GET / HTTP/0.9",
            b"GET / HTTP/2.0",
            b"GET / HTTP/1.2",
            b"X / HTTP/3.0",
        ],
    )
    def test_other_versions(self, line: bytes) -> None:
        """Another version, such as the preface of HTTP/2, is 505 (RFC 9110 §15.6.6)."""
        answer = refusal(line + b"\r\n\r\nSM\r\n\r\n")
        assert answer == Refusal(505, "This server speaks HTTP/1.1 and HTTP/1.0.")

    def test_http09(self) -> None:
        """HTTP/0.9 is refused as soon as its line is complete: nothing follows it."""
        answer = refusal(b"GET /\r\n")
        detail = "The request line names no HTTP version; HTTP/0.9 is not spoken here."
        assert answer == Refusal(400, detail)

    @pytest.mark.parametrize(
        "line",
        [
            b"GET  / HTTP/1.1",
            b"GET /  HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b"GET\t/\tHTTP/1.1",
            b"GET / a HTTP/1.1",
            b"GET / http/1.1",
            b"GET / HTTP/11",
            b"GET / HTTP/1.",
            b"GET / HTTP/1.10",
            b"GET / ICE/1.0",
            b"GET / RTSP/1.0",
            b"GET",
            b"GE(T / HTTP/1.1",
        ],
    )
    def test_malformed_line(self, line: bytes) -> None:
        """Method, target and version stand with one space between, or it is 400."""
        detail = "The request line is not a method, a target and a version with one space between."
        assert refusal(line + b"\r\nHost: a\r\n\r\n") == Refusal(400, detail)

    @pytest.mark.parametrize(
        "first", [b"\x15\x03\x01\x02\x00", b" GET", b"\0", b"\x80", b"\rGET", b"("]
    )
    def test_not_http(self, first: bytes) -> None:
        """What cannot begin a method is 400 at the first byte that shows it."""
        answer = refusal(first)
        detail = "The request does not begin with a method; is this a client of HTTP?"
        assert answer == Refusal(400, detail)

    @pytest.mark.parametrize("first", [b"\x16", b"\x16\x03\x01\x02\x00"])
    def test_tls(self, first: bytes) -> None:
        """TLS where none is spoken is called by its name."""
        assert refusal(first) == Refusal(400, "The client speaks TLS, and this port does not.")

    def test_line_ends(self) -> None:
        """A line ends in CRLF, not in LF, and CR stands nowhere else."""
        bare_lf = Refusal(400, "A line ends in LF alone instead of CRLF.")
        assert refusal(b"GET / HTTP/1.1\nHost: a\n\n") == bare_lf
        assert refusal(b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n") == bare_lf
        assert refusal(b"\r\n\nGET / HTTP/1.1\r\n") == bare_lf
        bare_cr = Refusal(400, "There is a CR that is not followed by LF.")
        assert refusal(b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n") == bare_cr
        assert refusal(b"GET / HTTP/1.1\rHost: a\r\n\r\n") == bare_cr

    def test_empty_lines_before(self) -> None:
        """Empty lines before a request are ignored (§2.2)."""
        assert receive(b"\r\n" + get()) == [request(), END]
        assert receive(b"\r\n\r\n\r\n" + get() + b"\r\n\r\n" + get() + b"\r\n") == [
            request(),
            END,
            request(),
            END,
        ]

    def test_skip_empty_lines(self) -> None:
        """Only whole empty lines are skipped."""
        assert skip_empty_lines(b"\r\n\r\n\rG", 0) == 4
        assert skip_empty_lines(b"\r\n\r\n", 2) == 4
        assert skip_empty_lines(b"GET", 1) == 1


class TestRequestTarget:
    """RFC 9112 §3.2."""

    @pytest.mark.parametrize(
        ("target", "path", "query_string"),
        [
            (b"/", b"/", b""),
            (b"/a/b", b"/a/b", b""),
            (b"/a?b=c&d", b"/a", b"b=c&d"),
            (b"/a?b?c", b"/a", b"b?c"),
            (b"/a?", b"/a", b""),
            (b"/?a", b"/", b"a"),
            (b"//a/b", b"//a/b", b""),
            (b"/%C3%A4%2F%00", b"/%C3%A4%2F%00", b""),
            (b"/../a;b=1,2/'(!)*", b"/../a;b=1,2/'(!)*", b""),
            (b'/{a}|"<\\>^`[]', b'/{a}|"<\\>^`[]', b""),
            (b"/http://b/", b"/http://b/", b""),
        ],
    )
    def test_origin_form(self, target: bytes, path: bytes, query_string: bytes) -> None:
        """A path and a query, taken apart at the first question mark and not decoded."""
        wanted = request(target=target, path=path, query_string=query_string)
        assert receive(get(target=target)) == [wanted, END]

    @pytest.mark.parametrize(
        ("target", "path", "query_string", "host"),
        [
            (b"http://b/c?d", b"/c", b"d", b"b"),
            (b"HTTPS://B:8000/c", b"/c", b"", b"B:8000"),
            (b"http://b", b"/", b"", b"b"),
            (b"http://b?d", b"/", b"d", b"b"),
            (b"http://[::1]:80/", b"/", b"", b"[::1]:80"),
        ],
    )
    def test_absolute_form(
        self, target: bytes, path: bytes, query_string: bytes, host: bytes
    ) -> None:
        """A whole URI gives path and query, and its authority replaces Host (§3.2.2)."""
        wanted = request(
            target=target,
            path=path,
            query_string=query_string,
            headers=[(b"host", host), (b"x", b"y")],
        )
        assert receive(get(b"X: y\r\n", target)) == [wanted, END]

    def test_absolute_form_without_host(self) -> None:
        """In HTTP/1.0 the authority becomes the Host that was not sent; HTTP/1.1 has to send it."""
        wanted = request(
            target=b"http://b/c",
            path=b"/c",
            http_version="1.0",
            headers=[(b"host", b"b")],
            keep_alive=False,
        )
        assert receive(b"GET http://b/c HTTP/1.0\r\n\r\n") == [wanted, END]
        assert refusal(b"GET http://b/c HTTP/1.1\r\n\r\n").status == 400

    @pytest.mark.parametrize("target", [b"*", b"http://b"])
    def test_asterisk_form(self, target: bytes) -> None:
        """OPTIONS may be about the whole server: ``*``, or a URI with nothing behind its host."""
        data = b"OPTIONS %b HTTP/1.1\r\nHost: b\r\n\r\n" % target
        wanted = request(method="OPTIONS", target=target, path=b"*", headers=[(b"host", b"b")])
        assert receive(data) == [wanted, END]

    @pytest.mark.parametrize(
        "target",
        [
            b"*",
            b"a",
            b"?a",
            b"a:443",
            b"http:/a",
            b"http:///a",
            b"http://:80/a",
            b"http://user@b/",
            b"http://user:password@b/",
            b"http://b:port/",
            b"http://[b/",
            b"ftp://b/",
            b"ws://b/",
            b"mailto:b",
        ],
    )
    def test_other_targets(self, target: bytes) -> None:
        """Anything else is 400, also an authority with user information (RFC 9110 §4.2.4)."""
        detail = "The request target is neither a path nor a URI of this server."
        assert refusal(get(target=target)) == Refusal(400, detail)

    def test_fragment(self) -> None:
        """A fragment is never sent (RFC 9110 §7.1)."""
        detail = "The request target has a fragment, which is for the client alone."
        assert refusal(get(target=b"/a#b")) == Refusal(400, detail)

    @pytest.mark.parametrize("byte", [*range(9), 11, 12, *range(14, 32), 127, 128, 195, 255])
    def test_bytes_of_the_target(self, byte: int) -> None:
        """Controls and what is not ASCII have to be percent-encoded."""
        detail = "The request target holds a byte that is no visible ASCII character."
        assert refusal(get(target=b"/a%cb" % byte)) == Refusal(400, detail)


class TestHost:
    """RFC 9112 §3.2, RFC 9110 §7.2."""

    @pytest.mark.parametrize(
        "host",
        [
            b"",
            b"example.com",
            b"EXAMPLE.com:8000",
            b"example.com:",
            b"127.0.0.1:80",
            b"[::1]",
            b"[fe80::1]:8000",
            b"[v1.a:b]",
            b"under_score.example",
            b"%C3%A4.example",
        ],
    )
    def test_valid(self, host: bytes) -> None:
        """A name, an address or nothing, with or without a port."""
        events = receive(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
        assert events == [request(headers=[(b"host", host)]), END]

    @pytest.mark.parametrize(
        "host",
        [
            b"a b",
            b"a/b",
            b"a:b",
            b"a:80:80",
            b"a@b",
            b"a\\b",
            b"::1",
            b"[::1",
            b"[::1]a",
            b"[g::1]",
            b"\xc3\xa4.example",
            b"http://a",
            b"a, b",
            b'"a"',
            b"a?b",
            b"a#b",
        ],
    )
    def test_invalid(self, host: bytes) -> None:
        """Anything else is 400."""
        answer = refusal(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
        detail = "There is more than one Host header, or it names no valid host."
        assert answer == Refusal(400, detail)

    @pytest.mark.parametrize("version", [b"1.0", b"1.1"])
    @pytest.mark.parametrize("hosts", [b"Host: a\r\nHost: a\r\n", b"Host:\r\nhOST:\r\n"])
    def test_repeated(self, version: bytes, hosts: bytes) -> None:
        """More than one is 400, also if they are equal."""
        answer = refusal(b"GET / HTTP/%b\r\n%b\r\n" % (version, hosts))
        detail = "There is more than one Host header, or it names no valid host."
        assert answer == Refusal(400, detail)

    def test_missing(self) -> None:
        """HTTP/1.1 cannot do without; HTTP/1.0 can."""
        missing = Refusal(400, "The Host header is missing.")
        assert refusal(b"GET / HTTP/1.1\r\n\r\n") == missing
        assert refusal(b"GET / HTTP/1.1\r\nX: y\r\n\r\n") == missing
        events = receive(b"GET / HTTP/1.0\r\n\r\n")
        assert events == [request(http_version="1.0", headers=[], keep_alive=False), END]

    def test_not_required(self) -> None:
        """A server may do without one, if it is told to; what names no host is refused still."""
        lenient = HTTP1Limits(host_required=False)
        assert receive(b"GET / HTTP/1.1\r\n\r\n", limits=lenient) == [request(headers=[]), END]
        detail = "There is more than one Host header, or it names no valid host."
        refused = refusal(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", limits=lenient)
        assert refused == Refusal(400, detail)


class TestFields:
    """RFC 9112 §5, RFC 9110 §5.5."""

    @pytest.mark.row("7 10")
    def test_names_and_values(self) -> None:
        """Names are in lower case, whitespace around values is gone, order and repetition stay."""
        data = get(
            b"X-One:1\r\nx-two:  a \t b \t\r\nEmpty:\r\nBlank:  \t\r\nX-One: \xe4\xff\r\n"
            b"X_Under: 1\r\n!#$%&'*+-.^_`|~09aZ: token\r\nUser-Agent: b\r\nuser-agent: c\r\n"
        )
        headers = [
            (b"host", b"a"),
            (b"x-one", b"1"),
            (b"x-two", b"a \t b"),
            (b"empty", b""),
            (b"blank", b""),
            (b"x-one", b"\xe4\xff"),
            (b"x_under", b"1"),
            (b"!#$%&'*+-.^_`|~09az", b"token"),
            (b"user-agent", b"b"),
            (b"user-agent", b"c"),
        ]
        assert receive(data) == [request(headers=headers), END]

    @pytest.mark.parametrize(
        ("line", "detail"),
        [
            (b"X : y", "There is whitespace between the name of a header field and its colon."),
            (b"X\t: y", "There is whitespace between the name of a header field and its colon."),
            (b" X: y", "A header field is folded over several lines."),
            (b"\tX: y", "A header field is folded over several lines."),
            (b" ", "A header field is folded over several lines."),
            (b"X y", "A header field has no colon."),
            (b"X", "A header field has no colon."),
            (b": y", "A header field has no name."),
            (b"X(: y", "The name of a header field holds a character that names cannot have."),
            (b"X Y: z", "The name of a header field holds a character that names cannot have."),
            (b"\xe4: y", "The name of a header field holds a character that names cannot have."),
            (b"X\0: y", "The name of a header field holds a character that names cannot have."),
            (b"X: y\rz", "There is a CR that is not followed by LF."),
            (b"X: y\r", "There is a CR that is not followed by LF."),
            (b"X: \ry", "There is a CR that is not followed by LF."),
            (b"X:\r y", "There is a CR that is not followed by LF."),
            (b"X: y\nZ: a", "A line ends in LF alone instead of CRLF."),
            (b"X: y\n", "A line ends in LF alone instead of CRLF."),
        ],
    )
    def test_malformed_field(self, line: bytes, detail: str) -> None:
        """What agents on the way might read differently is 400."""
        assert refusal(get(line + b"\r\n")) == Refusal(400, detail)

    @pytest.mark.parametrize("byte", [*range(9), 11, 12, *range(14, 32), 127])
    def test_control_characters_in_values(self, byte: int) -> None:
        """A value holds no control characters but the tab."""
        answer = refusal(get(b"X: a%cb\r\n" % byte))
        assert answer == Refusal(400, "The value of a header field holds a control character.")

    @pytest.mark.parametrize("field", [b" X: y\r\n", b"\tX: y\r\n", b" \r\n"])
    def test_whitespace_before_the_first_field(self, field: bytes) -> None:
        """Whitespace between request line and fields is 400 (§2.2)."""
        answer = refusal(b"GET / HTTP/1.1\r\n%bHost: a\r\n\r\n" % field)
        assert answer == Refusal(400, "There is whitespace before the first header field.")

    def test_first_fault_wins(self) -> None:
        """What is wrong in the request line is said before what is wrong behind it."""
        assert refusal(b"BREW / HTTP/1.1\r\nHost: a\nX\r\n\r\n").status == 501


class TestFraming:
    """RFC 9112 §6: two agents must never differ about where a request ends."""

    @pytest.mark.parametrize("value", [b"5", b"  5 ", b"0005", b"000000000000000005"])
    def test_content_length(self, value: bytes) -> None:
        """A number of bytes follows."""
        data = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:%b\r\n\r\nhello" % value
        headers = [(b"host", b"a"), (b"content-length", value.strip())]
        wanted = request(method="POST", headers=headers, content_length=5, has_body=True)
        assert receive(data) == [wanted, b"hello", END]

    def test_content_length_of_zero(self) -> None:
        """No body, but the length was said."""
        data = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        headers = [(b"host", b"a"), (b"content-length", b"0")]
        assert receive(data + data) == 2 * [
            request(method="POST", headers=headers, content_length=0),
            END,
        ]

    def test_any_method_may_have_a_body(self) -> None:
        """The framing does not depend on the method (§6)."""
        headers = [(b"host", b"a"), (b"content-length", b"2")]
        wanted = request(headers=headers, content_length=2, has_body=True)
        data = get(b"Content-Length: 2\r\n") + b"hi"
        assert receive(data + data) == 2 * [wanted, b"hi", END]

    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b"+5",
            b"-5",
            b"5.0",
            b"0x5",
            b"5_0",
            b"5 5",
            b"5;5",
            b"five",
            b"\xb2",
            b"5, 5",
            b"5,",
            b"5, 6",
            b"9223372036854775808",
            b"18446744073709551621",
            b"99999999999999999999999",
            b"0000000000000000000005",
        ],
    )
    def test_bad_content_length(self, value: bytes) -> None:
        """What is not one number, or would overflow somewhere, is 400 (§6.3)."""
        answer = refusal(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %b\r\n\r\nhello" % value)
        assert answer == Refusal(400, "Content-Length is not one number that can be a length.")

    @pytest.mark.parametrize("second", [b"5", b"6", b""])
    def test_repeated_content_length(self, second: bytes) -> None:
        """Two lines are 400, also if they say the same."""
        fields = b"Content-Length: 5\r\ncontent-length: %b\r\n" % second
        answer = refusal(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\nhello" % fields)
        assert answer == Refusal(400, "Content-Length is not one number that can be a length.")

    @pytest.mark.parametrize(
        "fields",
        [
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            b"Content-Length: 0\r\nTransfer-Encoding: identity\r\n",
            b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        ],
    )
    def test_both(self, fields: bytes) -> None:
        """Content-Length beside Transfer-Encoding is how requests are smuggled: 400 (§6.3)."""
        answer = refusal(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n0\r\n\r\n" % fields)
        assert answer == Refusal(400, "Content-Length and Transfer-Encoding exclude each other.")

    @pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b" CHUNKED "])
    def test_chunked(self, coding: bytes) -> None:
        """Chunks follow, whatever the case of the word."""
        fields = b"Transfer-Encoding:%b\r\n" % coding
        headers = [(b"host", b"a"), (b"transfer-encoding", coding.strip())]
        wanted = request(headers=headers, has_body=True)
        assert receive(get(fields) + b"5\r\nhello\r\n0\r\n\r\n") == [wanted, b"hello", END]

    def test_stricter_than_the_standard(self) -> None:
        """A tab after the coding is whitespace to the standard, but nothing that llhttp accepts."""
        answer = refusal(get(b"Transfer-Encoding: chunked\t\r\n") + b"0\r\n\r\n")
        assert answer == Refusal(400, "The request is malformed.")

    @pytest.mark.parametrize(
        "fields",
        [
            b"Transfer-Encoding:\r\n",
            b"Transfer-Encoding: identity\r\n",
            b"Transfer-Encoding: gzip\r\n",
            b"Transfer-Encoding: chunked, gzip\r\n",
            b"Transfer-Encoding: chunked, identity\r\n",
            b"Transfer-Encoding: chunked, chunked\r\n",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
            b"Transfer-Encoding: chunked,\r\n",
            b"Transfer-Encoding: ,\r\n",
            b"Transfer-Encoding: xchunked\r\n",
            b"Transfer-Encoding: chunkedx\r\n",
            b"Transfer-Encoding: chunked;q=1\r\n",
            b'Transfer-Encoding: "chunked"\r\n',
            b"Transfer-Encoding: chunked chunked\r\n",
        ],
    )
    def test_not_chunked_at_the_end(self, fields: bytes) -> None:
        """A request whose last coding is not chunked, exactly once, has no end: 400 (§6.3)."""
        answer = refusal(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n0\r\n\r\n" % fields)
        detail = "The last transfer coding has to be chunked, and only that one."
        assert answer == Refusal(400, detail)

    @pytest.mark.parametrize(
        "fields",
        [
            b"Transfer-Encoding: gzip, chunked\r\n",
            b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: , chunked\r\n",
        ],
    )
    def test_other_codings(self, fields: bytes) -> None:
        """A coding that the server does not know is 501 (§6.1)."""
        answer = refusal(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n0\r\n\r\n" % fields)
        detail = "This server knows no other transfer coding than chunked."
        assert answer == Refusal(501, detail)

    @pytest.mark.parametrize("coding", [b"chunked", b"gzip", b"gzip, chunked"])
    def test_transfer_encoding_in_http10(self, coding: bytes) -> None:
        """HTTP/1.0 has no transfer codings: its framing is faulty (§6.1)."""
        answer = refusal(b"POST / HTTP/1.0\r\nTransfer-Encoding: %b\r\n\r\n0\r\n\r\n" % coding)
        assert answer == Refusal(400, "Transfer-Encoding does not exist in HTTP/1.0.")

    @pytest.mark.parametrize(
        "field",
        [b"Transfer-Encoding : chunked", b" Transfer-Encoding: chunked", b"Content-Length : 1"],
    )
    def test_hidden_framing(self, field: bytes) -> None:
        """A framing field that others might overlook, or see, is 400."""
        assert refusal(get(field + b"\r\n") + b"0\r\n\r\n").status == 400


class TestConnection:
    """RFC 9112 §9.3."""

    @pytest.mark.parametrize(
        ("version", "fields", "keep_alive"),
        [
            ("1.1", b"", True),
            ("1.1", b"Connection: keep-alive\r\n", True),
            ("1.1", b"Connection: close\r\n", False),
            ("1.1", b"Connection: Close\r\n", False),
            ("1.1", b"Connection: foo\r\n", True),
            ("1.1", b"Connection:\r\n", True),
            ("1.1", b"Connection: keep-alive, close\r\n", False),
            ("1.1", b"Connection: foo\r\nConnection: bar ,CLOSE\t, x\r\n", False),
            ("1.1", b"Connection: xclose\r\n", True),
            ("1.1", b"Proxy-Connection: close\r\n", True),
            ("1.1", b"Keep-Alive: timeout=5\r\n", True),
            ("1.0", b"", False),
            ("1.0", b"Connection: keep-alive\r\n", True),
            ("1.0", b"Connection: Keep-Alive\r\n", True),
            ("1.0", b"Connection: foo, KEEP-ALIVE\r\n", True),
            ("1.0", b"Connection: keep-alive, close\r\n", False),
            ("1.0", b"Connection: close\r\n", False),
            ("1.0", b"Connection: foo\r\n", False),
            ("1.0", b"Proxy-Connection: keep-alive\r\n", False),
        ],
    )
    def test_keep_alive(self, version: str, fields: bytes, keep_alive: bool) -> None:
        """What the client says decides; if it says nothing, its version does."""
        data = get(fields, version=version.encode())
        events = receive(data + data)
        assert len(events) == (4 if keep_alive else 2)
        assert isinstance(events[0], dict)
        assert events[0]["keep_alive"] is keep_alive


class TestUpgrade:
    """RFC 9110 §7.8."""

    @pytest.mark.parametrize(
        "fields",
        [
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
            b"Connection: upgrade\r\nUpgrade: WebSocket\r\n",
            b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
            b"Upgrade: h2c , websocket\r\nConnection: foo,UPGRADE\r\n",
            b"Upgrade: h2c\r\nConnection: foo\r\nUpgrade: websocket\r\nConnection: upgrade\r\n",
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n",
        ],
    )
    def test_websocket(self, fields: bytes) -> None:
        """An upgrade to a WebSocket is waited for; END_OF_MESSAGE does not come."""
        (event,) = receive(get(fields))
        assert isinstance(event, dict)
        assert event["upgrade"] == b"websocket"

    @pytest.mark.parametrize(
        ("version", "fields"),
        [
            (b"1.1", b"Upgrade: websocket\r\n"),
            (b"1.1", b"Connection: keep-alive\r\nUpgrade: websocket\r\n"),
            (b"1.1", b"Connection: Upgrade\r\n"),
            (b"1.1", b"Connection: Upgrade\r\nUpgrade:\r\n"),
            (b"1.1", b"Connection: Upgrade\r\nUpgrade: foo\r\n"),
            (
                b"1.1",
                b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n",
            ),
            (b"1.1", b"Connection: Upgrade\r\nUpgrade: TLS/1.0, websocket/13\r\n"),
            (b"1.0", b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"),
        ],
    )
    def test_ignored(self, version: bytes, fields: bytes) -> None:
        """Any other upgrade is ignored, as it may be, and what follows is the next request."""
        data = get(fields, version=version)
        first, end, *others = receive(data + data + get())
        assert isinstance(first, dict)
        assert first["upgrade"] is None
        assert [end, *others] == [END, first, END, request(), END]

    @pytest.mark.parametrize(
        ("framing", "body"),
        [
            (b"Content-Length: 5", b"hello"),
            (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        ],
    )
    def test_with_a_body(self, framing: bytes, body: bytes) -> None:
        """A request with a body is an ordinary one: no frame can pass for a part of it."""
        fields = b"Connection: Upgrade\r\nUpgrade: websocket\r\n%b\r\n" % framing
        first, *others = receive(get(fields) + body + get())
        assert isinstance(first, dict)
        assert first["upgrade"] is None
        assert others == [b"hello", END, request(), END]


class TestExpect:
    """RFC 9110 §10.1.1."""

    @pytest.mark.parametrize(
        "value", [b"100-continue", b"100-Continue", b"100-continue, 100-continue"]
    )
    def test_continue(self, value: bytes) -> None:
        """The client waits before it sends its body."""
        first, *_ = receive(get(b"Expect: %b\r\nContent-Length: 2\r\n" % value) + b"hi")
        assert isinstance(first, dict)
        assert first["expect_continue"] is True

    @pytest.mark.parametrize(
        ("version", "fields"),
        [
            (b"1.1", b"Expect: 100-continue\r\n"),
            (b"1.1", b"Expect: 100-continue\r\nContent-Length: 0\r\n"),
            (b"1.0", b"Expect: 100-continue\r\nContent-Length: 2\r\n"),
            (b"1.0", b"Expect: anything\r\n"),
        ],
    )
    def test_ignored(self, version: bytes, fields: bytes) -> None:
        """Nobody waits without a body; HTTP/1.0 knows no interim responses."""
        first, *_ = receive(get(fields, version=version))
        assert isinstance(first, dict)
        assert first["expect_continue"] is False

    @pytest.mark.parametrize("value", [b"200-ok", b"100-continue, foo", b""])
    def test_other_expectations(self, value: bytes) -> None:
        """An expectation that is not met is 417."""
        answer = refusal(get(b"Expect: %b\r\nContent-Length: 2\r\n" % value) + b"hi")
        detail = "This server meets no other expectation than 100-continue."
        assert answer == Refusal(417, detail)


class TestRepeatedFields:
    """Fields that a client repeats mean what they meant before."""

    @pytest.mark.parametrize(
        "fields",
        [
            b"",
            b"User-Agent: x\r\nCookie: y\r\n",
            b"Connection: keep-alive\r\n",
            b"Content-Length: 0\r\n",
            b"X: %b\r\n" % (b"y" * 5000),
        ],
    )
    @pytest.mark.parametrize("versions", [(b"1.1", b"1.1"), (b"1.0", b"1.1"), (b"1.1", b"1.0")])
    def test_as_if_it_were_the_first(self, fields: bytes, versions: tuple[bytes, bytes]) -> None:
        """A repeated request gives what it gives on a new connection."""
        first, second = (get(fields, version=version) for version in versions)
        reader = HeadReader(HTTP1Limits())
        again = describe([reader.read(first), reader.read(second)])
        assert again == feed([first])[:1] + feed([second])[:1]

    def test_other_request_lines(self) -> None:
        """Only the fields are repeated: method, target and version are read each time."""
        data = get() + b"HEAD /b?c HTTP/1.1\r\nHost: a\r\n\r\n" + get(target=b"http://b/c") + get()
        assert receive(data) == [
            request(),
            END,
            request(method="HEAD", target=b"/b?c", path=b"/b", query_string=b"c"),
            END,
            request(target=b"http://b/c", path=b"/c", headers=[(b"host", b"b")]),
            END,
            request(),
            END,
        ]

    def test_headers_are_not_shared(self) -> None:
        """An application that changes its headers changes nobody else's."""
        reader = HeadReader(HTTP1Limits())
        for _ in range(3):
            head = reader.read(get())
            assert not isinstance(head, Refusal)
            assert head.headers == [(b"host", b"a")]
            head.headers.append((b"x", b"y"))

    def test_body_is_not_remembered(self) -> None:
        """A body is read anew each time."""
        data = get(b"Content-Length: 2\r\n") + b"hi"
        first = receive(data)
        assert receive(data + data + get() + data) == [
            *first,
            *first,
            request(),
            END,
            *first,
        ]

    def test_upgrade_is_not_remembered(self) -> None:
        """An upgrade is read anew each time."""
        data = get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
        reader = HeadReader(HTTP1Limits())
        heads = [reader.read(data) for _ in range(2)]
        assert describe(heads) == feed([data]) * 2
        assert [isinstance(head, Request) and head.upgrade for head in heads] == [b"websocket"] * 2


class TestKnownLines:
    """Request lines that were asked before mean what they meant."""

    @pytest.fixture(autouse=True)
    def lines(self, monkeypatch: pytest.MonkeyPatch) -> dict[bytes, object]:
        """What is known: nothing at first."""
        known: dict[bytes, object] = {}
        monkeypatch.setattr(http1_head, "_known_lines", known)
        return known

    def test_as_if_it_were_the_first(self, lines: dict[bytes, object]) -> None:
        """On another connection, in another version, with other fields."""
        old, new = get(target=b"/a", version=b"1.0"), get(target=b"/a")
        named = get(b"X: y\r\n", target=b"/a")
        expected = [feed([data]) for data in (old, new, named)]
        assert [feed([data]) for data in (old, new, named)] == expected
        assert list(lines) == [b"GET /a HTTP/1.0", b"GET /a HTTP/1.1"]

    @pytest.mark.parametrize(
        "target", [b"/?token=secret", b"/?", b"http://b/c", b"/" + b"x" * 256], ids=len
    )
    def test_not_kept(self, target: bytes, lines: dict[bytes, object]) -> None:
        """A query may be a secret; a whole URI depends on more; long ones are rare."""
        assert feed([get(target=target)]) == feed([get(target=target)])
        assert not lines

    @pytest.mark.parametrize("line", [b"GET  / HTTP/1.1", b"GET / HTTP/1.2", b"FOO / HTTP/1.1"])
    def test_faults(self, line: bytes, lines: dict[bytes, object]) -> None:
        """What is wrong is refused each time."""
        data = line + b"\r\nHost: a\r\n\r\n"
        assert refusal(data) == refusal(data)
        assert not lines

    def test_limit(self, lines: dict[bytes, object]) -> None:
        """A line that is known may be too long for another server."""
        data = get(target=b"/abc")
        assert isinstance(HeadReader(HTTP1Limits()).read(data), Request)
        assert lines
        assert HeadReader(HTTP1Limits(request_line=12)).read(data) == Refusal(
            414, "The request line is longer than this server accepts."
        )

    def test_bound(self, lines: dict[bytes, object]) -> None:
        """Beyond the bound it begins anew."""
        reader = HeadReader(HTTP1Limits())
        for number in range(1025):
            reader.read(get(target=b"/%d" % number))
        assert list(lines) == [b"GET /1024 HTTP/1.1"]


class TestPartialHead:
    """A head in pieces is looked at once, byte for byte."""

    def test_position(self) -> None:
        """What follows the head is not taken."""
        partial = PartialHead(HTTP1Limits())
        assert partial.add(b"..GET / HTTP/1.0\r", 2) == (None, 17)
        assert partial.add(b"\n\r\nGET", 0) == (b"GET / HTTP/1.0\r\n\r\n", 3)

    def test_started(self) -> None:
        """Half an empty line is no beginning."""
        partial = PartialHead(HTTP1Limits())
        assert not partial.started
        assert partial.add(b"\r", 0) == (None, 1)
        assert not partial.started
        assert partial.add(b"\n\r", 0) == (None, 2)
        assert not partial.started
        assert partial.add(b"\nG", 0) == (None, 2)
        assert partial.started
