"""How a connection is ended from outside its application, and what it may still say then.

Under Fairway's server a WebSocket needs no wrapping: its mailbox and outbox can be told directly,
and the short way between channel layer and socket stays open. Elsewhere, and for HTTP, ``receive``
and ``send`` are wrapped.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Final

from fairway._types import Event, Headers, Receive, Send
from fairway.delivery import Mailbox, Outbox
from fairway.exceptions import ClientDisconnected
from fairway.wire.frames import CloseCode

logger = logging.getLogger("fairway.auth")

#: Seconds that a client may take to read its end before the application is told anyway.
PATIENCE: Final = 5.0


class DirectEnding:
    """Ends a WebSocket of Fairway's server.

    What the client has sent before is still handled; what it sends afterwards is not.
    """

    __slots__ = ("_mailbox", "_outbox")

    def __init__(self, mailbox: Mailbox, outbox: Outbox) -> None:
        self._mailbox = mailbox
        self._outbox = outbox

    def end(self, reason: str) -> None:
        """Close with 4401, and tell the application."""
        self._outbox.leave(int(CloseCode.UNAUTHORIZED), reason)
        self._mailbox.put_disconnect(disconnect_event(reason))


class WrappedEnding:
    """Ends a connection whose ``receive`` and ``send`` it wraps: what both protocols share.

    Args:
        receive: Of the server, or of what is around.
        send: The same.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[Event] = self._loop.create_future()
        self._ending: asyncio.Task[None] | None = None

    def end(self, reason: str) -> None:
        """Say goodbye to the client, and then tell the application that it is gone."""
        self._ending = self._loop.create_task(self._end(reason), context=Context())

    async def _end(self, reason: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._say_goodbye(reason)
        except (OSError, RuntimeError, TimeoutError) as error:
            logger.debug("A revoked connection was ending already: %r", error)
        finally:
            if not self._over.done():
                self._over.set_result(self._last_event(reason))

    async def _say_goodbye(self, reason: str) -> None:
        raise NotImplementedError

    def _last_event(self, reason: str) -> Event:
        raise NotImplementedError

    async def wait(self) -> None:
        """Let the goodbye go out, if there is one."""
        if self._ending is not None:
            await asyncio.wait([self._ending])

    async def receive(self) -> Event:
        """The ASGI ``receive``: once the connection was ended, the client's disconnect."""
        if not self._over.done():
            source = asyncio.ensure_future(self._receive())
            try:
                await asyncio.wait([source, self._over], return_when=asyncio.FIRST_COMPLETED)
                if not self._over.done():
                    return source.result()
            finally:
                source.cancel()
        return self._over.result()

    async def send(self, event: Event) -> None:
        """The ASGI ``send``.

        Raises:
            ClientDisconnected: The connection was ended.
        """
        if self._ending is not None:
            raise ClientDisconnected(f"Cannot send {event['type']!r}: access was revoked.")
        await self._send(event)


class WebSocketEnding(WrappedEnding):
    """Ends a WebSocket under any server."""

    async def _say_goodbye(self, reason: str) -> None:
        code = int(CloseCode.UNAUTHORIZED)
        await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def _last_event(self, reason: str) -> Event:
        return disconnect_event(reason)


class HTTPEnding(WrappedEnding):
    """Ends a response: a stream is completed, one that has not begun becomes a 401.

    Args:
        receive: As above; a mailbox is not wrapped but told.
        send: As above.
        on_stream: Awaited once, when the response turns out to come in several parts.
    """

    def __init__(
        self, receive: Receive, send: Send, on_stream: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(receive, send)
        self._on_stream: Callable[[], Awaitable[None]] | None = on_stream
        self._started = self._complete = False

    async def send(self, event: Event) -> None:
        """The ASGI ``send``."""
        await super().send(event)
        if event["type"] == "http.response.start":
            self._started = True
        elif event["type"] == "http.response.body":
            if not event.get("more_body", False):
                self._complete = True
            elif self._on_stream is not None:
                on_stream, self._on_stream = self._on_stream, None
                await on_stream()

    async def _say_goodbye(self, reason: str) -> None:
        if not self._complete and not self._started:
            await respond_unauthorized(self._send, "http.response", reason)
        elif not self._complete:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        if isinstance(self._receive, Mailbox):
            self._receive.put_disconnect(self._last_event(reason))

    def _last_event(self, reason: str) -> Event:
        return {"type": "http.disconnect"}


def disconnect_event(reason: str) -> Event:
    """The event that tells a WebSocket application of its end."""
    code = int(CloseCode.UNAUTHORIZED)
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


async def respond_unauthorized(send: Send, prefix: str, text: str, headers: Headers = []) -> None:  # noqa: B006  never changed
    """Send a whole response with status 401 (RFC 9110 §15.5.2).

    Args:
        send: Of the connection.
        prefix: ``"http.response"``, or ``"websocket.http.response"`` for a handshake.
        text: What the client reads.
        headers: Further fields.
    """
    body = text.encode()
    fields = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        *headers,
    ]
    await send({"type": f"{prefix}.start", "status": 401, "headers": fields})
    await send({"type": f"{prefix}.body", "body": body})
