"""Consumers: one loop over one mailbox, and a table of handlers made with the class."""

import asyncio
import functools
import inspect
import logging
from collections.abc import Coroutine
from typing import Any, ClassVar

from asgiref.sync import async_to_sync, markcoroutinefunction

from fairway import DEFAULT_CHANNEL_LAYER, layers
from fairway._types import Event, Receive, Scope, Send
from fairway.db import connection_turns, database_sync_to_async
from fairway.delivery import Mailbox, Outbox, Overflow
from fairway.delivery.mailbox import TURN
from fairway.delivery.pump import LayerMessage, pump_client, pump_layer
from fairway.exceptions import StopConsumer
from fairway.handlers import (
    HandlerTable,
    MalformedType,
    NoHandler,
    get_handler_name,
    handles,
    is_ours,
)
from fairway.layers.base import ChannelLayer
from fairway.layers.codec import decode
from fairway.utils import name_that_thing
from fairway.wire.frames import CloseCode

__all__ = ["AsyncConsumer", "SyncConsumer", "get_handler_name", "handles"]

logger = logging.getLogger("fairway.consumer")


class AsyncConsumer:
    """Base of consumers: one instance for each connection, events handled one at a time.

    An event of type ``"chat.message"`` is handled by the method ``chat_message``. Handlers stand in
    a table that is made with the class. The client's events reach every public method. Messages
    from a channel layer reach the public methods that your own classes define, and
    ``websocket.receive``, ``websocket.send`` and ``websocket.close``; never what this package
    defines for its own use, so that no message can call ``accept`` or ``disconnect``.

    Attributes:
        scope: The connection's ASGI scope.
        channel_layer: The channel layer of :attr:`channel_layer_alias`, or None.
        channel_name: The name under which the layer sends to this consumer; missing without a
            layer.
        base_send: The ASGI ``send``; may be replaced.
    """

    #: The channel layer to use, by its alias in ``CHANNEL_LAYERS``.
    channel_layer_alias: ClassVar[str] = DEFAULT_CHANNEL_LAYER

    _sync: ClassVar[bool] = False
    _handlers: ClassVar[HandlerTable]
    #: Whether the hub may write ``websocket.send`` messages past this class.
    _writes_direct: ClassVar[bool] = True

    scope: Scope
    channel_layer: Any  # BaseChannelLayer | None; third-party layers have methods of their own
    channel_name: str
    channel_receive: Receive

    _send: Any = None
    _mailbox: Mailbox | None = None
    #: Where the mailbox is bound; the public names beside it may be changed by anyone.
    _bound: tuple[ChannelLayer, str] | None = None
    _from_layer = False
    #: The connection has been closed from here: what is still sent is dropped.
    _closing = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._handlers = HandlerTable(cls)
        cls._writes_direct = all(
            is_ours(inspect.getattr_static(cls, name))
            for name in ("send", "dispatch", "websocket_send")
        )

    @property
    def base_send(self) -> Any:
        """The ASGI ``send`` of this connection (in a sync consumer: a sync function)."""
        return self._send

    @base_send.setter
    def base_send(self, send: Any) -> None:
        self._send = send
        if self._mailbox is not None:
            self._mailbox.direct = None  # whoever replaces it wants to see every message

    # ------------------------------------------------------------------ running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection: handle its events until it is over.

        However that comes about, ``websocket.disconnect`` is handled exactly once for a connection
        whose ``websocket.connect`` was, and by then its channel is out of every group.
        """
        self.scope = scope
        if scope.get("type") == "lifespan":
            self._find_handler(
                {"type": "lifespan.startup"}
            )  # servers go on without, if told at once
        mailbox = receive if isinstance(receive, Mailbox) else Mailbox(asyncio.get_running_loop())
        self._open(mailbox, send)
        pumps: list[asyncio.Task[None]] = []
        try:
            await self._join_layer(mailbox, pumps)
            if mailbox is not receive:
                pumps.append(pump_client(receive, mailbox))
            await self._serve(mailbox)
        finally:
            await self._close(mailbox, pumps)

    def _open(self, mailbox: Mailbox, send: Send) -> None:
        """Let everything for this connection come into one mailbox, and out the shortest way."""
        self._mailbox = mailbox
        self._send = async_to_sync(send) if self._sync else send
        if isinstance(send, Outbox) and self._writes_direct:
            mailbox.direct = send
        if self.scope.get("type") == "websocket":
            mailbox.on_overflow = functools.partial(self._overflowed, send)
        else:
            mailbox.overflow = Overflow.DROP_NEWEST

    async def _close(self, mailbox: Mailbox, pumps: list["asyncio.Task[None]"]) -> None:
        for pump in pumps:
            pump.cancel()
        mailbox.direct = mailbox.on_overflow = None  # no circle for the collector to find
        try:
            await self._leave_layer()
        finally:
            if pumps:
                await asyncio.gather(*pumps, return_exceptions=True)

    async def _join_layer(self, mailbox: Mailbox, pumps: list["asyncio.Task[None]"]) -> None:
        """Get a channel whose messages come into ``mailbox``."""
        layer = self.channel_layer = layers.get_channel_layer(self.channel_layer_alias)
        if layer is None:
            return
        if isinstance(layer, ChannelLayer):
            self.channel_name = layer.bind(mailbox)
            self._bound = (layer, self.channel_name)
        else:
            self.channel_name = await layer.new_channel()
        self.channel_receive = functools.partial(layer.receive, self.channel_name)
        if self._bound is None:
            pumps.append(pump_layer(self.channel_receive, mailbox))

    async def _serve(self, mailbox: Mailbox) -> None:
        connected = disconnected = False
        handled = 0
        begin_turn = connection_turns()
        from_layers = self.scope.get("type") == "channel"  # a worker hands on what a layer carried
        code = CloseCode.INTERNAL_ERROR
        try:
            while True:
                if handled == TURN:
                    handled = 0
                    await asyncio.sleep(0)
                item = mailbox.take()
                handled += 1
                if item is None:
                    if mailbox.disconnected:
                        return
                    handled = 0
                    await mailbox.park()
                    continue
                if begin_turn():
                    await asyncio.sleep(0)
                from_layer = from_layers
                if isinstance(item, bytes):
                    item, from_layer = decode(item), True
                elif isinstance(item, LayerMessage):
                    item.taken.set()
                    item, from_layer = dict(item), True
                elif item.get("type") == "websocket.connect":
                    connected = True
                elif item.get("type") == "websocket.disconnect":
                    await self._leave_layer()
                    disconnected = True
                self._from_layer = from_layer
                try:
                    await self.dispatch(item)
                except StopConsumer:
                    raise
                except Exception as error:  # noqa: BLE001  on_error() decides what it means
                    self._from_layer = False
                    await self._failed(error, item, from_layer=from_layer)
        except StopConsumer:
            code = CloseCode.NORMAL_CLOSURE
        except Exception as error:
            error.add_note(f"In {name_that_thing(self)}, serving {self.scope.get('path', '')!r}")
            raise
        finally:
            if connected and not disconnected:
                begin_turn()
                await self._disconnect_late(mailbox, code)

    async def _failed(self, error: Exception, event: Event, *, from_layer: bool) -> None:
        if not from_layer or not isinstance(error, NoHandler):
            await self._on_error(error, event)
        elif isinstance(error, MalformedType) and "asgi" not in self.scope:
            raise error  # no server called us but a test, which wants to see it
        else:
            # One mistyped group_send must not close every member.
            logger.warning("%s ignores a channel layer message: %s", name_that_thing(self), error)

    async def _disconnect_late(self, mailbox: Mailbox, code: CloseCode) -> None:
        """Handle ``websocket.disconnect`` for a connection that ended without handling it."""
        self._from_layer = False
        try:
            await self._leave_layer()
        except Exception:
            logger.exception("%s could not leave its groups", name_that_thing(self))
        event = mailbox.last_event or {
            "type": "websocket.disconnect",
            "code": int(code),
            "reason": "",
        }
        try:
            await self.dispatch(event)
        except (StopConsumer, NoHandler):
            pass
        except Exception:
            logger.exception("%s raised in its disconnect", name_that_thing(self))

    async def _leave_layer(self) -> None:
        if self._bound is not None:
            layer, name = self._bound
            await layer.unbind(name)

    def _overflowed(self, send: Send) -> None:
        """Too many layer messages wait: end the connection, whatever its handler is doing."""
        code, reason = int(CloseCode.TRY_AGAIN_LATER), "Too many messages were waiting."
        self._closing = True
        if isinstance(send, Outbox):
            send.leave(code, reason)
            return
        event = {"type": "websocket.close", "code": code, "reason": reason}
        assert self._mailbox is not None
        closing = self._mailbox.loop.create_task(_send_quietly(send, event))
        self._closing_task = closing  # the loop itself keeps only a weak reference

    # ------------------------------------------------------------------ what subclasses use

    def _find_handler(self, message: Event) -> Any:
        return getattr(self, self._handlers.find(message, from_layer=self._from_layer))

    async def dispatch(self, message: Event) -> None:
        """Call the handler of an event; an override sees every event.

        Raises:
            ValueError: There is none.
        """
        await self._find_handler(message)(message)

    async def _on_error(self, exception: Exception, event: Event) -> None:
        await self.on_error(exception, event)

    async def on_error(self, exception: Exception, event: Event) -> None:
        """Decide what an exception in a handler means for this connection.

        By default it is raised again: the server logs it and closes the connection with 1011. An
        override may reply, close with another code, or return to go on with the next event.

        Args:
            exception: What the handler raised.
            event: What it was handling.
        """
        raise exception

    async def send(self, message: Event) -> None:
        """Send an ASGI event to the client.

        What is sent to a WebSocket whose client has just gone is dropped, as its disconnect is
        already on its way to this consumer.
        """
        try:
            await self._send(message)
        except OSError as error:
            self._client_gone(error)

    def _client_gone(self, error: OSError) -> None:
        if self.scope["type"] != "websocket":
            raise error
        logger.debug("%s: the client is gone", name_that_thing(self))

    async def websocket_send(self, message: Event) -> None:
        """A group message that is to reach the client as it is."""
        await self.send(message)

    async def websocket_close(self, message: Event) -> None:
        """A group message that ends the connection."""
        await self.send(message)

    @classmethod
    def as_asgi(cls, **initkwargs: Any) -> Any:
        """An ASGI application that serves each connection with a new instance.

        Typed as Any because routes are made with Django's ``path()``, whose types know views only.

        Args:
            initkwargs: Given to the constructor each time.
        """

        # Hands the coroutine on instead of awaiting it: 380 bytes less for each open socket.
        def app(scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
            consumer: AsyncConsumer = app.consumer_class(**app.consumer_initkwargs)  # type: ignore[attr-defined]  # set below
            return consumer(scope, receive, send)

        app.consumer_class = cls  # type: ignore[attr-defined]  # functions take attributes
        app.consumer_initkwargs = initkwargs  # type: ignore[attr-defined]
        functools.update_wrapper(app, cls, updated=())
        return markcoroutinefunction(app)  # servers ask what kind of application it is


AsyncConsumer._handlers = HandlerTable(AsyncConsumer)  # noqa: SLF001  it is no subclass of itself


class SyncConsumer(AsyncConsumer):
    """A consumer whose handlers are ordinary functions and run in a thread.

    Handlers of one connection run in order. Under Fairway's server connections run in parallel, in
    the threads of one bounded pool.
    """

    _sync = True

    @database_sync_to_async
    def dispatch(self, message: Event) -> None:
        """Call the handler of an event, in a thread.

        Raises:
            ValueError: There is none.
        """
        self._find_handler(message)(message)

    async def _on_error(self, exception: Exception, event: Event) -> None:
        await database_sync_to_async(self.on_error)(exception, event)

    def on_error(self, exception: Exception, event: Event) -> None:  # type: ignore[override]  # sync
        """Decide what an exception in a handler means; see :meth:`AsyncConsumer.on_error`."""
        raise exception

    def send(self, message: Event) -> None:  # type: ignore[override]  # sync
        """Send an ASGI event to the client; see :meth:`AsyncConsumer.send`."""
        try:
            self._send(message)
        except OSError as error:
            self._client_gone(error)

    def websocket_send(self, message: Event) -> None:  # type: ignore[override]  # sync
        """A group message that is to reach the client as it is."""
        self.send(message)

    def websocket_close(self, message: Event) -> None:  # type: ignore[override]  # sync
        """A group message that ends the connection."""
        self.send(message)


async def _send_quietly(send: Send, event: Event) -> None:
    try:
        await send(event)
    except (OSError, RuntimeError):
        logger.debug("The connection was closing already")
