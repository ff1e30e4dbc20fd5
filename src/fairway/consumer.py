"""Consumers: one loop over one mailbox, and a table of handlers made with the class."""

import inspect
import logging
from collections.abc import Generator
from typing import Any, Final

from asgiref.sync import async_to_sync  # noqa: F401  projects import it from here

from fairway import layers
from fairway._types import Event
from fairway.consuming.application import ConsumerApplication
from fairway.consuming.budget import make_budget
from fairway.consuming.handlers import (
    HandlerTable,
    MalformedType,
    NoHandler,
    get_handler_name,
    handles,
    is_ours,
)
from fairway.consuming.outage import tolerates
from fairway.consuming.parallel import Parallel, is_from_layer
from fairway.consuming.threads import finished_in_thread
from fairway.db import database_sync_to_async
from fairway.exceptions import StopConsumer  # noqa: F401  projects import it from here
from fairway.layers import get_channel_layer
from fairway.utils import (
    await_many_dispatch,  # noqa: F401  projects import it from here
    name_that_thing,
)

__all__ = ["AsyncConsumer", "SyncConsumer", "get_handler_name", "handles"]

logger = logging.getLogger("fairway.consumer")

_get_channel_layer = get_channel_layer


class AsyncConsumer(Parallel):
    """Base of consumers: one instance for each connection, events handled one at a time.

    An event of type ``"chat.message"`` is handled by the method ``chat_message``. Handlers stand in
    a table that is made with the class. The client's events reach every public method. Messages
    from a channel layer reach the public methods that your own classes define, and
    ``websocket.receive``, ``websocket.send`` and ``websocket.close``; never what this package
    defines for its own use, so that no message can call ``accept`` or ``disconnect``.

    Set :attr:`concurrency` to have several events of a connection handled at the same time.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._fw_handlers = HandlerTable(cls)
        cls._fw_writes_direct = all(
            is_ours(inspect.getattr_static(cls, name))
            for name in ("send", "dispatch", "websocket_send")
        )
        cls._fw_wants_gaps = "layer.gap" in cls._fw_handlers
        cls._fw_budget = make_budget(cls)

    def _fw_find_handler(self, message: Event) -> Any:
        from_layer = self._fw_from_layer
        if from_layer is None:
            from_layer = is_from_layer(self)
        try:
            return getattr(self, self._fw_handlers.find(message, from_layer=from_layer))
        except MalformedType:
            raise
        except NoHandler:
            pass  # not in here: an exception below would tell of this one, too
        return self._fw_handlers.find_in(self, message, from_layer=from_layer)

    def _fw_get_channel_layer(self) -> Any:
        # Under either name tests may have put something in its place.
        here = get_channel_layer
        find = here if here is not _get_channel_layer else layers.get_channel_layer
        return find(self.channel_layer_alias)

    async def dispatch(self, message: Event) -> None:
        """Call the handler of an event; an override sees every event.

        Raises:
            ValueError: There is none.
        """
        handler = self._fw_find_handler(message)  # by this name, advise_on_error() finds it
        await handler(message)

    async def _fw_decide(self, error: Exception, event: Event) -> None:
        place = error.__traceback__
        try:
            await self._fw_on_error(error, event)
        except Exception as raised:
            if raised is error:  # frames of on_error() would only be noise
                error.__traceback__ = place
            raise

    async def _fw_on_error(self, exception: Exception, event: Event) -> None:
        await self.on_error(exception, event)

    async def on_error(self, exception: Exception, event: Event) -> None:
        """Decide what an exception in a handler means for this connection.

        By default it is raised again: the server logs it and closes the connection with 1011. Only
        :exc:`~fairway.exceptions.ChannelLayerUnavailable` closes no WebSocket: it is logged, once
        for all connections. An override may reply, close with another code, or return to go on with
        the next event.

        Args:
            exception: What the handler raised.
            event: What it was handling.
        """
        if not tolerates(self, exception, event):
            raise exception

    async def send(self, message: Event) -> None:
        """Send an ASGI event to the client.

        What is sent to a WebSocket whose client has just gone is dropped, as its disconnect is
        already on its way to this consumer.
        """
        try:
            await self._fw_send(message)
        except OSError as error:
            self._fw_client_gone(error)

    def _fw_client_gone(self, error: OSError) -> None:
        if self.scope.get("type") != "websocket":
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
        return ConsumerApplication(cls, initkwargs)


AsyncConsumer._fw_handlers = HandlerTable(AsyncConsumer)  # noqa: SLF001  it is no subclass of itself


class Sent:
    """What the ``send()`` of a sync consumer returns: nothing, but it may be awaited.

    So ``async_to_sync(self.send)(…)``, which nobody needs there, does what ``self.send(…)`` does.
    """

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


SENT: Final = Sent()


class SyncConsumer(AsyncConsumer):
    """A consumer whose handlers are ordinary functions and run in a thread.

    Handlers of one connection run in order, unless :attr:`concurrency` says otherwise; connections
    run in parallel, in the threads of one bounded pool (option ``threads``). In tests, under
    communicators, all sync code runs in the test's own thread and sees its database.
    """

    _sync = True

    @database_sync_to_async
    def dispatch(self, message: Event) -> None:
        """Call the handler of an event, in a thread.

        Raises:
            ValueError: There is none.
        """
        self._fw_find_handler(message)(message)

    async def _fw_dispatch_late(self, event: Event) -> None:
        if is_ours(inspect.getattr_static(type(self), "dispatch")):
            if not await finished_in_thread(lambda: self._fw_find_handler(event)(event)):
                logger.warning(
                    "%s: disconnect() did not run, since the thread for it has ended; was a "
                    "communicator left without disconnect()?",
                    name_that_thing(self),
                )
        else:
            await self.dispatch(event)

    async def _fw_on_error(self, exception: Exception, event: Event) -> None:
        await database_sync_to_async(self.on_error)(exception, event)

    def on_error(self, exception: Exception, event: Event) -> None:  # type: ignore[override]  # sync
        """Decide what an exception in a handler means; see :meth:`AsyncConsumer.on_error`."""
        if not tolerates(self, exception, event):
            raise exception

    # Typed as Any so that an override may return nothing.
    def send(self, message: Event) -> Any:
        """Send an ASGI event to the client; see :meth:`AsyncConsumer.send`."""
        try:
            self._fw_send(message)
        except OSError as error:
            self._fw_client_gone(error)
        return SENT

    def websocket_send(self, message: Event) -> None:  # type: ignore[override]  # sync
        """A group message that is to reach the client as it is."""
        self.send(message)

    def websocket_close(self, message: Event) -> None:  # type: ignore[override]  # sync
        """A group message that ends the connection."""
        self.send(message)
