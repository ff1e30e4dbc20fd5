"""The one queue between a connection (or a group) and the code that handles it."""

import asyncio
import enum
import functools
import logging
from collections.abc import Callable, Hashable
from typing import Final, Protocol

from fairway._types import Event
from fairway.delivery.outbox import Outbox

logger = logging.getLogger("fairway.delivery")

#: Bytes of client input that may wait before the socket is no longer read.
INPUT_HIGH_WATER: Final = 64 * 1024
#: What a client event costs beside its payload, so that a flood of empty frames is bounded too.
EVENT_OVERHEAD: Final = 256
#: Items that a reader with a long backlog takes before others get a turn of the event loop.
TURN: Final = 100
#: Layer messages that may wait for one socket, and their bytes in all.
MAX_MESSAGES: Final = 10_000
MAX_MESSAGE_BYTES: Final = 1024 * 1024


class Overflow(enum.Enum):
    """What happens to layer messages when the reader is too slow for its budget."""

    #: The socket is closed with 1013 (try again later): nobody believes to have seen everything.
    DISCONNECT = "disconnect"
    #: The message that waited longest makes room.
    DROP_OLDEST = "drop-oldest"
    #: The new message is not taken.
    DROP_NEWEST = "drop-newest"
    #: Of the messages with the same key, only the latest stays.
    LATEST = "latest"


_MAKING_ROOM: Final = frozenset({Overflow.DROP_OLDEST, Overflow.LATEST})


class Flow(Protocol):
    """How a mailbox slows its client down: an ``asyncio.ReadTransport`` fits."""

    def pause_reading(self) -> None:
        """Read no more from the client."""

    def resume_reading(self) -> None:
        """Read from the client again."""


class Mailbox:
    """Everything that waits for one connection: client events and layer messages, in one order.

    The server puts ASGI events in, the hub puts encoded layer messages in, and one reader takes
    them out. Called, it is the ``receive`` of an ASGI application. All methods belong to the thread
    of :attr:`loop`; the hub crosses threads where it must.

    Two budgets keep it bounded. Client events beyond :data:`INPUT_HIGH_WATER` pause the socket's
    reading, so a flooding client waits for its own application and never pushes out group messages.
    Layer messages beyond ``max_messages`` or ``max_bytes`` meet the overflow policy; but a message
    for which no other waits is taken, however large it is: its reader is not slow.

    Args:
        loop: The event loop of the reader.
        flow: What to pause when the client is too fast; None where nothing can be paused.
        overflow: The policy for layer messages.
        max_messages: Budget of waiting layer messages, a count.
        max_bytes: The same in encoded bytes.

    Attributes:
        channel: The channel name under which the hub knows this mailbox, or None.
        groups: Names of the groups that it is in; the hub's to change.
        key_of: For :attr:`Overflow.LATEST`, the key of an encoded message.
        direct: Where the hub may write prepared messages while the reader waits, or None.
        on_crowded: Called with this mailbox when a layer message is put in of those that use the
            second half of the budget; the hub's to set.
        on_disconnect: Called once, when the client's disconnect is put in.
        on_drain: Called when the server ends, and waits for what has an end.
        on_overdue: Called when the reader is about to be cancelled because it goes on for too long;
            lets go of what it can, and returns what it is doing, as text for the log.
        on_park: Called whenever the reader finds nothing and begins to wait.
        on_overflow: Called once when :attr:`Overflow.DISCONNECT` applies.
        parked: What the reader awaits while nothing is there for it, so that no handler runs; else
            None.
        dropped: How many layer messages were lost here.
    """

    __slots__ = (
        "_disconnect",
        "_event_count",
        "_failure",
        "_half_bytes",
        "_half_messages",
        "_input_size",
        "_items",
        "_max_bytes",
        "_max_messages",
        "_message_bytes",
        "_message_count",
        "_overflowing",
        "_paused",
        "_received",
        "channel",
        "direct",
        "dropped",
        "flow",
        "groups",
        "key_of",
        "loop",
        "on_crowded",
        "on_disconnect",
        "on_drain",
        "on_overdue",
        "on_overflow",
        "on_park",
        "overflow",
        "parked",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        flow: Flow | None = None,
        *,
        overflow: Overflow = Overflow.DISCONNECT,
        max_messages: int = MAX_MESSAGES,
        max_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        self.loop = loop
        self.flow = flow
        self.set_budget(overflow, max_messages, max_bytes)
        self.channel: str | None = None
        self.groups: list[str] = []
        self.key_of: Callable[[bytes], Hashable] | None = None
        self.direct: Outbox | None = None
        self.on_crowded: Callable[[Mailbox], None] | None = None
        self.on_disconnect: Callable[[], None] | None = None
        self.on_drain: Callable[[], None] | None = None
        self.on_overdue: Callable[[], str] | None = None
        self.on_park: Callable[[], None] | None = None
        self.on_overflow: Callable[[], None] | None = None
        self.dropped = 0
        # A list, as nearly always nothing waits: an empty deque keeps 600 bytes for each socket. To
        # take from the front of 10,000 items costs 2 µs.
        self._items: list[Event | bytes] = []
        self.parked: asyncio.Future[None] | None = None
        self._disconnect: Event | None = None
        self._failure: Exception | None = None
        self._event_count = 0
        self._input_size = 0
        self._paused = False
        self._received = 0
        self._message_count = 0
        self._message_bytes = 0
        self._overflowing = False

    def set_budget(self, overflow: Overflow, max_messages: int, max_bytes: int) -> None:
        """Change how many layer messages may wait, and what happens to those beyond."""
        self.overflow = overflow
        self._max_messages, self._half_messages = max_messages, max_messages // 2
        self._max_bytes, self._half_bytes = max_bytes, max_bytes // 2

    # ------------------------------------------------------------------ putting in

    @property
    def paused(self) -> bool:
        """Whether the client's input has been paused, to go on when the reader has caught up."""
        return self._paused

    @property
    def disconnected(self) -> bool:
        """Whether the client's disconnect has been put in; nothing more is taken after it."""
        return self._disconnect is not None

    @property
    def waiting(self) -> tuple[int, int]:
        """How many events of the client, without its disconnect, and how many layer messages."""
        events = self._event_count - (self._disconnect is not None)
        return max(events, 0), self._message_count

    @property
    def crowded(self) -> bool:
        """Whether layer messages use half of the budget, and those beyond it end the connection."""
        return self.overflow is Overflow.DISCONNECT and (
            self._message_count > self._half_messages or self._message_bytes > self._half_bytes
        )

    @property
    def last_event(self) -> Event | None:
        """The client's disconnect, once it is known."""
        return self._disconnect

    def put_event(self, event: Event, size: int = 0) -> None:
        """Put in an ASGI event from the client, whose payload is ``size`` bytes."""
        if self._disconnect is not None:
            return
        self._items.append(event)
        self._event_count += 1
        self._input_size += size + EVENT_OVERHEAD
        parked = self.parked
        if parked is not None:  # as _wake() does, without a call for each event
            self.parked = None
            if not parked.done():
                parked.set_result(None)
        if self._input_size > INPUT_HIGH_WATER and not self._paused and self.flow is not None:
            self._paused = True
            self.flow.pause_reading()

    def put_disconnect(self, event: Event, *, at_once: bool = False) -> None:
        """Put in the client's disconnect, the last event; only the first one counts.

        It overtakes layer messages, which nobody is left to see, but no event that the client sent
        before it.

        Args:
            event: The event.
            at_once: Whether it overtakes those, too: it has been answered, and what it sent besides
                is of no use to anybody.
        """
        if self._disconnect is not None:
            return
        self._disconnect = event
        if self._message_count:
            self._drop_messages()
        if at_once:
            self._items.clear()
            self._event_count = 0
        self._items.append(event)
        self._event_count += 1
        if self.parked is not None:
            self._wake(self.parked)
        if self.on_disconnect is not None:
            self.on_disconnect()

    def fail(self, error: Exception) -> None:
        """End it with an exception, which the reader gets once it has taken everything before."""
        self._failure = error
        if self.parked is not None:
            self._wake(self.parked)

    def put_message(self, payload: bytes) -> bool:
        """Put in an encoded layer message; says whether it was taken.

        A message for a connection that is already gone counts as taken: there is nobody to tell.
        """
        if self._disconnect is not None:
            return True
        size = len(payload)
        if (
            self._message_count >= self._half_messages
            or self._message_bytes + size > self._half_bytes
        ) and not self._has_room(payload):
            return False
        self._items.append(payload)
        self._message_count += 1
        self._message_bytes += size
        parked = self.parked
        if parked is not None:  # as above
            self.parked = None
            if not parked.done():
                parked.set_result(None)
        return True

    def wake(self) -> None:
        """Let a reader that waits look again, though nothing was put in."""
        if self.parked is not None:
            self._wake(self.parked)

    def _wake(self, parked: "asyncio.Future[None]") -> None:
        self.parked = None
        if not parked.done():  # a cancelled reader leaves its future behind
            parked.set_result(None)

    def _has_room(self, payload: bytes) -> bool:
        """Whether a message may be put in where half of the budget is used."""
        if (
            self._message_count >= self._max_messages
            or self._message_bytes + len(payload) > self._max_bytes
        ):
            return self._make_room(payload)
        if self.on_crowded is not None:
            self.on_crowded(self)
        return True

    def _make_room(self, payload: bytes) -> bool:
        """Apply the overflow policy; says whether this message may now be put in."""
        size = len(payload)
        if not self._message_count and self._max_messages:
            return True
        if not self._overflowing:
            self._overflowing = True  # one line per burst: it ends when the reader has caught up
            logger.warning(
                "Channel %s: its reader is too slow, %d messages (%d bytes) are waiting; "
                "policy %r applies. Handle messages faster or send fewer.",
                self.channel,
                self._message_count,
                self._message_bytes,
                self.overflow.value,
            )
        if self.overflow is Overflow.LATEST:
            self._keep_latest(payload)
        if self.overflow in _MAKING_ROOM and size <= self._max_bytes:
            self._drop_oldest(size)
            return True
        self.dropped += 1
        if self.overflow is Overflow.DISCONNECT:
            self._drop_messages()
            # Who missed some gets no more: it would have a gap.
            self._max_messages = self._half_messages = 0
            if self.on_overflow is not None:
                callback, self.on_overflow = self.on_overflow, None
                callback()
        return False

    def _keep_latest(self, newest: bytes) -> None:
        """Drop what a later message with the same key has made old, and half of what is left.

        Half only if it is that much: looking at all of them for each message would be too slow.
        """
        assert self.key_of is not None, "Overflow.LATEST needs key_of"
        seen = {self.key_of(newest)}
        kept: list[Event | bytes] = []
        for item in reversed(self._items):
            if isinstance(item, bytes):
                key = self.key_of(item)
                if key in seen or len(seen) >= self._max_messages // 2:
                    self._message_count -= 1
                    self._message_bytes -= len(item)
                    self.dropped += 1
                    continue
                seen.add(key)
            kept.append(item)
        kept.reverse()
        self._items = kept

    def _drop_oldest(self, size: int) -> None:
        kept: list[Event | bytes] = []
        while self._items and (
            self._message_count >= self._max_messages
            or self._message_bytes + size > self._max_bytes
        ):
            item = self._items.pop(0)
            if isinstance(item, bytes):
                self._message_count -= 1
                self._message_bytes -= len(item)
                self.dropped += 1
            else:
                kept.append(item)
        self._items[:0] = kept

    def _drop_messages(self) -> None:
        if self._message_count:
            self.dropped += self._message_count
            self._items = [item for item in self._items if not isinstance(item, bytes)]
            self._message_count = self._message_bytes = 0

    # ------------------------------------------------------------------ taking out

    def take(self) -> Event | bytes | None:
        """The next item: an ASGI event, an encoded layer message, or None when nothing is there.

        Raises:
            Exception: What :meth:`fail` was given, when nothing else is left.
        """
        if not self._items:
            if self._failure is not None:
                raise self._failure
            return None
        item = self._items.pop(0)
        if isinstance(item, bytes):
            self._message_count -= 1
            self._message_bytes -= len(item)
            return item
        self._event_count -= 1
        if not self._event_count:
            self._input_size = 0
            if self._paused and self.flow is not None:
                self._paused = False
                self.flow.resume_reading()
        return item

    def park(self) -> "asyncio.Future[None]":
        """What a reader awaits after :meth:`take` returned None; then it takes again."""
        self._overflowing = not self._max_messages
        if self.on_park is not None:
            self.on_park()
        parked = self.loop.create_future()
        if self._items or self._failure:  # on_park itself may have brought something
            parked.set_result(None)
        else:
            if self.parked is not None:
                # Somebody else waits already, such as another task of an ASGI application. They are
                # woken together, and whoever finds nothing waits again.
                parked.add_done_callback(functools.partial(_wake_too, self.parked))
            self.parked = parked
        return parked

    async def __call__(self) -> Event:
        """The ASGI ``receive``: the next event from the client.

        After the disconnect has been received it is returned again and again, so that an
        application which keeps asking is not left hanging.
        """
        self._received += 1
        if self._received == TURN:
            self._received = 0
            await asyncio.sleep(0)
        while True:
            item = self.take()
            if isinstance(item, dict):
                return item
            if item is None:
                if self._disconnect is not None:
                    return self._disconnect
                await self.park()


def _wake_too(other: "asyncio.Future[None]", _: "asyncio.Future[None]") -> None:
    if not other.done():
        other.set_result(None)
