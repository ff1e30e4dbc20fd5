"""Run an application so that its connection can be ended when its user is gone."""

import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.auth.connections import CONNECTION, Connection, current_watch
from fairway.auth.endings import (
    DirectEnding,
    HTTPEnding,
    WebSocketEnding,
    WrappedEnding,
    disconnect_event,
)
from fairway.auth.policy import Ending, Identity, Revalidation
from fairway.delivery import Mailbox, Outbox
from fairway.exceptions import ClientDisconnected

logger = logging.getLogger("fairway.auth")

#: Takes a client's text message; says whether it was for us and goes no further.
Intercept = Callable[[str], Awaitable[bool]]

#: What a connection's middleware does once it is watched: look the user up and identify them.
Identify = Callable[[Connection], Awaitable[None]]

#: The types of scopes that are connections of somebody.
GUARDED: Final = frozenset({"http", "websocket"})


class _Gone:
    """Who a connection is that is over."""

    async def check(self) -> str | None:
        """Find nothing: nobody is there to be told."""
        return None


_GONE: Final = _Gone()


class Guard:
    """Watches one connection while its application runs.

    Args:
        scope: The scope that is passed on; gets the connection under :data:`CONNECTION`.
        receive: Of the server, or of what is around.
        send: The same.
        identity: Who it is.
        policy: When to look again; None for expiry alone.
        clock: Seconds since the epoch.
        intercept: Looks at the client's text messages first, if there is any need.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        identity: Identity,
        policy: Revalidation | None,
        clock: Callable[[], float] = time.time,
        intercept: Intercept | None = None,
    ) -> None:
        self._scope = scope
        self._stack = contextlib.AsyncExitStack()
        self._wrapped: WrappedEnding | None = None
        ending: Ending
        self._receive, self._send = receive, send
        if scope["type"] == "http":
            ending = self._wrapped = HTTPEnding(receive, send, self._watch_stream)
            # A mailbox is told by the ending, and stays what a consumer takes the short way with.
            if not isinstance(receive, Mailbox):
                self._receive = ending.receive
            self._send = ending.send
        elif isinstance(receive, Mailbox) and isinstance(send, Outbox):
            ending = DirectEnding(receive, send)
        else:
            ending = self._wrapped = WebSocketEnding(receive, send)
            self._receive, self._send = ending.receive, ending.send
        self._intercept = intercept
        self._check_messages = policy is not None and policy.per_message
        if scope["type"] == "websocket" and (self._check_messages or intercept is not None):
            self._inner_receive, self._receive = self._receive, self._receive_checked
        self.connection = Connection(current_watch(), policy, identity, ending, clock)
        scope[CONNECTION] = self.connection

    async def run(self, application: ASGIApplication, identify: Identify) -> None:
        """Find out who it is, and run the application until it is over.

        Args:
            application: What is inside.
            identify: Called first. By then news about this session or user are not missed any more.
        """
        connection = self.connection
        try:
            with connection.watch.held():
                await self._run(application, identify)
        finally:
            # No circle for the collector to find, of which there would be one for each connection.
            connection.identity = _GONE
            vars(self).clear()

    async def _run(self, application: ASGIApplication, identify: Identify) -> None:
        async with self._stack:
            if self._scope["type"] == "websocket":
                await self._watch()
            await identify(self.connection)
            try:
                await application(self._scope, self._receive, self._send)
            except ClientDisconnected:
                if self.connection.ended is None:
                    raise
            finally:
                if self._wrapped is not None:
                    await self._wrapped.wait()

    async def _watch(self) -> None:
        connection = self.connection
        await self._stack.enter_async_context(connection.watch.watching(connection))

    async def _watch_stream(self) -> None:
        """The response is a stream: only now is it worth being watched."""
        connection = self.connection
        await self._watch()
        if connection.policy is not None and connection.policy.at_once:
            connection.watch.check_soon(connection)  # news may have come before

    async def _receive_checked(self) -> Event:
        while True:
            event = await self._inner_receive()
            if event["type"] != "websocket.receive":
                return event
            if self._check_messages and not await self.connection.check():
                return disconnect_event(self.connection.ended or "")
            text = event.get("text")
            if self._intercept is None or text is None or not await self._intercept(text):
                return event


def control_message(text: str, wanted: str, limit: int) -> dict[str, object] | None:
    """Return a client's message if it is a JSON object of that ``type``.

    Args:
        text: What the client sent.
        wanted: The value of ``type``.
        limit: Characters beyond which it is not looked at.
    """
    # Nearly every message is an application's own, and need not be decoded here.
    if len(text) > limit or f'"{wanted}"' not in text:
        return None
    try:
        message = json.loads(text)
    except ValueError:
        return None
    if not isinstance(message, dict) or message.get("type") != wanted:
        return None
    return message
