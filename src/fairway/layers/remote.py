"""What processes ask of each other: deliver this to a channel of yours, put it into a group."""

import asyncio
import concurrent.futures
import functools
import itertools
import logging
import os
import re
import secrets
from collections.abc import Callable
from typing import Final

from fairway.delivery import Hub, Mailbox
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.bus import Bus, Confirmation
from fairway.layers.codec import decode
from fairway.layers.envelope import (
    Kind,
    for_channel,
    for_request,
    read_channel,
    read_request,
)
from fairway.layers.prepared import prepare
from fairway.layers.queues import Queues
from fairway.layers.unreadable import Unreadable
from fairway.wire.prepared import PreparedMessage

logger = logging.getLogger("fairway.layers")

#: Seconds to wait for another process to say that it has done what it was asked for.
REPLY_TIMEOUT: Final = 3.0
#: Behind the ``!`` of a channel from ``new_channel()``: no connection's name goes on like that.
QUEUE_MARK: Final = "q"
_CONNECTION: Final = re.compile("[0-9a-f]{16}")


def process_of(channel: str) -> str:
    """The process that receives from a channel whose name has a ``!``."""
    return channel.partition("!")[0].rpartition(".")[2]


def is_connection(channel: str) -> bool:
    """Whether a channel whose name has a ``!`` came from ``bind()``.

    Such a channel ends with its connection. What came from ``new_channel()`` never does, though
    nothing is kept of it while nothing waits in it. So the name has to say which it is.
    """
    return _CONNECTION.fullmatch(channel.partition("!")[2]) is not None


def topic_of(process: str) -> str:
    """The topic of one process; no group can have this name."""
    return f"!{process}"


class Remote:
    """The other processes, for one channel layer; and what they send to this one.

    Args:
        bus: How to reach them.
        hub: Where what comes in belongs.
        queues: The queues of this process.
        join: Puts a channel of this process into a group.
        leave: Takes it out.
        unreadable: Counts what is no message, so that no consumer and no reader meets it.

    Attributes:
        received: How many messages came from other processes.
    """

    def __init__(
        self,
        bus: Bus,
        hub: Hub,
        queues: Queues,
        join: Callable[[str, str], Confirmation],
        leave: Callable[[str, str], None],
        unreadable: Unreadable,
    ) -> None:
        self.received = 0
        self._bus = bus
        self._hub = hub
        self._queues = queues
        self._join = join
        self._leave = leave
        self._unreadable = unreadable
        self._listening = False
        self._heard: Confirmation = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, concurrent.futures.Future[None]] = {}
        self._pid = os.getpid()
        self._process = secrets.token_hex(8)

    @property
    def process(self) -> str:
        """The name of this process, another one after a fork."""
        if self._pid != os.getpid():
            self._pid, self._process = os.getpid(), secrets.token_hex(8)
            self._listening = False
            self._waiting.clear()
        return self._process

    def listen(self) -> Confirmation:
        """Let others reach this process; it has a channel now."""
        process = self.process
        if self._listening and self._heard is None:
            return None
        with self._hub.lock:
            if not self._listening:
                self._listening = True
                self._heard = self._bus.subscribe(topic_of(process))
            elif self._heard is not None and self._heard.done():
                self._heard = None
            return self._heard

    def stop_listening(self) -> None:
        """Be reached no more."""
        with self._hub.lock:
            if self._listening:
                self._listening = False
                self._bus.unsubscribe(topic_of(self._process))

    # ------------------------------------------------------------------ out

    async def send(self, channel: str, payload: bytes) -> None:
        """Hand a message to the process that a channel belongs to; if it is gone, it is lost."""
        await self._bus.publish(topic_of(process_of(channel)), for_channel(channel, payload))

    async def join(self, group: str, channel: str) -> None:
        """Have the process that a channel belongs to put it into a group."""
        await self._ask(Kind.JOIN, group, channel)

    async def leave(self, group: str, channel: str) -> None:
        """Have it take the channel out."""
        await self._ask(Kind.LEAVE, group, channel)

    async def _ask(self, kind: Kind, group: str, channel: str) -> None:
        confirmed = self.listen()
        if confirmed is not None:
            await asyncio.wrap_future(confirmed)
        owner = process_of(channel)
        number = next(self._numbers)
        done = self._waiting[number] = concurrent.futures.Future()
        try:
            request = for_request(kind, number, self.process, channel, group)
            published = await self._bus.publish(topic_of(owner), request)
            if not published.processes:
                return  # the channel is gone with its process, and so is what was asked for
            await asyncio.wait_for(asyncio.wrap_future(done), REPLY_TIMEOUT)
        except TimeoutError:
            raise ChannelLayerUnavailable(
                f"The process of channel {channel} did not answer within {REPLY_TIMEOUT:g} s."
            ) from None
        finally:
            self._waiting.pop(number, None)

    # ------------------------------------------------------------------ in

    def put(self, channel: str, payload: bytes) -> bool:
        """Hand a message to a channel of this process; False when it is full.

        What is sent to a connection that has ended is lost, like what is sent to a process that is
        gone.
        """
        if isinstance(self._hub.channels.get(channel), Mailbox):
            try:
                return self._hub.put(channel, payload)
            except KeyError:
                return True  # another thread has just ended it
        if is_connection(channel):
            return True
        if self._queues.put(channel, payload):
            return True
        self._hub.dropped += 1
        return False

    def deliver(self, topic: str, data: bytes) -> None:
        """Take what another process published; for the bus to call, on whatever thread."""
        try:
            do = self._read(topic, data)
        except ValueError as error:
            self._unreadable.drop(f"to {topic}", error)
            return
        try:
            do()
        except Exception:
            # What is wrong with one envelope must not end the connection that brings them all.
            logger.exception("What another process sent to %r could not be delivered", topic)

    def _read(self, topic: str, data: bytes) -> Callable[[], None]:
        """What an envelope asks for.

        Raises:
            ValueError: It is none, or what it holds is no message.
        """
        if not data:
            raise ValueError("it is empty")
        kind, body = data[0], memoryview(data)[1:]
        if kind in (Kind.GROUP, Kind.WEBSOCKET_SEND):
            payload = data[1:]
            # Here, before anybody has it; what is read once is read again for less.
            message = decode(payload)
            prepared = prepare(message) if kind == Kind.WEBSOCKET_SEND else None
            return functools.partial(self._post, topic, payload, prepared)
        if kind == Kind.CHANNEL:
            channel, payload = read_channel(body)
            decode(payload)
            return functools.partial(self._take, channel, payload)
        if kind == Kind.DONE:
            number, _ = read_request(body)
            return functools.partial(self._done, number)
        if kind in (Kind.JOIN, Kind.LEAVE):
            number, (asker, channel, group) = read_request(body)
            return functools.partial(self._do, Kind(kind), number, asker, channel, group)
        raise ValueError(f"it is of kind {kind}")

    def _post(self, group: str, payload: bytes, prepared: PreparedMessage | None) -> None:
        """Hand a message to the members of a group here."""
        self.received += 1
        self._hub.post(group, payload, prepared)

    def _take(self, channel: str, payload: bytes) -> None:
        """Hand a message to a channel of this process."""
        self.received += 1
        self.put(channel, payload)

    def _done(self, number: int) -> None:
        """Let whoever asked for something go on."""
        done = self._waiting.pop(number, None)
        if done is not None and not done.done():
            done.set_result(None)

    def _do(self, kind: Kind, number: int, asker: str, channel: str, group: str) -> None:
        """Do what another process asks for, and tell it when it is certain."""
        confirmed: Confirmation = None
        if kind == Kind.LEAVE:
            self._leave(group, channel)
        else:
            confirmed = self._join(group, channel)
        reply = for_request(Kind.DONE, number)

        def tell(_: object = None) -> None:
            self._bus.tell(topic_of(asker), reply)

        if confirmed is None:
            tell()
        else:
            confirmed.add_done_callback(tell)
