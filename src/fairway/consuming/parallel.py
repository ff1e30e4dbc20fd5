"""How a consumer handles several events of one connection at the same time."""

import asyncio
import functools
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from typing import ClassVar

from fairway._types import Event
from fairway.consuming.lanes import Arrival, Lanes
from fairway.consuming.serving import Serving
from fairway.consuming.threads import returned, thread_maker
from fairway.db import connection_turns
from fairway.delivery import Mailbox
from fairway.delivery.mailbox import EVENT_OVERHEAD, TURN
from fairway.delivery.pump import LayerMessage, payload_size
from fairway.exceptions import StopConsumer
from fairway.layers.codec import decode
from fairway.server.application.loans import ThreadLoan
from fairway.server.application.threads import LentThread

#: Whether the event of this task came from a channel layer, where several are handled at once.
_from_layer_here: ContextVar[bool] = ContextVar("fairway.from_layer", default=False)


class Parallel(Serving):
    """The part of a consumer that serves it in lanes, if its class asks for that.

    What opens the connection is handled alone, what ends it after everything else: then what waits
    for its lane is forgotten if it came from a layer, what the client sent is still handled, and
    the groups are left. An exception that :meth:`on_error` lets out cancels all other handlers.
    """

    #: How many events of one connection are handled at the same time. With 1 they are handled
    #: strictly one after the other. With more, :meth:`lane` says which of them keep their order.
    concurrency: ClassVar[int] = 1
    #: Whether nothing else is handled before the first has been.
    _fw_opens_alone: ClassVar[bool] = True

    def lane(self, event: Event) -> Hashable:
        """The key of an event's lane: events of equal keys are handled in order.

        Only asked if :attr:`concurrency` is more than 1, on the event loop, also by consumers whose
        handlers run in threads: it must not block. None, which it returns unless overridden, is for
        an event that need not wait for any other.

        ``return event["type"]`` keeps the client's messages in order among themselves, and those of
        each kind from a channel layer; ``return event.get("room")`` those of each room. A lane that
        is stuck holds up the others once 100 events (or 64 KiB) wait for it.

        Args:
            event: From the client or from a channel layer; it has a ``type``.
        """
        return None

    @property
    def _fw_in_lanes(self) -> bool:
        """Whether several events are handled at the same time.

        Not in a worker, which has an instance for each job at work: when a consumer asks for the
        next message it has done with this one.
        """
        return self.concurrency > 1 and not self._fw_only_layers

    @property
    def _fw_limit(self) -> int:
        return self.concurrency

    def _fw_lane(self, arrival: Arrival) -> Hashable:
        return self.lane(arrival.event)

    @property
    def _fw_interrupts_at_once(self) -> bool:
        return self.disconnect_grace == 0

    async def _fw_serve_in_lanes(self, mailbox: Mailbox) -> None:
        self._fw_from_layer = None
        handle = functools.partial(
            self._fw_handle_in_lane, thread_maker() if self.concurrency > 1 else None
        )
        lanes = self._fw_lanes = Lanes(handle, self._fw_limit, mailbox.wake)
        handled = 0
        try:
            while True:
                if lanes.failure is not None:
                    raise lanes.failure
                if lanes.full:
                    await lanes.change()
                    continue
                if handled == TURN:
                    handled = 0
                    await asyncio.sleep(0)
                item = mailbox.take()
                handled += 1
                if item is not None:
                    await self._fw_let_in(lanes, item)
                elif mailbox.disconnected:
                    return
                else:
                    handled = 0
                    await mailbox.park()
        finally:
            await lanes.cancel()
            self._fw_lanes = None

    async def _fw_let_in(self, lanes: Lanes[Arrival], item: Event | bytes) -> None:
        """Let an item be handled in its lane; what opens or ends the connection is alone."""
        if isinstance(item, bytes):
            arrival, size = Arrival(decode(item), from_layer=True), len(item)
        elif isinstance(item, LayerMessage):
            item.taken.set()
            arrival, size = Arrival(dict(item), from_layer=True), payload_size(item)
        else:
            arrival, size = Arrival(item, from_layer=self._fw_only_layers), payload_size(item)
        kind = None if arrival.from_layer else arrival.event.get("type")
        if kind == self._fw_ending:
            await self._fw_end_lanes(lanes)
            await self._fw_leave_layer()
            self._fw_disconnected = True
            await self._fw_handle(arrival)
            return
        if kind == self._fw_opening:
            self._fw_connected = True
            if self._fw_opens_alone:
                await self._fw_handle(arrival)
                return
        await self._fw_start(lanes, arrival, size)

    async def _fw_start(self, lanes: Lanes[Arrival], arrival: Arrival, size: int) -> None:
        try:
            key = self._fw_lane(arrival)
        except Exception as error:  # noqa: BLE001  as if the handler had raised it
            await self._fw_failed(error, arrival.event, from_layer=arrival.from_layer)
        else:
            lanes.start(key, arrival, size + EVENT_OVERHEAD)

    async def _fw_end_lanes(self, lanes: Lanes[Arrival]) -> None:
        """The client is gone: wait for its handlers, or interrupt them."""
        lanes.drop(lambda arrival: arrival.from_layer)
        if self._fw_interrupts_at_once:
            if self._fw_grace is not None:
                self._fw_grace.close()
            await lanes.cancel()
        else:
            await lanes.finish()
        if lanes.failure is not None:
            raise lanes.failure

    async def _fw_handle_in_lane(
        self, make_thread: Callable[[], LentThread] | None, arrival: Arrival
    ) -> None:
        """Handle one event in a task, with a thread of its own for its sync code."""
        if arrival.from_layer and self._fw_mailbox is not None and self._fw_mailbox.disconnected:
            return  # the disconnect has overtaken it
        if make_thread is None:
            await self._fw_handle(arrival)
            return
        executor = arrival.executor = make_thread()
        async with ThreadLoan(executor):
            try:
                await self._fw_handle(arrival)
            except asyncio.CancelledError:
                await returned(executor)  # asgiref does not wait for what it cannot cancel
                raise

    async def _fw_handle(self, arrival: Arrival) -> None:
        token = _from_layer_here.set(arrival.from_layer)
        try:
            if connection_turns().begin_turn():
                await asyncio.sleep(0)
            await self.dispatch(arrival.event)
        except StopConsumer:
            raise
        except Exception as error:  # noqa: BLE001  on_error() decides what it means
            _from_layer_here.set(False)
            await self._fw_failed(error, arrival.event, from_layer=arrival.from_layer)
        finally:
            _from_layer_here.reset(token)


def is_from_layer(consumer: Serving) -> bool:
    """Whether the event that a consumer handles here and now came from a channel layer."""
    known = consumer._fw_from_layer  # noqa: SLF001  a helper of this class
    return _from_layer_here.get() if known is None else known
