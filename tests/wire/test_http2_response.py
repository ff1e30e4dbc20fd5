"""The answer to an HTTP/2 request: RFC 9113 §8.2, §8.3.2."""

from typing import Any

import pytest

from fairway._types import Headers
from fairway.wire.http1_response import LocalProtocolError
from fairway.wire.http2_response import (
    HTTP2Response,
    encode_fields,
    error_fields,
    informational_fields,
)

DATE = b"Tue, 15 Nov 1994 08:12:31 GMT"


def start(
    status: int = 200,
    headers: Headers | None = None,
    *,
    method: str = "GET",
    size: int | None = None,
) -> Headers:
    """The fields that begin a response."""
    return HTTP2Response(method).start(status, headers or [], server=b"fw", date=DATE, size=size)


class TestStart:
    """The fields."""

    def test_fields(self) -> None:
        """The status comes first, names are in lower case, and the server adds its own."""
        assert start(201, [(b"X-Name", b" a b\t")]) == [
            (b":status", b"201"), (b"x-name", b"a b"), (b"date", DATE), (b"server", b"fw")
        ]  # fmt: skip

    def test_own(self) -> None:
        """What the application says of these counts."""
        own = [(b"Date", b"now"), (b"Server", b"mine")]
        assert start(200, own) == [(b":status", b"200"), (b"date", b"now"), (b"server", b"mine")]

    def test_connection(self) -> None:
        """Words for HTTP/1.1 connections mean nothing here (§8.2.2)."""
        names = [
            b"Connection",
            b"Keep-Alive",
            b"Proxy-Connection",
            b"Transfer-Encoding",
            b"upgrade",
        ]
        words = [(name, b"close") for name in names]
        assert start(200, words) == start()

    def test_size(self) -> None:
        """A known size is told, where it means something."""
        assert (b"content-length", b"5") in start(size=5)
        assert (b"content-length", b"9") in start(
            headers=[(b"Content-Length", b"9")], method="HEAD", size=0
        )
        assert b"content-length" not in dict(start(204, [(b"content-length", b"0")], size=0))
        assert b"content-length" not in dict(start(304, size=0))
        assert b"content-length" not in dict(start(205, [(b"content-length", b"5")]))

    @pytest.mark.parametrize(
        ("status", "headers", "text"),
        [
            (101, [], "A status is a number from 200 to 999, not 101."),
            (1000, [], "A status is a number from 200 to 999, not 1000."),
            (200, [(b"a b", b"")], "The header name b'a b' is not a token (RFC 9110 §5.6.2)."),
            (200, [(b":status", b"")],
             "The header name b':status' is not a token (RFC 9110 §5.6.2)."),
            (200, [(b"a", b"b\nc")], "The value of the header 'a' holds a CR, LF or NUL."),
            (200, [("a", b"b")], "Header name 'a' expected to be `bytes`, but got `<class 'str'>`"),
            (200, [(b"a", "b")],
             "Header value 'b' expected to be `bytes`, but got `<class 'str'>`"),
            (200, [(b"content-length", b"x")],
             "The header 'Content-Length' is not a number: b'x'."),
            (200, [(b"content-length", b"1"), (b"Content-Length", b"1")],
             "The header 'Content-Length' was given more than once."),
        ],
    )  # fmt: skip
    def test_wrong(self, status: int, headers: Any, text: str) -> None:
        """What cannot be sent is refused by name, and nothing has happened."""
        response = HTTP2Response("GET")
        with pytest.raises(ValueError) as caught:  # noqa: PT011  the whole message is compared
            response.start(status, headers, server=None, date=DATE)
        assert str(caught.value) == text
        assert response.start(200, [], server=None, date=DATE)[0] == (b":status", b"200")

    def test_twice(self) -> None:
        """A response begins once."""
        response = HTTP2Response("GET")
        response.start(200, [], server=None, date=DATE)
        with pytest.raises(LocalProtocolError, match=r"^The response has begun already.$"):
            response.start(200, [], server=None, date=DATE)


class TestBody:
    """What follows."""

    def test_counted(self) -> None:
        """A body is as long as its content-length says."""
        response = HTTP2Response("GET")
        response.start(200, [(b"content-length", b"5")], server=None, date=DATE)
        assert response.body(b"abc", True) == b"abc"
        assert response.body(b"de", False) == b"de"
        assert response.complete
        with pytest.raises(LocalProtocolError, match=r"^The response is complete.$"):
            response.body(b"", False)

    @pytest.mark.parametrize(
        ("data", "more", "found"),
        [(b"abcdef", True, "has at least 6"), (b"ab", False, "ended after 2")],
    )
    def test_wrong(self, data: bytes, more: bool, found: str) -> None:
        """Another length is an error of the application's."""
        response = HTTP2Response("GET")
        response.start(200, [(b"content-length", b"5")], server=None, date=DATE)
        with pytest.raises(LocalProtocolError) as caught:
            response.body(data, more)
        assert str(caught.value) == (
            f"The response declares a Content-Length of 5 bytes, but its body {found}."
        )

    def test_whole(self) -> None:
        """A whole body, too."""
        with pytest.raises(LocalProtocolError, match="ended after 2"):
            start(headers=[(b"content-length", b"5")], size=2)

    @pytest.mark.parametrize(
        ("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 205), ("GET", 304)]
    )
    def test_none(self, method: str, status: int) -> None:
        """Where there is no body, what the application sends is swallowed."""
        response = HTTP2Response(method)
        response.start(status, [(b"content-length", b"5")], server=None, date=DATE)
        assert response.without_body
        assert response.body(b"abcdefgh", True) == b""
        assert response.body(b"", False) == b""

    def test_early(self) -> None:
        """There is no body before its response."""
        with pytest.raises(LocalProtocolError, match=r"^The response has not begun.$"):
            HTTP2Response("GET").body(b"", True)


class TestOthers:
    """Interim responses and errors."""

    def test_informational(self) -> None:
        """A status and fields."""
        assert informational_fields(103, [(b"Link", b"</a>")]) == [
            (b":status", b"103"), (b"link", b"</a>")
        ]  # fmt: skip

    @pytest.mark.parametrize("status", [99, 101, 200])
    def test_no_such(self, status: int) -> None:
        """101 does not exist here (RFC 9113 §8.6)."""
        with pytest.raises(ValueError, match=f"^{status} is not the status of an interim response"):
            informational_fields(status, [])

    def test_error(self) -> None:
        """A sentence in plain text."""
        assert error_fields(405, "No.", server=None, date=DATE, headers=[(b"Allow", b"GET")]) == (
            [
                (b":status", b"405"),
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"allow", b"GET"),
                (b"content-length", b"4"),
                (b"date", DATE),
            ],
            b"No.\n",
        )

    def test_encode(self) -> None:
        """Trailers are fields like others."""
        assert encode_fields([(b"X-Sum", b"1"), (b"Connection", b"x")]) == [(b"x-sum", b"1")]
