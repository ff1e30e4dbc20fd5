"""A consumer for long polling: requests that wait for messages, and a mailbox between them."""

import asyncio
import contextvars
import json
import logging
import secrets
from collections import deque
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs

from fairway._types import Event, Receive, Scope, Send
from fairway.consumer import AsyncConsumer
from fairway.delivery import Mailbox, Overflow
from fairway.exceptions import AcceptConnection, DenyConnection, StopConsumer
from fairway.generic.encoding import encode_json
from fairway.generic.groups import Groups
from fairway.utils import name_that_thing

logger = logging.getLogger("fairway.consumer")

_DISCONNECT: Final[Event] = {"type": "poll.disconnect"}
_JSON: Final = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]

#: The clients of this process, by token. A token is a secret: who has it gets the messages.
_clients: dict[str, "AsyncLongPollConsumer"] = {}


class AsyncLongPollConsumer(Groups, AsyncConsumer):
    """A client that asks again and again, each request waiting until there is something to tell.

    To your code it is one connection, like a WebSocket: :meth:`connect` runs with the client's
    first request, handlers of layer messages await :meth:`send_json`, and :meth:`disconnect` runs
    once, when the client has not asked for :attr:`keep` seconds. Between two requests messages
    wait.

    The first request, without a query, is answered at once with ``{"client": "…", "cursor": 0,
    "messages": []}``. Each further one repeats ``client`` and ``cursor`` in its query, and waits:

    - 200 with the same three and at least one message;
    - 204 when there was none for :attr:`timeout` seconds: ask again;
    - 410 when the mailbox is gone (too late, too full, closed, or in another process): load what
      may have been missed and begin anew.

    ``cursor`` says what the client has got. An answer that was lost on the way is given again, so a
    client misses nothing unless it is told so by 410. Mailboxes live in one process: with several,
    a client's requests have to reach the same one.
    """

    #: Seconds that a request waits for a message; less than what proxies allow.
    timeout: ClassVar[float] = 25.0
    #: Seconds between two requests after which a client counts as gone.
    keep: ClassVar[float] = 30.0
    #: Messages that may wait for one client, a count and their bytes; beyond them it gets 410.
    max_messages: ClassVar[int] = 1000
    max_bytes: ClassVar[int] = 1024 * 1024
    #: Clients of one process; beyond them a first request is answered with 503.
    max_clients: ClassVar[int] = 10_000

    _fw_opening: ClassVar[str] = "poll.connect"
    _fw_ending: ClassVar[str] = "poll.disconnect"

    _fw_life: "asyncio.Task[None] | None" = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fw_token = secrets.token_urlsafe(16)
        self._fw_ready: asyncio.Event = asyncio.Event()
        self._fw_kept: deque[tuple[int, str]] = deque()
        self._fw_size = 0
        self._fw_sent = 0
        self._fw_denied = False
        self._fw_poll: asyncio.Future[None] | None = None
        self._fw_expiry: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------ what subclasses override

    async def connect(self) -> None:
        """Called with the client's first request, its groups joined.

        Raise :class:`~fairway.exceptions.DenyConnection` to refuse it with 403.
        """

    async def disconnect(self) -> None:
        """Called once, when the client is gone; does nothing unless overridden."""

    def may_resume(self, scope: Scope) -> bool:
        """Whether a request may take the messages of this client; if not, it gets 410.

        By default it must be the same user's, if there are users.

        Args:
            scope: The request's; :attr:`scope` is that of the first one.
        """
        return bool(scope.get("user") == self.scope.get("user"))

    # ------------------------------------------------------------------ what they use

    async def send_json(self, content: Any) -> None:
        """Send a value to the client: at once if it waits, else with its next request.

        Args:
            content: What :meth:`encode_json` can encode.
        """
        text = await self.encode_json(content)
        if self._fw_closing:
            return
        self._fw_sent += 1
        self._fw_size += len(text)
        self._fw_kept.append((self._fw_sent, text))
        if len(self._fw_kept) > self.max_messages or self._fw_size > self.max_bytes:
            logger.warning(
                "%s: a client asks too seldom, %d messages (%d bytes) are waiting; it is told that "
                "it has missed some.",
                name_that_thing(self),
                len(self._fw_kept),
                self._fw_size,
            )
            await self.close()
        self._fw_wake()

    async def close(self) -> None:
        """End the client's mailbox: what it has not got is lost, and it is told so."""
        self._fw_closing = True
        self._fw_leave()

    @classmethod
    async def encode_json(cls, content: Any) -> str:
        """A value as JSON; dates, UUIDs, decimals and lazy text as Django writes them."""
        return encode_json(content)

    # ------------------------------------------------------------------ requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
        elif scope.get("method", "GET") != "GET":
            await _answer(send, 405, headers=[(b"allow", b"GET")])
        else:
            query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
            token = query.get("client", [None])[-1]
            if token is None:
                await self._fw_first(scope, send)
                return
            cursor = query.get("cursor", ["0"])[-1]
            client = _clients.get(token)
            if (
                client is None
                or type(client) is not type(self)
                or not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19)
                or not client.may_resume(scope)
            ):
                await _answer(send, 410)
            else:
                await client._fw_next(int(cursor), receive, send)  # noqa: SLF001  of this class

    async def _fw_first(self, scope: Scope, send: Send) -> None:
        """A new client: begin its life, which goes on between its requests."""
        if len(_clients) >= self.max_clients:
            await _answer(send, 503, headers=[(b"retry-after", b"10")])
            return
        loop = asyncio.get_running_loop()
        mailbox = Mailbox(loop)
        mailbox.put_event({"type": self._fw_opening})
        # In an empty context: what the server lends to this request ends with it.
        life = self._fw_life = loop.create_task(
            super().__call__(scope, mailbox, _nothing), context=contextvars.Context()
        )
        _clients[self._fw_token] = self
        life.add_done_callback(self._fw_ended)
        await self._fw_ready.wait()
        if life.done() and not self._fw_denied:
            life.result()
        if self._fw_denied:
            await _answer(send, 403)
        else:
            await self._fw_tell(send)
            self._fw_expire_later()

    async def _fw_next(self, cursor: int, receive: Receive, send: Send) -> None:
        """A client that is known asks for what came after ``cursor``."""
        if self._fw_expiry is not None:
            self._fw_expiry.cancel()
        self._fw_wake()  # of two requests the last one counts
        while self._fw_kept and self._fw_kept[0][0] <= cursor:
            self._fw_size -= len(self._fw_kept.popleft()[1])
        waiting = self._fw_poll = asyncio.get_running_loop().create_future()
        if isinstance(receive, Mailbox):
            receive.on_drain = self._fw_wake  # the server ends, and would wait for this request
        gone = asyncio.ensure_future(_gone(receive))
        try:
            if not self._fw_kept and not self._fw_closing:
                await asyncio.wait(
                    {waiting, gone},
                    timeout=self.timeout,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            if gone.done():
                return
            if self._fw_closing:
                await _answer(send, 410)
            elif self._fw_kept and self._fw_poll is waiting:
                await self._fw_tell(send)
            else:
                await _answer(send, 204)
        finally:
            gone.cancel()
            await asyncio.wait({gone})
            if self._fw_poll is waiting:
                self._fw_poll = None
                self._fw_expire_later()

    async def _fw_tell(self, send: Send) -> None:
        head = json.dumps({"client": self._fw_token, "cursor": self._fw_sent})
        messages = ", ".join(text for _, text in self._fw_kept)
        await _answer(send, 200, f'{head[:-1]}, "messages": [{messages}]}}'.encode())

    def _fw_wake(self) -> None:
        if self._fw_poll is not None and not self._fw_poll.done():
            self._fw_poll.set_result(None)

    # ------------------------------------------------------------------ between requests

    def _fw_expire_later(self) -> None:
        loop = asyncio.get_running_loop()
        if self._fw_expiry is not None:
            self._fw_expiry.cancel()
        self._fw_expiry = loop.call_later(self.keep, self._fw_leave)

    def _fw_leave(self) -> None:
        if self._fw_mailbox is not None:
            self._fw_mailbox.put_disconnect(_DISCONNECT)

    def _fw_ended(self, life: "asyncio.Task[None]") -> None:
        del _clients[self._fw_token]
        self._fw_closing = True
        if self._fw_expiry is not None:
            self._fw_expiry.cancel()
        if not life.cancelled() and life.exception() is not None and self._fw_ready.is_set():
            logger.error("%s failed", name_that_thing(self), exc_info=life.exception())
        self._fw_ready.set()
        self._fw_wake()

    def _fw_open(self, mailbox: Mailbox, send: Send, *, foreign: bool) -> None:
        super()._fw_open(mailbox, send, foreign=foreign)
        mailbox.overflow = Overflow.DISCONNECT
        mailbox.on_overflow = self._fw_leave

    async def poll_connect(self, message: Event) -> None:
        """A new client: join :attr:`groups`, then :meth:`connect`."""
        self._fw_require_groups()
        await self._fw_join_groups()
        try:
            await self.connect()
        except AcceptConnection:
            pass
        except DenyConnection:
            self._fw_denied = True
            self._fw_leave()
        self._fw_ready.set()

    async def poll_disconnect(self, message: Event) -> None:
        """The client is gone: leave :attr:`groups`, then :meth:`disconnect`."""
        self._fw_closing = True
        try:
            if hasattr(self.channel_layer, "group_discard"):
                await self._fw_leave_groups()
        finally:
            await self.disconnect()
        raise StopConsumer

    async def websocket_send(self, message: Event) -> None:
        """A group message that is to reach the client as it is: its text."""
        if message.get("text") is not None:
            await self.send_json(message["text"])

    async def websocket_close(self, message: Event) -> None:
        """A group message that ends the client's mailbox."""
        await self.close()


async def _answer(
    send: Send, status: int, body: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    fields = [*_JSON, *(headers or ())] if body else [*_JSON[1:], *(headers or ())]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nothing(event: Event) -> None:
    """What a client between two requests can be sent by ASGI."""
