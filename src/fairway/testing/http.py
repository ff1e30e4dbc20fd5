"""Make one HTTP request to an ASGI application inside a test."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final

from fairway._types import ASGIApplication, Event, Headers
from fairway.testing.application import DEFAULT_TIMEOUT, ApplicationCommunicator
from fairway.testing.scope import connection_scope

#: https://asgi.readthedocs.io/en/latest/extensions.html#debug
_DEBUG: Final = "http.response.debug"


class HttpCommunicator(ApplicationCommunicator):
    r"""Sends one request and collects its response, whole or piece by piece.

    The short way is ``get_response``. Server-sent events, long polls and downloads are read while
    they go on::

        communicator = HttpCommunicator(application, "GET", "/events/")
        await communicator.start()
        assert communicator.status == 200
        assert await communicator.receive_body_chunk() == b"data: hello\n\n"
        await communicator.disconnect()

    Uploads can be sent the same way, by ``send_body``.

    Args:
        application: The ASGI application.
        method: The request method, in any case.
        path: The path with its query string, percent-encoded or not.
        body: The request's body, which goes out as one event.
        headers: Header fields with names in lower case; ``host`` is added.
        served: Let the scope say that a server called (it has ``asgi``). A ``URLRouter`` then
            answers 404 for a path that it does not know, which otherwise raises in the test.
        state: The state of the application's lifespan (``LifespanCommunicator.state``).

    Attributes:
        status: The status of the response; None before it has begun.
        response_headers: Its header fields; None before it has begun.
        debug_info: What the application has said in ``http.response.debug``, an event that it may
            send before its response if the scope has that among its ``extensions``. None if it said
            nothing.
    """

    def __init__(
        self,
        application: ASGIApplication,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Iterable[tuple[bytes, bytes]] | None = None,
        *,
        served: bool = False,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(body, bytes):
            raise TypeError(f"The body argument must be bytes, not {type(body).__qualname__}.")
        scope = connection_scope("http", path, headers, served=served, state=state)
        scope["scheme"] = "http"
        scope["method"] = method.upper()
        super().__init__(application, scope)
        self.body = body
        self.sent_request = False
        self.status: int | None = None
        self.response_headers: Headers | None = None
        self.debug_info: dict[str, Any] | None = None
        self._start: Event | None = None
        self._complete = False

    async def get_response(self, timeout: float | None = DEFAULT_TIMEOUT) -> Event:  # noqa: ASYNC109
        """Send the request, unless that is done already, and return the response.

        Args:
            timeout: Seconds to wait for each event of the response; ``None`` waits for ever.

        Returns:
            ``status``, ``headers`` (a list of pairs of bytes) and ``body`` (bytes; what
            ``receive_body_chunk`` has returned before is not among them).

        Raises:
            AssertionError: The application sent something else than a response.
            TimeoutError: As for ``receive_output``.
        """
        if self._start is None:
            await self.start(timeout)
        body = b"".join([chunk async for chunk in self.body_chunks(timeout)])
        return {**(self._start or {}), "body": body}

    async def start(self, timeout: float | None = DEFAULT_TIMEOUT) -> Event:  # noqa: ASYNC109
        """Send the request, unless that is done already, and wait for the response to begin.

        Args:
            timeout: Seconds to wait; ``None`` waits for ever.

        Returns:
            ``status`` and ``headers``, which are attributes of the communicator as well.

        Raises:
            AssertionError: The application sent something else than the start of a response.
            TimeoutError: As for ``receive_output``.
        """
        if not self.sent_request:
            await self.send_body(self.body)
        start = await self.receive_output(timeout)
        if start["type"] == _DEBUG and _DEBUG in self.scope["extensions"]:
            self.debug_info = start["info"]
            start = await self.receive_output(timeout)
        expect("http.response.start", start)
        self._start = {key: value for key, value in start.items() if key != "type"}
        self.status = self._start["status"]
        self.response_headers = self._start["headers"] = list(start.get("headers", []))
        return self._start

    async def send_body(self, body: bytes, more_body: bool = False) -> None:
        """Send a part of the request's body, for requests that are not sent at once.

        Args:
            body: May be empty.
            more_body: Whether another part follows.
        """
        self.sent_request = True
        event: Event = {"type": "http.request", "body": body}
        if more_body:
            event["more_body"] = True
        await self.send_input(event)

    async def receive_body_chunk(self, timeout: float | None = DEFAULT_TIMEOUT) -> bytes | None:  # noqa: ASYNC109
        """Return the next piece of the response's body that the application sends.

        Empty pieces are left out. None says that the body is complete.

        Args:
            timeout: Seconds to wait; ``None`` waits for ever.

        Raises:
            AssertionError: The application sent something else.
            TimeoutError: As for ``receive_output``.
        """
        while not self._complete:
            body, more_body = body_part("http.response.body", await self.receive_output(timeout))
            self._complete = not more_body
            if body:
                return body
        return None

    async def body_chunks(
        self,
        timeout: float | None = DEFAULT_TIMEOUT,  # noqa: ASYNC109
    ) -> AsyncIterator[bytes]:
        """Iterate over the pieces that are left of the body, as ``receive_body_chunk`` has them."""
        while (chunk := await self.receive_body_chunk(timeout)) is not None:
            yield chunk

    async def disconnect(self, timeout: float | None = DEFAULT_TIMEOUT) -> None:  # noqa: ASYNC109
        """Go away, as browsers do that leave a page, and wait for the application as ``wait`` does.

        Args:
            timeout: Seconds to wait before the application is cancelled.
        """
        await self.send_input({"type": "http.disconnect"})
        await self.wait(timeout)


def body_part(wanted: str, event: Event) -> tuple[bytes, bool]:
    """The bytes of an event with a part of a body, and whether another part follows.

    Args:
        wanted: ``http.response.body``, or ``websocket.http.response.body``.
        event: What the application sent.

    Raises:
        AssertionError: It is something else.
    """
    expect(wanted, event)
    body = event.get("body", b"")
    if not isinstance(body, bytes):
        raise AssertionError(f"The response body is not bytes, it is {type(body)}")
    return body, bool(event.get("more_body", False))


def expect(wanted: str, event: Event) -> None:
    """Fail, with the whole event in a note, unless it is of this type.

    Raises:
        AssertionError: It is not.
    """
    if event["type"] != wanted:
        error = AssertionError(f"Expected type '{wanted}', but was '{event['type']}'")
        error.add_note(f"The application sent: {event!r}")
        raise error
