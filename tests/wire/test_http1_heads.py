"""Heads that were sent before: what is kept, and that it says what it said."""

from collections.abc import Iterator

import pytest

from fairway.wire import http1_heads
from fairway.wire.http1 import LocalProtocolError, Response

DATE = b"Thu, 20 Nov 2025 10:30:00 GMT"
LATER = b"Thu, 20 Nov 2025 10:30:01 GMT"

Fields = list[tuple[bytes, bytes]]
TEXT: Fields = [(b"content-type", b"text/plain"), (b"X", b"y")]


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(http1_heads, "_once", set())
    kept = dict(http1_heads.heads)
    http1_heads.heads.clear()
    yield
    http1_heads.heads.clear()
    http1_heads.heads.update(kept)


def whole(
    headers: Fields,
    body: bytes = b"hi",
    *,
    status: int = 200,
    server: bytes | None = b"fairway",
    date: bytes = DATE,
    response: Response | None = None,
) -> bytes:
    """A whole response."""
    response = response or Response("GET", "1.1", keep_alive=True)
    return response.start_and_body(status, headers, body, server=server, date=date)


def answer(
    status: bytes, body: bytes, date: bytes, server: bytes = b"Server: fairway\r\n"
) -> bytes:
    """What is expected of it with the fields of ``TEXT``."""
    fields = b"content-type: text/plain\r\nX: y\r\nContent-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 %b\r\n%bDate: %b\r\n%b\r\n%b" % (status, fields, date, server, body)


class TestUse:
    """A head that is found."""

    def test_again(self) -> None:
        """It is sent with the date of the day and the body of the response."""
        for _ in range(3):
            assert whole(TEXT) == answer(b"200 OK", b"hi", DATE)
            assert whole(TEXT.copy(), b"ho", date=LATER) == answer(b"200 OK", b"ho", LATER)
        assert len(http1_heads.heads) == 1

    def test_everything_it_depends_on(self) -> None:
        """Another status, size or server is another head."""
        for _ in range(3):
            assert whole(TEXT) == answer(b"200 OK", b"hi", DATE)
            assert whole(TEXT, status=404) == answer(b"404 Not Found", b"hi", DATE)
            assert whole(TEXT, b"hello") == answer(b"200 OK", b"hello", DATE)
            assert whole(TEXT, server=None) == answer(b"200 OK", b"hi", DATE, b"")
        assert len(http1_heads.heads) == 4

    def test_end_of_the_response(self) -> None:
        """The response is as complete with it as without."""
        for _ in range(3):
            response = Response("GET", "1.1", keep_alive=True)
            whole(TEXT, response=response)
            assert (response.complete, response.keep_alive) == (True, True)
            with pytest.raises(LocalProtocolError, match=r"^The response is complete\.$"):
                response.body(b"", more=False)
            with pytest.raises(LocalProtocolError, match=r"^The response has begun already\.$"):
                whole(TEXT, response=response)
            assert response.trailers([]) == b""

    @pytest.mark.parametrize(
        ("method", "version", "keep_alive"),
        [("HEAD", "1.1", True), ("GET", "1.0", True), ("GET", "1.1", False)],
    )
    def test_other_requests(self, method: str, version: str, keep_alive: bool) -> None:
        """It is for requests in HTTP/1.1 that keep the connection, and whose answer has a body."""
        alone, _ = (whole(TEXT, response=Response(method, version, keep_alive)) for _ in "ab")
        assert not http1_heads.heads
        ordinary, _ = whole(TEXT), whole(TEXT)
        assert len(http1_heads.heads) == 1
        again = whole(TEXT, response=Response(method, version, keep_alive))
        assert again == alone != ordinary


class TestKeeping:
    """What is kept, and what is not."""

    @pytest.mark.parametrize(
        "headers",
        [
            [(b"Date", DATE)],
            [(b"Set-Cookie", b"sessionid=secret")],
            [(b"Connection", b"close")],
            [(b"X", b"y" * http1_heads.MAX_SIZE)],
        ],
    )
    def test_not_kept(self, headers: Fields) -> None:
        """Not the application's own date, no secrets, no ends of connections, nothing large."""
        first = whole(headers)
        assert [whole(headers) for _ in range(2)] == [first, first]
        assert not http1_heads.heads

    def test_seldom(self) -> None:
        """Nothing that was not said twice, with at most as much between as is remembered."""
        whole(TEXT)
        for number in range(http1_heads._MAX_ONCE):
            whole([(b"X", b"%d" % number)])
        whole(TEXT)
        assert not http1_heads.heads
        whole(TEXT)
        assert len(http1_heads.heads) == 1

    @pytest.mark.parametrize("status", [204, 205, 304])
    def test_without_body(self, status: int) -> None:
        """Nothing whose body is not sent."""
        assert whole(TEXT, b"", status=status) == whole(TEXT, b"", status=status)
        assert not http1_heads.heads

    def test_lists(self) -> None:
        """Fields that are lists are sent as ever."""
        fields: list[list[bytes]] = [[b"content-type", b"text/plain"], [b"X", b"y"]]
        whole(fields)  # type: ignore[arg-type]  # as some do
        assert whole(fields) == answer(b"200 OK", b"hi", DATE)  # type: ignore[arg-type]  # as some do
        assert not http1_heads.heads

    def test_faults(self) -> None:
        """What may not be sent is not kept, and refused each time."""
        for _ in range(2):
            with pytest.raises(ValueError, match=r"^The value of the header 'X' holds a CR"):
                whole([(b"X", b"a\r\nb")])
        with pytest.raises(
            LocalProtocolError, match=r"^The response declares a Content-Length of 3"
        ):
            whole([(b"content-length", b"3")])
        assert not http1_heads.heads

    def test_bound(self) -> None:
        """Beyond the bound it begins anew."""
        for number in range(http1_heads.MAX_HEADS):
            whole([(b"X", b"%d" % number)])
            whole([(b"X", b"%d" % number)])
        assert len(http1_heads.heads) == http1_heads.MAX_HEADS
        whole([(b"X", b"one more")])
        whole([(b"X", b"one more")])
        assert len(http1_heads.heads) == 1
