"""RFC 9112, section by section: what a strict probe of smuggling and malformed requests sends.

Each line is refused or served whether it comes at once or byte by byte. Refused, not repaired:
where the standard leaves a choice, two agents on the way may choose differently.
"""

import pytest

from fairway.wire.http1 import END_OF_MESSAGE, HTTP1Connection, Refusal, Request

CHUNKED = b"Transfer-Encoding: chunked\r\n"


def head(
    fields: bytes = b"", line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a\r\n"
) -> bytes:
    """A request's head."""
    return line + b"\r\n" + host + fields + b"\r\n"


def verdict(data: bytes) -> list[object]:
    """The statuses of refusals, methods of requests, and bodies at the ends of messages.

    The same however the data is cut.
    """
    found = []
    for pieces in ([data], [bytes([byte]) for byte in data]):
        connection = HTTP1Connection()
        verdicts: list[object] = []
        body = b""
        for piece in pieces:
            for event in connection.receive_data(piece):
                if isinstance(event, Refusal):
                    verdicts.append(event.status)
                elif isinstance(event, Request):
                    verdicts.append(event.method)
                elif event is END_OF_MESSAGE:
                    verdicts.append(body)
                    body = b""
                else:
                    body += event
        found.append(verdicts)
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        head(b"a: b\rc\r\n"),
        head(b"a: b\r\r\n"),
        head(b"a: \0\r\n"),
    ],
)
def test_2_2_message_parsing(data: bytes) -> None:
    """Lines end in CRLF; a CR, LF or NUL elsewhere is no part of anything."""
    assert verdict(data) == [400]


def test_2_2_empty_lines() -> None:
    """Empty lines before a request line are skipped, as some clients send one behind a body."""
    assert verdict(b"\r\n\r\n" + head()) == ["GET", b""]


@pytest.mark.parametrize(
    ("version", "status"),
    [
        (b"HTTP/2.0", 505),
        (b"HTTP/1.2", 505),  # might be served as 1.1; nobody speaks it
        (b"HTTP/0.9", 505),
        (b"HTTP/1.10", 400),
        (b"HTTP/01.1", 400),
        (b"http/1.1", 400),
        (b"HTTP/1", 400),
        (b"HTTP/1,1", 400),
        (b"", 400),
    ],
)
def test_2_3_version(version: bytes, status: int) -> None:
    """Versions that are none are malformed, others unknown."""
    assert verdict(head(line=b"GET / " + version)) == [status]


@pytest.mark.parametrize(
    "line",
    [
        b" GET / HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET\t/ HTTP/1.1",
        b"GET / HTTP/1.1\r",
        b"GET /a b HTTP/1.1",
        b"GET /",
        b"G(T / HTTP/1.1",
        b'"GET" / HTTP/1.1',
        b"\x80 / HTTP/1.1",
    ],
)
def test_3_request_line(line: bytes) -> None:
    """A method that is a token, a target and a version, with one space between."""
    assert verdict(head(line=line)) == [400]


@pytest.mark.parametrize("method", [b"get", b"FROB", b"CONNECT"])
def test_3_1_method(method: bytes) -> None:
    """Methods are case-sensitive; what the server does not implement is 501."""
    assert verdict(head(line=method + b" / HTTP/1.1")) == [501]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"GET /a?b HTTP/1.1", ["GET", b""]),
        (b"GET //b/c HTTP/1.1", ["GET", b""]),
        (b"GET http://b/x?y HTTP/1.1", ["GET", b""]),
        (b"OPTIONS * HTTP/1.1", ["OPTIONS", b""]),
        (b"OPTIONS http://b HTTP/1.1", ["OPTIONS", b""]),
        (b"GET * HTTP/1.1", [400]),
        (b"GET a HTTP/1.1", [400]),
        (b"GET ? HTTP/1.1", [400]),
        (b"GET a:80 HTTP/1.1", [400]),
        (b"GET http:///x HTTP/1.1", [400]),
        (b"GET http://u@b/ HTTP/1.1", [400]),
        (b"GET http://b:x/ HTTP/1.1", [400]),
        (b"GET http://%zz/ HTTP/1.1", [400]),
        (b"GET ftp://b/ HTTP/1.1", [400]),
        (b"GET /#f HTTP/1.1", [400]),
        (b"GET /\x7f HTTP/1.1", [400]),
        (b"GET /\x80 HTTP/1.1", [400]),
        (b"GET /a\tb HTTP/1.1", [400]),
        (b"GET /\0 HTTP/1.1", [400]),
        (b"CONNECT a:80 HTTP/1.1", [501]),
        (b"CONNECT / HTTP/1.1", [501]),
    ],
)
def test_3_2_request_target(line: bytes, expected: list[object]) -> None:
    """Origin-form and absolute-form; the asterisk for OPTIONS; the authority for no one."""
    assert verdict(head(line=line)) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (b"", [400]),
        (b"Host: a\r\nHost: a\r\n", [400]),
        (b"Host: a\r\nHost:\r\n", [400]),
        (b"Host: a, b\r\n", [400]),
        (b"Host: a b\r\n", [400]),
        (b"Host: a/b\r\n", [400]),
        (b"Host: a?b\r\n", [400]),
        (b"Host: a#b\r\n", [400]),
        (b"Host: u@a\r\n", [400]),
        (b"Host: a:b\r\n", [400]),
        (b"Host: a:1:2\r\n", [400]),
        (b"Host: a\\b\r\n", [400]),
        (b"Host: [::1\r\n", [400]),
        (b"Host: [x]\r\n", [400]),
        (b"Host: %zz\r\n", [400]),
        (b"Host: http://a\r\n", [400]),
        (b"Host: \xe4\r\n", [400]),
        (b"Host : a\r\n", [400]),
        (b"Host: [::1]:80\r\n", ["GET", b""]),
        (b"Host: %C3%A4.example:\r\n", ["GET", b""]),
        (b"Host:\r\n", ["GET", b""]),
    ],
)
def test_3_2_host(host: bytes, expected: list[object]) -> None:
    """One Host, and a valid one."""
    assert verdict(head(host=host)) == expected


def test_3_2_2_absolute_form_decides() -> None:
    """The authority of an absolute target takes the place of Host, which has to be there."""
    request = HTTP1Connection().receive_data(head(line=b"GET http://b:1/x HTTP/1.1"))[0]
    assert isinstance(request, Request)
    assert request.headers == [(b"host", b"b:1")]
    assert verdict(head(line=b"GET http://b/ HTTP/1.1", host=b"")) == [400]
    assert verdict(head(line=b"GET http://b/ HTTP/1.0", host=b"")) == ["GET", b""]


@pytest.mark.parametrize(
    "field",
    [
        b": b",
        b"a",
        b"a b: c",
        b"a : b",
        b"a\t: b",
        b"a\0: b",
        b"a(: b",
        b"\x80: b",
        b"a: \x01",
        b"a: \x0b",
        b"a: \x1f",
        b"a: \x7f",
        b"a: b\nc: d",
    ],
)
def test_5_field_syntax(field: bytes) -> None:
    """A token, a colon at once, and a value without control characters."""
    assert verdict(head(field + b"\r\n")) == [400]


@pytest.mark.parametrize("fold", [b" c", b"\tc", b" ", b" c: d"])
def test_5_2_obsolete_line_folding(fold: bytes) -> None:
    """A folded line is refused."""
    assert verdict(head(b"a: b\r\n" + fold + b"\r\n")) == [400]


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"chunked, chunked", 400),
        (b"identity", 400),
        (b"chunked, identity", 400),
        (b"chunked, gzip", 400),
        (b"chunked;q=1", 400),
        (b"xchunked", 400),
        (b"chunkedx", 400),
        (b'"chunked"', 400),
        (b"", 400),
        (b",", 400),
        (b"chunked,", 400),
        (b"\x0bchunked", 400),
        (b"gzip, chunked", 501),
        (b"identity, chunked", 501),
        (b"cow, chunked", 501),
    ],
)
def test_6_1_transfer_encoding(value: bytes, status: int) -> None:
    """Chunked, once and last; no other coding is known."""
    field = b"Transfer-Encoding: " + value + b"\r\n"
    assert verdict(head(field, b"POST / HTTP/1.1") + b"0\r\n\r\n") == [status]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (CHUNKED + b"Transfer-Encoding: identity\r\n", 400),
        (b"Transfer-Encoding: identity\r\n" + CHUNKED, 501),
        (CHUNKED + CHUNKED, 400),
        (CHUNKED + b"Content-Length: 0\r\n", 400),
        (b"Content-Length: 5\r\n" + CHUNKED, 400),
    ],
)
def test_6_1_several_framings(fields: bytes, status: int) -> None:
    """There is one framing: not two codings in two lines, not a length beside one."""
    assert verdict(head(fields, b"POST / HTTP/1.1") + b"0\r\n\r\n") == [status]


def test_6_1_http_1_0() -> None:
    """HTTP/1.0 has no transfer codings."""
    assert verdict(head(CHUNKED, b"POST / HTTP/1.0") + b"0\r\n\r\n") == [400]


@pytest.mark.parametrize(
    "value",
    [b"", b"+1", b"-1", b"1, 1", b"1,", b"1 1", b"0x1", b"1.0", b"1_0", b"\x0b1", b"9" * 19],
)
def test_6_2_content_length(value: bytes) -> None:
    """One number without a sign, that somebody could count to."""
    assert verdict(head(b"Content-Length: " + value + b"\r\n", b"POST / HTTP/1.1") + b"a") == [400]


def test_6_2_several_lengths() -> None:
    """Not even twice the same."""
    fields = b"Content-Length: 1\r\nContent-Length: 1\r\n"
    assert verdict(head(fields, b"POST / HTTP/1.1") + b"a") == [400]


@pytest.mark.parametrize(
    "body",
    [
        b"0x1\r\na\r\n",
        b"+1\r\na\r\n",
        b"-1\r\na\r\n",
        b" 1\r\na\r\n",
        b"1 \r\na\r\n",
        b"1_0\r\n",
        b"g\r\n",
        b"\r\n",
        b"FFFFFFFFFFFFFFFFF\r\n",
        b"1\na\r\n",
        b"1\ra\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\n",
        b"1\r\na\r0",
    ],
)
def test_7_1_chunks(body: bytes) -> None:
    """A size in hexadecimal digits alone, that many bytes, and CRLF behind both."""
    assert list(verdict(head(CHUNKED) + body)) == ["GET", 400]


@pytest.mark.parametrize(
    "extension", [b";", b";=b", b";a=", b";a\0", b";a\rb", b";a\nb", b';a="b', b";a b", b";\x80"]
)
def test_7_1_1_chunk_extensions(extension: bytes) -> None:
    """What is no extension is refused; one that is means nothing."""
    assert verdict(head(CHUNKED) + b"1" + extension + b"\r\na\r\n0\r\n\r\n") == ["GET", 400]
    good = b'1;a;b=c ; d="e;\\"f"\r\na\r\n0;x\r\n\r\n'
    assert verdict(head(CHUNKED) + good) == ["GET", b"a"]


@pytest.mark.parametrize(
    ("trailers", "expected"),
    [
        (b"a: b\r\n", ["GET", b""]),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: b\r\n", ["GET", b""]),
        (b"a : b\r\n", ["GET", 400]),
        (b" a: b\r\n", ["GET", 400]),
        (b"a: b\r\n c\r\n", ["GET", 400]),
        (b"a\r\n", ["GET", 400]),
        (b"a: b\nc: d\r\n", ["GET", 400]),
        (b"a: \0\r\n", ["GET", 400]),
        (b"a: b\r\n" * 129, ["GET", 431]),
        (b"a: " + b"b" * 70_000 + b"\r\n", ["GET", 431]),
    ],
)
def test_7_1_2_trailers(trailers: bytes, expected: list[object]) -> None:
    """Trailer fields are checked and bounded as the header is, and mean nothing."""
    connection = HTTP1Connection()
    assert verdict(head(CHUNKED) + b"0\r\n" + trailers + b"\r\n") == expected
    request = connection.receive_data(head(CHUNKED) + b"0\r\n" + trailers + b"\r\n")[0]
    assert isinstance(request, Request)
    assert request.headers == [(b"host", b"a"), (b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize(
    ("te", "version", "takes"),
    [
        (b"trailers", b"1.1", True),
        (b"gzip;q=0.5, Trailers", b"1.1", True),
        (b"gzip", b"1.1", False),
        (b"trailers", b"1.0", False),
    ],
)
def test_7_4_te(te: bytes, version: bytes, takes: bool) -> None:
    """``TE: trailers`` says that the client takes trailers; no coding that it names is used."""
    data = head(b"TE: " + te + b"\r\n", b"GET / HTTP/" + version)
    request = HTTP1Connection().receive_data(data)[0]
    assert isinstance(request, Request)
    assert request.takes_trailers is takes


@pytest.mark.parametrize(
    "data", [head()[:-2], head(b"Content-Length: 2\r\n") + b"a", head(CHUNKED) + b"1\r\na\r\n0\r\n"]
)
def test_8_incomplete_messages(data: bytes) -> None:
    """A request that ends too early is refused."""
    connection = HTTP1Connection()
    connection.receive_data(data)
    (refusal,) = connection.receive_eof()
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"close", False),
        (b"1.1", b"keep-alive, CLOSE", False),
        (b"1.1", b"foo, host", True),
        (b"1.0", b"", False),
        (b"1.0", b"keep-alive", True),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_9_3_persistence(version: bytes, connection: bytes, kept: bool) -> None:
    """What the version says, unless ``Connection`` does; close wins."""
    fields = b"Connection: " + connection + b"\r\n" if connection else b""
    data = head(fields, b"GET / HTTP/" + version)
    assert verdict(data + head()) == ["GET", b"", "GET", b""][: 4 if kept else 2]


@pytest.mark.parametrize(
    "fields",
    [
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n",
        b"Upgrade: TLS/1.2\r\nConnection: Upgrade\r\n",
        b"Upgrade: websocket\r\n",
    ],
)
def test_9_9_upgrade(fields: bytes) -> None:
    """Another protocol than WebSocket, or one that is not asked of us, is ignored politely."""
    assert verdict(head(fields) + head()) == ["GET", b"", "GET", b""]


def test_11_2_request_smuggling() -> None:
    """No request hides in the body of another, whatever was tried to disagree about its end."""
    hidden = head(line=b"DELETE /hidden HTTP/1.1")
    for fields in (
        b"Content-Length: 0\r\n" + CHUNKED,
        b"Content-Length: 6\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"X: y\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: +0\r\n",
        b"Content-Length:\r\n 0\r\n",
    ):
        assert verdict(head(fields, b"POST / HTTP/1.1") + b"0\r\n\r\n" + hidden) == [400]


@pytest.mark.parametrize("expect", [b"x", b"100-continue, x", b"", b"200-ok"])
def test_9110_10_1_1_expect(expect: bytes) -> None:
    """RFC 9110: any other expectation than 100-continue is 417, but HTTP/1.0 has none."""
    field = b"Expect: " + expect + b"\r\n"
    assert verdict(head(field)) == [417]
    assert verdict(head(field, b"GET / HTTP/1.0")) == ["GET", b""]
