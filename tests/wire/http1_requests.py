"""Hypothesis strategies: requests of HTTP/1.1, right and wrong."""

from typing import Final, NamedTuple

from hypothesis import strategies as st

from tests.wire.streams import mostly

GET: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CODED: Final = b"Transfer-Encoding: chunked"


class LooseRequest(NamedTuple):
    """A request that need not be right."""

    line: bytes
    fields: list[bytes]
    body: bytes

    @property
    def data(self) -> bytes:
        """The request as bytes."""
        return b"".join(b"%b\r\n" % line for line in (self.line, *self.fields, b"")) + self.body


tokens = st.sampled_from([b"a", b"X-Y", b"x!#$%&'*+-.^_`|~9", b"cookie", b"Accept"])
values = st.sampled_from(
    [b"", b"b", b"  b  c\t", b"\xff\x80", b"a, b", b'"quoted, \\" :"', b":", b"x" * 300]
)
good_lines = st.builds(
    b"%b %b HTTP/1.%b".__mod__,
    st.tuples(
        st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"M-SEARCH"]),
        st.sampled_from([b"/", b"/a?b=c", b"/%2e/..//", b"/?", b"/;x[]", b"/~!$&'()*+,;=:@"]),
        st.sampled_from([b"1", b"1", b"1", b"0"]),
    ),
)
bad_lines = st.sampled_from(
    [
        *(b"GET  / HTTP/1.1", b"GET / HTTP/1.1 ", b" GET / HTTP/1.1", b"GET\t/\tHTTP/1.1"),
        *(b"GET / HTTP/1.", b"GET / http/1.1", b"GET / HTTP/1.10", b"GET /", b"GET / HTTP/ 1.1"),
        *(b"GET /\x00 HTTP/1.1", b"GET /\xc3\xa9 HTTP/1.1", b"G\xc3T / HTTP/1.1", b"/ HTTP/1.1"),
        *(b"GET / a HTTP/1.1", b"G(T / HTTP/1.1", b"GET /\x7f HTTP/1.1", b"HTTP/1.1 200 OK"),
    ]
)
bad_fields = st.sampled_from(
    [
        *(b"a : b", b": b", b"a", b"a\x00: b", b"a: \x00", b"a(b): c", b"\xff: b"),
        *(b"a\t: b", b"Host: b", b"a: b\x0bc", b"a: b\x0c", b"[a]: b", b'"a": b'),
    ]
)
bad_lengths = st.sampled_from(
    [b"x", b"-5", b"+5", b"5x", b"0x5", b"5 5", b"", b"\xb2", b"5;5", b"5.0", b"1e1", b"6, 5"]
)
extensions = st.sampled_from([b"", b"", b";a", b";a=b", b';  a="b c;"', b";a=b ; c"])
bad_sizes = st.sampled_from([b"g", b"0x5", b"-5", b"+5", b"", b" 5", b"5 5", b"5\x00"])


@st.composite
def chunked_bodies(draw: st.DrawFn) -> bytes:
    """A chunked body, with a fault now and then."""
    body = b""
    for chunk in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=3)):
        size = b"%x" % len(chunk) if draw(mostly(True)) else draw(bad_sizes)
        end = b"\r\n" if draw(mostly(True)) else draw(st.sampled_from([b"x\r\n", b"\r\r\n"]))
        body += size.upper() + draw(extensions) + b"\r\n" + chunk + end
    trailers = draw(
        st.lists(st.builds(b"%b: %b\r\n".__mod__, st.tuples(tokens, values)), max_size=2)
    )
    if not draw(mostly(True)):
        trailers.append(draw(bad_fields.filter(lambda field: field != b"Host: b")) + b"\r\n")
    return body + b"0" + draw(extensions) + b"\r\n" + b"".join(trailers) + b"\r\n"


@st.composite
def loose_requests(draw: st.DrawFn) -> LooseRequest:
    """A request with a fault now and then, but none on which the two are known to differ."""
    line = draw(good_lines) if draw(mostly(True)) else draw(bad_lines)
    fields = draw(st.lists(st.builds(b"%b:%b".__mod__, st.tuples(tokens, values)), max_size=3))
    host = [b"Host: a"] if draw(mostly(True)) else draw(st.sampled_from([[], [b"Host: a"] * 2]))
    body = b""
    framing = draw(st.sampled_from(["none", "none", "length", "chunked"]))
    if framing == "length":
        body = draw(st.binary(max_size=30))
        length = b"%d" % len(body) if draw(mostly(True)) else draw(bad_lengths)
        fields.append(b"Content-Length: " + length)
    elif framing == "chunked" and line.endswith(b"1.1"):
        coding = b"chunked" if draw(mostly(True)) else draw(st.sampled_from([b"gzip", b"x"]))
        fields.append(b"Transfer-Encoding: " + coding)
        body = draw(chunked_bodies())
    connection = draw(
        st.sampled_from([b"", b"", b"Connection: keep-alive", b"Connection: close, x"])
        | st.just(b"Connection: Upgrade\r\nUpgrade: websocket")
    )
    fields += [field for field in (connection,) if field]
    if not draw(mostly(True)):
        fields.append(draw(bad_fields))
    return LooseRequest(line, draw(st.permutations(host + fields)), body)


VALID: Final = [
    GET,
    b"OPTIONS /a?b HTTP/1.1\r\nHost: a\r\nX-Y:  z \r\nx-y:\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n" % CODED,
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
]
PARTS: Final = [
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"0", b"5", b"f"),
    *(b"\x0b", b"\x7f", b"\xff", b"#", b"?", b"*", b"HTTP/1.0", b"HTTP/2.0", b"Host: b\r\n"),
    *(b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n", b"chunked", b"close"),
    *(b"Expect: 100-continue\r\n", b"GET / HTTP/1.1\r\n", b"x" * 40, b"5\r\nhello\r\n"),
    *(b"\r\n ", b"\r\n\t", b"\xc2\xa0"),
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Valid requests with a few places deleted, doubled or written over."""
    data = b"".join(draw(st.lists(st.sampled_from(VALID), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(1, 3))):
        place, length = draw(st.integers(0, len(data))), draw(st.integers(0, 4))
        part = draw(st.sampled_from([b"", data[place : place + length], *PARTS]))
        data = data[:place] + part + data[draw(st.sampled_from([place, place + length])) :]
    return data
