"""The application raises, hangs, returns or sends rubbish, at every point of a conversation.

Each time the client gets an answer that says so, the log says one clear thing, whoever came is told
once that it is over, and nothing is left.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from fairway._types import ASGIApplication, Receive, Scope, Send
from tests.faults.census import Census
from tests.faults.conftest import Log
from tests.server.applications import body, start
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, Running, until

Fault = Callable[[Send], Awaitable[None]]

#: Seconds until an application that hangs is cancelled, once its client is gone.
GRACE: Final = 0.05


class Mistake(Exception):
    """What an application raises."""


async def raises(send: Send) -> None:
    """Raises."""
    raise Mistake


async def raises_system_exit(send: Send) -> None:
    """Wants to end the process."""
    raise SystemExit(3)


async def cancels(send: Send) -> None:
    """Is cancelled, by nobody that the server knows."""
    raise asyncio.CancelledError


async def sends_nonsense(send: Send) -> None:
    """Sends an event that there is not."""
    await send({"type": "nonsense"})


async def sends_no_type(send: Send) -> None:
    """Sends an event without a type."""
    await send({})


async def sends_wrong_types(send: Send) -> None:
    """Sends events whose contents are not what they should be."""
    await send({"type": "http.response.start", "status": "200", "headers": 5})
    await send({"type": "http.response.body", "body": "text"})


#: What goes wrong, and how the log names it.
FAULTS: Final[dict[Fault, str]] = {
    raises: "Mistake()",
    raises_system_exit: "SystemExit(3)",
    cancels: "CancelledError()",
    sends_nonsense: "",
    sends_no_type: "",
}
HTTP_POINTS: Final = ["before the body", "within the body", "before the head", "after the head"]
HTTP_POINTS_LATE: Final = ["after the response"]


def at_point(point: str, fault: Fault) -> ASGIApplication:
    """An HTTP application that goes wrong at one point."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if point == "before the body":
            await fault(send)
            return
        more = (await receive())["more_body"]
        if point == "within the body":
            await fault(send)
            return
        while more:
            more = (await receive())["more_body"]
        if point == "before the head":
            await fault(send)
            return
        await send(start())
        await send(body(b"beginning", more=True))
        if point == "after the head":
            await fault(send)
            return
        await send(body(b" and end"))
        await fault(send)

    return app


async def post(running: Running) -> bytes:
    """The answer to a body in two parts; what there is of it, if it is cut off."""
    client = await running.connect()
    await client.send(
        b"POST /upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhell"
    )
    await client.send(b"o you")
    data = b""
    try:
        async with asyncio.timeout(DEADLINE):
            while part := await client.reader.read(65536):
                data += part
    except ConnectionResetError:
        data += b" (cut off)"
    client.close()
    return data


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
class TestHTTP:
    """A request."""

    @pytest.mark.parametrize("point", HTTP_POINTS[:3])
    async def test_before_the_head(
        self, point: str, fault: Fault, serve: Serve, census: Census, log: Log
    ) -> None:
        """500, and one line with the exception."""
        running = await serve(at_point(point, fault))
        census.begin()
        answer = await post(running)
        assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert answer.endswith(b"\r\n\r\nThe application failed.\n")
        await census.nothing_is_left(running)
        (line,) = log.take()
        assert line.startswith("ERROR Exception inside application for POST /upload: ")
        assert line.endswith(FAULTS[fault])

    async def test_after_the_head(
        self, fault: Fault, serve: Serve, census: Census, log: Log
    ) -> None:
        """The response is cut off, so that nobody takes it for a whole one."""
        running = await serve(at_point("after the head", fault))
        census.begin()
        answer = await post(running)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"0\r\n\r\n" not in answer
        await census.nothing_is_left(running)
        (line,) = log.take()
        assert line.startswith("ERROR Exception inside application for POST /upload: ")

    async def test_after_the_response(
        self, fault: Fault, serve: Serve, census: Census, log: Log
    ) -> None:
        """The client has its answer; the log has the exception."""
        running = await serve(at_point("after the response", fault))
        census.begin()
        answer = await post(running)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b" and end\r\n0\r\n\r\n")
        await census.nothing_is_left(running)
        (line,) = log.take()
        assert line.startswith("ERROR Exception inside application for POST /upload: ")


async def returns(send: Send) -> None:
    """Does nothing, and so the application returns."""


class TestHTTPReturns:
    """An application that returns too early."""

    @pytest.mark.parametrize("point", HTTP_POINTS[:3])
    async def test_before_the_head(
        self, point: str, serve: Serve, census: Census, log: Log
    ) -> None:
        """500, and one line that says what is missing."""
        running = await serve(at_point(point, returns))
        census.begin()
        answer = await post(running)
        assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        await census.nothing_is_left(running)
        assert log.take() == ["ERROR The application returned without a response to POST /upload"]

    async def test_after_the_head(self, serve: Serve, census: Census, log: Log) -> None:
        """The response is cut off."""
        running = await serve(at_point("after the head", returns))
        census.begin()
        answer = await post(running)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"0\r\n\r\n" not in answer
        await census.nothing_is_left(running)
        assert log.take() == [
            "ERROR The application returned before the end of its response to POST /upload"
        ]


async def hangs(send: Send) -> None:
    """Waits for what never comes."""
    await asyncio.Event().wait()


class TestHTTPHangs:
    """An application that never goes on."""

    @pytest.mark.parametrize("point", HTTP_POINTS)
    async def test_until_its_client_goes(
        self, point: str, serve: Serve, census: Census, log: Log
    ) -> None:
        """It is cancelled a while after its client has gone, and the log shows where it hung."""
        running = await serve(at_point(point, hangs), application_close_timeout=GRACE)
        census.begin()
        client = await running.connect()
        await client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhell")
        await client.send(b"o you")
        await until(lambda: len(running.context.tasks) == 1)
        client.abort()
        await census.nothing_is_left(running)
        (line,) = log.take()
        assert line.startswith(
            "WARNING Application for POST /upload went on for more than 0.05 s after its client "
            "had gone; it was cancelled. It was waiting here:\n"
        )
        assert "in hangs\n" in line

    async def test_longer_than_its_limit(self, serve: Serve, census: Census, log: Log) -> None:
        """With ``http_timeout``, 503; then it is cancelled."""
        app = at_point("before the head", hangs)
        running = await serve(app, http_timeout=GRACE, application_close_timeout=GRACE)
        census.begin()
        assert (await post(running)).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        await census.nothing_is_left(running)
        first, second = log.take()
        assert first == (
            "WARNING The application did not answer POST /upload within 0.05 s (http_timeout)"
        )
        assert second.startswith("WARNING Application for POST /upload went on for more than ")
