"""The fields of an HTTP/2 request: RFC 9113 §8.2 and §8.3."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway._types import Headers
from fairway.wire.http1_events import Refusal, Request
from fairway.wire.http2_events import ErrorCode, HTTP2Limits, Limit, StreamBroken
from fairway.wire.http2_head import (
    HeadRefused,
    RequestReader,
    check_trailers,
    read_request,
    size_of,
)
from tests.wire.http2_client import CONNECT, GET, POST
from tests.wire.streams import FUZZ


def read(fields: Headers, *, complete: bool = True, **limits: int) -> Request:
    """The request that these fields mean."""
    return read_request(fields, complete=complete, limits=HTTP2Limits(**limits))


def malformed(fields: Headers, *, complete: bool = True) -> str:
    """Why these fields are malformed."""
    with pytest.raises(StreamBroken) as caught:
        read(fields, complete=complete)
    assert caught.value.code is ErrorCode.PROTOCOL_ERROR
    return caught.value.detail


def refused(fields: Headers, *, complete: bool = True) -> tuple[int, str]:
    """With what these fields are refused."""
    with pytest.raises(HeadRefused) as caught:
        read(fields, complete=complete)
    assert isinstance(caught.value.refusal, Refusal)
    return caught.value.refusal.status, caught.value.refusal.detail


def changed(name: bytes, *values: bytes) -> Headers:
    """GET with other values of a pseudo-header field: none, one or two."""
    others = [field for field in GET if field[0] != name]
    return [*((name, value) for value in values), *others]


class TestRequest:
    """What is right."""

    def test_get(self) -> None:
        """Everything that HTTP/1.1 says, in its words."""
        request = read([*GET[:3], (b":path", b"/a%20b?c=d?e"), (b"accept", b"*/*")])
        assert (request.method, request.http_version) == ("GET", "2")
        assert (request.target, request.path) == (b"/a%20b?c=d?e", b"/a%20b")
        assert request.query_string == b"c=d?e"
        assert request.headers == [(b"host", b"example.org"), (b"accept", b"*/*")]
        assert request.keep_alive
        assert (request.has_body, request.content_length) == (False, None)
        assert (request.expect_continue, request.upgrade) == (False, None)
        assert not request.takes_trailers

    def test_post(self) -> None:
        """A body is there as long as the stream has not ended."""
        request = read([*POST, (b"content-length", b"12")], complete=False)
        assert (request.has_body, request.content_length) == (True, 12)
        assert read(POST, complete=False).content_length is None
        assert not read([*POST, (b"content-length", b"0")]).has_body

    def test_expect(self) -> None:
        """A client may wait for 100 (Continue) before it sends its body."""
        fields = [*POST, (b"expect", b"100-Continue")]
        assert read(fields, complete=False).expect_continue
        assert not read(fields).expect_continue

    def test_trailers_wanted(self) -> None:
        """TE may say that the client takes trailers."""
        assert read([*GET, (b"te", b"trailers")]).takes_trailers

    def test_host_alone(self) -> None:
        """A request that was made of one of HTTP/1.1 may have Host instead of :authority."""
        request = read([*changed(b":authority"), (b"x", b"y"), (b"host", b"a.example:80")])
        assert request.headers == [(b"host", b"a.example:80"), (b"x", b"y")]

    def test_both(self) -> None:
        """Both may be there if they agree; the application sees one, first."""
        request = read([*GET, (b"x", b"y"), (b"host", b"EXAMPLE.org")])
        assert request.headers == [(b"host", b"example.org"), (b"x", b"y")]

    def test_cookies(self) -> None:
        """Cookies that were parted are joined, in the place of the first (§8.2.3)."""
        crumbs = [*GET, (b"cookie", b"a=b"), (b"x", b"y"), (b"cookie", b"c=d"), (b"cookie", b"e=f")]
        assert read(crumbs).headers[1:] == [(b"cookie", b"a=b; c=d; e=f"), (b"x", b"y")]

    def test_asterisk(self) -> None:
        """A server-wide OPTIONS has no path."""
        request = read([(b":method", b"OPTIONS"), (b":path", b"*"), *GET[1:3]])
        assert request.path == b"*"

    def test_websocket(self) -> None:
        """An extended CONNECT names its protocol (RFC 8441 §4)."""
        request = read(CONNECT, complete=False)
        assert (request.method, request.upgrade, request.path) == ("CONNECT", b"websocket", b"/")
        assert not request.has_body

    @pytest.mark.parametrize("value", [b"", b"a b", b"a\tb", b"\xff", b"a"])
    def test_values(self, value: bytes) -> None:
        """Values may be empty, and hold anything but control characters."""
        assert read([*GET, (b"x", value)]).headers[-1] == (b"x", value)


class TestMalformed:
    """RFC 9113 §8.1.1: what ends the stream."""

    @pytest.mark.parametrize("name", [b"", b"X-Upper", b"a b", b"a:b", b"a\0", b"\xe4", b"a\x7f"])
    def test_name(self, name: bytes) -> None:
        """Names are tokens in lower case (§8.2.1)."""
        detail = malformed([*GET, (name, b"x")])
        assert detail == "The name of a field holds a character that names cannot have."

    @pytest.mark.parametrize(
        "value",
        [b"a\r\nb: c", b"a\nb", b"a\rb", b"a\0", b" a", b"a ", b"\ta", b"a\t", b" ", b"\x7f"],
    )
    def test_value(self, value: bytes) -> None:
        """Values hold no line ends and no control characters, and no spaces around them."""
        text = "The value of a field holds a character that values cannot have."
        assert malformed([*GET, (b"x", value)]) == text
        assert malformed(changed(b":authority", value)) == text

    @pytest.mark.parametrize(
        "name",
        [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"],
    )
    def test_connection(self, name: bytes) -> None:
        """Fields of a connection are not there (§8.2.2)."""
        detail = "A field of the request belongs to connections of HTTP/1.1."
        assert malformed([*GET, (name, b"close")]) == detail

    @pytest.mark.parametrize("value", [b"gzip", b"trailers, deflate", b""])
    def test_te(self, value: bytes) -> None:
        """TE says trailers, or nothing."""
        assert malformed([*GET, (b"te", value)]) == (
            "The field te says something else than trailers."
        )

    @pytest.mark.parametrize("name", [b":method", b":scheme", b":path"])
    def test_missing(self, name: bytes) -> None:
        """Method, scheme and path are there, and not empty (§8.3.1)."""
        assert malformed(changed(name)).startswith("The request has no :")

    @pytest.mark.parametrize("name", [b":scheme", b":path"])
    def test_empty(self, name: bytes) -> None:
        """They are not empty, either."""
        assert malformed(changed(name, b"")) == "The request has no :scheme or no :path."

    @pytest.mark.parametrize("name", [b":method", b":scheme", b":path", b":authority"])
    def test_twice(self, name: bytes) -> None:
        """Each is there once (§8.3)."""
        value = dict(GET)[name]
        detail = "A pseudo-header field is unknown, or there twice."
        assert malformed(changed(name, value, value)) == detail

    @pytest.mark.parametrize("name", [b":status", b":host", b":", b":Path"])
    def test_unknown(self, name: bytes) -> None:
        """There are no others."""
        detail = "A pseudo-header field is unknown, or there twice."
        assert malformed([(name, b"200"), *GET]) == detail

    def test_late(self) -> None:
        """They come first."""
        assert malformed([*GET[:3], (b"x", b"y"), GET[3]]) == (
            "A pseudo-header field is behind others."
        )
        assert malformed([*GET[:3], (b"cookie", b"y"), GET[3]]) == (
            "A pseudo-header field is behind others."
        )

    def test_hosts(self) -> None:
        """A request is for one host."""
        detail = "The request names more than one host."
        assert malformed([*GET, (b"host", b"other.example")]) == detail
        hosts = [(b"host", b"a.example"), (b"host", b"a.example")]
        assert malformed([*changed(b":authority"), *hosts]) == detail

    @pytest.mark.parametrize("path", [b"x", b"http://example.org/", b"*", b"?a"])
    def test_path(self, path: bytes) -> None:
        """A path begins with a slash."""
        assert malformed(changed(b":path", path)) == "The :path is not a path."

    @pytest.mark.parametrize(
        "value", [b"", b"-1", b"+1", b"1, 1", b"0x1", b"1.0", b"9" * 19, "²".encode("latin-1")]
    )
    def test_length(self, value: bytes) -> None:
        """A length is one number."""
        detail = malformed([*POST, (b"content-length", value)], complete=False)
        assert detail == "The content-length is not one number that can be a length."

    def test_lengths(self) -> None:
        """There is one, not even the same one twice; and it is true."""
        twice = [*POST, (b"content-length", b"1"), (b"content-length", b"1")]
        assert malformed(twice, complete=False) == "There is more than one content-length."
        assert malformed([*POST, (b"content-length", b"1")]) == (
            "There is a content-length and no content."
        )

    def test_protocol(self) -> None:
        """Only a CONNECT has a protocol (RFC 8441 §4)."""
        assert malformed([(b":protocol", b"websocket"), *GET]) == (
            "A request with :protocol is not a CONNECT."
        )


class TestRefused:
    """What is well-formed and not served."""

    def test_no_host(self) -> None:
        """A request is for a host."""
        assert refused(changed(b":authority")) == (400, "The request names no host.")

    @pytest.mark.parametrize("host", [b"", b"user@host", b"a b", b"a/b", b":80", b"a:x", b"[::1"])
    def test_host(self, host: bytes) -> None:
        """A host has the form of one, without a user (§8.3.1)."""
        assert refused(changed(b":authority", host)) == (400, "The request names no valid host.")

    @pytest.mark.parametrize("host", [b"a", b"a:", b"a:80", b"[::1]:80", b"%41", b"127.0.0.1"])
    def test_fine(self, host: bytes) -> None:
        """Names and addresses are hosts."""
        assert read(changed(b":authority", host)).headers[0] == (b"host", host)

    @pytest.mark.parametrize("path", [b"/a#b", b"/\xe4", b"/a b"])
    def test_path(self, path: bytes) -> None:
        """A path is visible ASCII without a fragment, as in HTTP/1.1."""
        assert refused(changed(b":path", path)) == (
            400, "The :path holds a fragment or a byte that is no visible ASCII character."
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("fields", "status", "detail"),
        [
            (changed(b":method", b"BREW"), 501,
             "This server does not implement the request method."),
            (changed(b":method", b"get"), 501,
             "This server does not implement the request method."),
            ([(b":method", b"CONNECT"), GET[2]], 501,
             "This server is not a proxy: it does not implement CONNECT."),
            ([CONNECT[0], (b":protocol", b"connect-udp"), *CONNECT[2:]], 501,
             "This server speaks no other :protocol than websocket."),
            (changed(b":scheme", b"gopher"), 400,
             "This server serves no other scheme than http and https."),
            ([*GET, (b"expect", b"200-ok")], 417,
             "This server meets no other expectation than 100-continue."),
        ],
        ids=["method", "lower case", "CONNECT", "another protocol", "scheme", "expectation"],
    )  # fmt: skip
    def test_not_served(self, fields: Headers, status: int, detail: str) -> None:
        """It is answered as in HTTP/1.1."""
        assert refused(fields) == (status, detail)


class TestTrailers:
    """RFC 9113 §8.1."""

    def test_fine(self) -> None:
        """Fields like others."""
        assert check_trailers([(b"x-sum", b"1"), (b"y", b"")]) == [(b"x-sum", b"1"), (b"y", b"")]

    @pytest.mark.parametrize("name", [b":path", b"X", b"connection"])
    def test_malformed(self, name: bytes) -> None:
        """Without pseudo-header fields and those of connections."""
        with pytest.raises(StreamBroken):
            check_trailers([(name, b"x")])


class TestSize:
    """RFC 9113 §6.5.2."""

    def test_counted(self) -> None:
        """Each field counts for 32 more than its bytes."""
        assert size_of([(b"ab", b"cde"), (b"f", b"")]) == 70


KNOWN = [
    b":method", b":path", b":scheme", b":authority", b":protocol", b"host", b"cookie",
    b"content-length", b"te", b"expect",
]  # fmt: skip
NAMES = st.sampled_from(KNOWN) | st.binary(max_size=6)
VALUES = st.sampled_from([b"GET", b"/", b"http", b"a", b"CONNECT", b"1"]) | st.binary(max_size=9)


class TestFuzz:
    """Whatever comes."""

    @FUZZ
    @given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.booleans())
    def test_never_raises_anything_else(self, fields: Headers, complete: bool) -> None:
        """It is a request without control characters, or one of the two errors."""
        try:
            request = read([*GET, *fields], complete=complete)
        except (StreamBroken, HeadRefused):
            return
        allowed = set(string.ascii_lowercase + string.digits + "!#$%&'*+-.^_`|~")
        assert request.headers[0][0] == b"host"
        for name, value in request.headers:
            assert set(name.decode()) <= allowed
            assert not set(value) & {0, 10, 13}


class TestAgain:
    """The same fields as those of the request before."""

    def test_same(self) -> None:
        """They mean the same in every attribute, and what is done to one request stays there."""
        fields = [*POST, (b"te", b"trailers"), (b"expect", b"100-continue")]
        reader = RequestReader(HTTP2Limits())
        for _ in range(3):
            request = reader.read(fields, complete=False)
            assert repr(request) == repr(read(fields, complete=False))
            assert "Ellipsis" not in repr(request)  # which stands for what was not set
            request.headers.append((b"x-mine", b"1"))
            request.path = b"/elsewhere"

    def test_complete(self) -> None:
        """Whether a body follows is no matter of the fields."""
        reader = RequestReader(HTTP2Limits())
        assert [reader.read(GET, complete=each).has_body for each in (True, False, True)] == [
            False, True, False
        ]  # fmt: skip

    def test_equal_is_not_the_same(self) -> None:
        """What others may have changed since is read."""
        reader = RequestReader(HTTP2Limits())
        reader.read(GET, complete=True)
        assert reader.read(changed(b":path", b"/b"), complete=True).path == b"/b"
        assert reader.read(GET, complete=True).path == read(GET).path

    def test_refused_again(self) -> None:
        """A refusal is no request: it is one each time."""
        reader = RequestReader(HTTP2Limits(header_size=100))
        for _ in range(2):
            with pytest.raises(HeadRefused) as caught:
                reader.read(GET, complete=True)
            assert caught.value.limit is Limit.HEADER_SIZE
            with pytest.raises(StreamBroken):
                reader.read([(b":path", b"/")], complete=True)
