"""How a consumer serves one connection: from its mailbox to its handlers, and to its end."""

import asyncio
import functools
import logging
import random
from collections.abc import Hashable
from typing import Any, ClassVar, Final

from asgiref.sync import async_to_sync

from fairway import DEFAULT_CHANNEL_LAYER
from fairway._types import Event, Receive, Scope, Send
from fairway.consuming.advice import advise_on_error, advise_on_message
from fairway.consuming.budget import Budget
from fairway.consuming.grace import Grace, describe
from fairway.consuming.handlers import HandlerTable, MalformedType, NoHandler
from fairway.consuming.lanes import Arrival, Lanes
from fairway.consuming.sending import ThreadSend, send_quietly
from fairway.consuming.threads import current_executor, needs_thread
from fairway.db import connection_thread, connection_turns
from fairway.delivery import Mailbox, Outbox, Overflow
from fairway.delivery.mailbox import MAX_MESSAGE_BYTES, MAX_MESSAGES, TURN
from fairway.delivery.pump import DISCONNECTS, LayerMessage, pump_client, pump_layer
from fairway.exceptions import StopConsumer
from fairway.later import create_task_later
from fairway.layers.base import ChannelLayer
from fairway.layers.codec import decode
from fairway.server.application.threads import LentThread
from fairway.utils import name_that_thing
from fairway.wire.frames import RETRY_WINDOW, CloseCode, with_retry

logger = logging.getLogger("fairway.consumer")

#: Seconds that handlers go on after their client has gone, where no server says otherwise.
DISCONNECT_GRACE: Final = 10.0


class Serving:
    """The part of a consumer that nobody overrides: its loop, its channel, its end.

    Private names of consumers begin with ``_fw_``. Projects put methods and attributes of their own
    into the same namespace, and were free to call them ``_send``, ``_handle`` or ``_event``.

    Attributes:
        scope: The connection's ASGI scope.
        channel_layer: The channel layer of :attr:`channel_layer_alias`, or None.
        channel_name: The name under which the layer sends to this consumer; missing without a
            layer.
        base_send: The ASGI ``send``; may be replaced.
    """

    #: The channel layer to use, by its alias in ``CHANNEL_LAYERS``.
    channel_layer_alias: ClassVar[str] = DEFAULT_CHANNEL_LAYER
    #: Seconds after the client has gone until a handler that still runs is cancelled. None is what
    #: the server allows: ``application_close_timeout``, or 10 s under servers that do not care.
    disconnect_grace: ClassVar[float | None] = None

    #: What happens when messages from the channel layer come faster than they are handled:
    #: ``"disconnect"`` closes the WebSocket with 1013, so that nobody believes to have seen
    #: everything; ``"drop-oldest"``, ``"drop-newest"``; ``"latest"`` keeps the latest one of each
    #: :meth:`latest_key`.
    overflow: ClassVar[str] = Overflow.DISCONNECT.value
    #: How many messages from the channel layer may wait for one WebSocket.
    max_waiting_messages: ClassVar[int] = MAX_MESSAGES
    #: The same in bytes.
    max_waiting_bytes: ClassVar[int] = MAX_MESSAGE_BYTES

    _sync: ClassVar[bool] = False
    _fw_handlers: ClassVar[HandlerTable]
    #: What differs from a mailbox's own budget, or None.
    _fw_budget: ClassVar[Budget | None] = None
    #: Whether this class handles ``layer.gap``.
    _fw_wants_gaps: ClassVar[bool] = False
    #: The WebSocket's handshake was answered by accepting it.
    _fw_accepted = False
    #: Whether the hub may write ``websocket.send`` messages past this class.
    _fw_writes_direct: ClassVar[bool] = True
    #: Between the first and the second, a connection is open: the second is handled exactly once.
    _fw_opening: ClassVar[str] = "websocket.connect"
    _fw_ending: ClassVar[str] = "websocket.disconnect"

    scope: Scope
    channel_layer: Any  # BaseChannelLayer | None; third-party layers have methods of their own
    channel_name: str

    _fw_send: Any = None
    #: The ``send`` of a WebSocket as the server gave it, whatever stands in its place now.
    _fw_given_send: Send
    _fw_mailbox: Mailbox | None = None
    #: The layer that the mailbox is bound to; the public name for it may be changed by anyone.
    _fw_bound: ChannelLayer | None = None
    #: Whether the current event came from a layer; None if several are current.
    _fw_from_layer: bool | None = False
    _fw_event: Event | None = None
    _fw_connected = False
    _fw_disconnected = False
    #: The connection has been closed from here: what is still sent is dropped.
    _fw_closing = False
    _fw_grace: Grace | None = None
    _fw_lanes: Lanes[Arrival] | None = None
    _fw_leaving: "asyncio.Task[None] | None" = None

    @property
    def base_send(self) -> Any:
        """The ASGI ``send`` of this connection (in a sync consumer: a sync function)."""
        return self._fw_send

    @base_send.setter
    def base_send(self, send: Any) -> None:
        self._fw_send = send
        if self._fw_mailbox is not None:
            self._fw_mailbox.direct = None  # whoever replaces it wants to see every message

    def latest_key(self, message: Event) -> Hashable:
        """What a message is about: with ``overflow = "latest"`` a later one makes it old."""
        return message.get("type")

    # ------------------------------------------------------------------ what consumer.py defines

    def _fw_find_handler(self, message: Event) -> Any:
        raise NotImplementedError

    def _fw_get_channel_layer(self) -> Any:
        raise NotImplementedError

    async def dispatch(self, message: Event) -> None:
        """Call the handler of an event; an override sees every event.

        Raises:
            ValueError: There is none.
        """
        raise NotImplementedError

    async def _fw_decide(self, error: Exception, event: Event) -> None:
        raise NotImplementedError

    @property
    def _fw_in_lanes(self) -> bool:
        """Whether several events are handled at the same time."""
        return False

    async def _fw_serve_in_lanes(self, mailbox: Mailbox) -> None:
        raise NotImplementedError

    async def _fw_leave_groups(self) -> None:
        """Leave the groups that the class names; generic/groups.py knows which."""

    # ------------------------------------------------------------------ from the first to the last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection: handle its events until it is over.

        However that comes about, ``websocket.disconnect`` is handled exactly once for a connection
        whose ``websocket.connect`` was, and by then its channel is out of every group.
        """
        self.scope = scope
        if scope.get("type") == "lifespan":
            self._fw_find_handler(
                {"type": "lifespan.startup"}
            )  # servers go on without, if told at once
        thread = connection_thread() if needs_thread(scope) else None
        if thread is not None:
            await thread.__aenter__()
        mailbox = receive if isinstance(receive, Mailbox) else Mailbox(asyncio.get_running_loop())
        pumps: tuple[asyncio.Task[None], ...] = ()  # under our server there is none
        code = CloseCode.INTERNAL_ERROR
        try:
            self._fw_open(mailbox, send, foreign=mailbox is not receive)
            pumps = await self._fw_join_layer(mailbox)
            if mailbox is not receive:
                pumps = (*pumps, pump_client(receive, mailbox))
            await (
                self._fw_serve_in_lanes(mailbox) if self._fw_in_lanes else self._fw_serve(mailbox)
            )
        except StopConsumer:
            code = CloseCode.NORMAL_CLOSURE
        except asyncio.CancelledError:
            if self._fw_grace is None or not self._fw_grace.take_back():
                raise
        except Exception as error:
            error.add_note(f"In {name_that_thing(self)}, serving {scope.get('path', '')!r}")
            if advice := advise_on_error(self, scope, error):
                error.add_note(advice)
            if mailbox is not receive and "asgi" in scope and self._fw_accepted:
                await self._fw_say_goodbye(send)
            raise
        finally:
            try:
                if self._fw_connected and not self._fw_disconnected:
                    connection_turns().begin_turn()
                    await self._fw_disconnect_late(mailbox, code)
            finally:
                await self._fw_close(mailbox, pumps)
                if thread is not None:
                    await thread.__aexit__(None, None, None)

    def _fw_open(self, mailbox: Mailbox, send: Send, *, foreign: bool) -> None:
        """Let everything for this connection come into one mailbox, and out the shortest way."""
        self._fw_mailbox = mailbox
        self._fw_send = self._fw_send_from_threads(mailbox, send) if self._sync else send
        if isinstance(send, Outbox) and self._fw_writes_direct and not self._fw_in_lanes:
            mailbox.direct = send
        if self.scope.get("type") == "websocket":
            self._fw_given_send = send
            mailbox.on_overflow = self._fw_overflowed
            if self._fw_budget is not None:
                self._fw_budget.apply(mailbox, self)
        else:
            mailbox.overflow = Overflow.DROP_NEWEST
        mailbox.on_overdue = self._fw_overdue
        seconds = self.disconnect_grace
        if seconds is None and foreign:
            seconds = DISCONNECT_GRACE
        if seconds is not None:
            self._fw_grace = Grace(self, seconds, current_executor())
            mailbox.on_disconnect = self._fw_client_left

    @staticmethod
    def _fw_send_from_threads(mailbox: Mailbox, send: Send) -> Any:
        thread = current_executor()
        if isinstance(send, Outbox) and isinstance(thread, LentThread):
            return ThreadSend(send, thread, mailbox.loop)
        return async_to_sync(send)

    async def _fw_close(self, mailbox: Mailbox, pumps: tuple["asyncio.Task[None]", ...]) -> None:
        for pump in pumps:
            pump.cancel()
        # No circle for the collector to find.
        mailbox.direct = mailbox.on_overflow = mailbox.on_overdue = mailbox.key_of = None
        mailbox.on_disconnect = mailbox.on_drain = None
        if self._fw_grace is not None:
            self._fw_grace.close()
            self._fw_grace = None
        try:
            await self._fw_leave_layer()
        finally:
            if self._fw_leaving is not None:
                pumps = (*pumps, self._fw_leaving)
            if pumps:
                await asyncio.gather(*pumps, return_exceptions=True)

    async def _fw_join_layer(self, mailbox: Mailbox) -> tuple["asyncio.Task[None]", ...]:
        """Get a channel whose messages come into ``mailbox``; returns the pump of a foreign one."""
        layer = self.channel_layer = self._fw_get_channel_layer()
        if layer is None:
            return ()
        if isinstance(layer, ChannelLayer) and layer.may_bind:
            self.channel_name = layer.bind(mailbox, gaps=self._fw_wants_gaps)
            self._fw_bound = layer
            return ()
        self.channel_name = await layer.new_channel()
        return (pump_layer(functools.partial(layer.receive, self.channel_name), mailbox),)

    # A method, and no partial for each consumer: 250 bytes less for each open socket.
    async def channel_receive(self) -> Any:
        """The next message of this consumer's channel, which only a foreign layer hands out here.

        Raises:
            RuntimeError: The consumer receives them in its handlers.
        """
        return await self.channel_layer.receive(self.channel_name)

    # ------------------------------------------------------------------ one event after the other

    async def _fw_serve(self, mailbox: Mailbox) -> None:
        handled = 0
        turns = connection_turns()
        from_layers = self._fw_only_layers
        opening, ending = self._fw_opening, self._fw_ending
        while True:
            if handled == TURN:
                handled = 0
                await asyncio.sleep(0)
            item = mailbox.take()
            handled += 1
            if item is None:
                self._fw_event = None  # which may be large
                if mailbox.disconnected:
                    return
                handled = 0
                await mailbox.park()
                continue
            if turns.begin_turn():
                await asyncio.sleep(0)
            from_layer = from_layers
            if isinstance(item, bytes):
                item, from_layer = decode(item), True
            elif isinstance(item, LayerMessage):
                item.taken.set()
                item, from_layer = dict(item), True
            elif (kind := item.get("type")) == opening:
                self._fw_connected = True
            elif kind == ending:
                await self._fw_leave_layer()
                self._fw_disconnected = True
            self._fw_from_layer = from_layer
            self._fw_event = item
            try:
                await self.dispatch(item)
            except StopConsumer:
                raise
            except Exception as error:  # noqa: BLE001  on_error() decides what it means
                self._fw_from_layer = False
                await self._fw_failed(error, item, from_layer=from_layer)

    @property
    def _fw_only_layers(self) -> bool:
        """Whether every event came from a layer: a worker hands on what one carried."""
        return bool(self.scope.get("type") == "channel")

    async def _fw_failed(self, error: Exception, event: Event, *, from_layer: bool) -> None:
        served = "asgi" in self.scope  # by a server; a test sees what Channels says
        if not from_layer or not isinstance(error, NoHandler):
            # Nobody has to hear what comes last: a consumer without a handler for it just ends.
            if isinstance(error, NoHandler) and served and event.get("type") in DISCONNECTS:
                raise StopConsumer
            await self._fw_decide(error, event)
        elif isinstance(error, MalformedType) and not served:
            raise error
        else:
            # One mistyped group_send must not close every member.
            advice = advise_on_message(type(self), event, marked=self._fw_handlers.marked)
            logger.warning(
                "%s ignores a channel layer message: %s (%s)", name_that_thing(self), error, advice
            )

    # ------------------------------------------------------------------ the end

    def _fw_client_left(self) -> None:
        assert self._fw_grace is not None
        self._fw_grace.begin()

    async def _fw_disconnect_late(self, mailbox: Mailbox, code: CloseCode) -> None:
        """Handle the disconnect of a connection that ended without handling it."""
        self._fw_from_layer = False
        try:
            await self._fw_leave_layer()
        except Exception:
            logger.exception("%s could not leave its groups", name_that_thing(self))
        event: Event = {"type": self._fw_ending}
        if self.scope.get("type") == "websocket":
            event |= {"code": int(code), "reason": ""}
        try:
            await self._fw_dispatch_late(mailbox.last_event or event)
        except (StopConsumer, NoHandler):
            pass
        except Exception:
            logger.exception("%s raised in its disconnect", name_that_thing(self))

    async def _fw_dispatch_late(self, event: Event) -> None:
        await self.dispatch(event)

    async def _fw_leave_layer(self) -> None:
        if self._fw_bound is not None:
            assert self._fw_mailbox is not None
            assert self._fw_mailbox.channel is not None
            await self._fw_bound.unbind(self._fw_mailbox.channel)

    async def _fw_leave_early(self) -> None:
        """Leave the groups while a handler still runs, which may go on for ever in a thread."""
        try:
            await self._fw_leave_layer()
            if self._fw_bound is None:
                await self._fw_leave_groups()
        except Exception:
            logger.exception("%s could not leave its groups", name_that_thing(self))

    def _fw_overdue(self) -> str:
        """Somebody is about to cancel this consumer: say what it is doing, and leave the groups."""
        assert self._fw_mailbox is not None
        if self._fw_leaving is None:
            self._fw_leaving = self._fw_mailbox.loop.create_task(self._fw_leave_early())
        return describe(self, self._fw_mailbox, self._fw_event, self._fw_lanes)

    async def _fw_say_goodbye(self, send: Send) -> None:
        """Close with 1011 where the server might just cut the connection when we raise."""
        if not self._fw_closing:
            self._fw_closing = True
            code = int(CloseCode.INTERNAL_ERROR)
            await send_quietly(send, {"type": "websocket.close", "code": code})

    def _fw_overflowed(self) -> None:
        """Too many layer messages wait: end the connection, whatever its handler is doing."""
        send = self._fw_given_send
        code, reason = int(CloseCode.TRY_AGAIN_LATER), "Too many messages were waiting."
        self._fw_closing = True
        if isinstance(send, Outbox):
            send.leave(code, reason)  # our server adds when to come back
            return
        reason = with_retry(reason, random.uniform(0.0, RETRY_WINDOW))  # noqa: S311  no secret
        event = {"type": "websocket.close", "code": code, "reason": reason}
        assert self._fw_mailbox is not None
        # Later: a layer is in the middle of handing out messages.
        closing = create_task_later(self._fw_mailbox.loop, send_quietly(send, event))
        self._fw_closing_task = closing  # the loop itself keeps only a weak reference
