"""Every process of a machine, connected with every other: who wants which topic, and payloads."""

import asyncio
import concurrent.futures
import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, NamedTuple

from fairway.exceptions import ChannelLayerUnavailable
from fairway.later import create_task_later
from fairway.layers.local.directory import SOCKET_SUFFIX, Directory
from fairway.layers.local.door import Door, knock
from fairway.layers.local.frames import Say, numbered
from fairway.layers.local.link import Link, Publisher, Subscriber

logger = logging.getLogger("fairway.layers.local")

#: Seconds in which another process has to answer, before it is gone on without.
PATIENCE: Final = 2.0
#: Seconds between two looks whether the own socket is still to be found.
LOOK_AFTER: Final = 10.0
#: Seconds before a place to meet that could not be used is tried again.
TRY_AGAIN: Final = 30.0
#: Seconds that a process which wants no topic stays connected after it last published.
LINGER: Final = 10.0


class _Waiting(NamedTuple):
    number: int
    confirmed: "concurrent.futures.Future[None]"
    until: float


def _resolve(confirmed: "concurrent.futures.Future[None]") -> None:
    if not confirmed.done():
        confirmed.set_result(None)


class Mesh:
    """This process among the others of its machine.

    Started by its first use. What is not said to be for any thread belongs to the thread of
    :data:`~fairway.layers.io.io`.

    Args:
        directory: Where the processes meet.
        deliver: Takes what others published to a topic of this process.
        missed: Called when some of it was lost.
        changed: Called when another process says that more than topics has changed.
        look_after: Called now and then, to see after what else is in the directory.

    Attributes:
        topics: What this process wants.
        wanting: By topic, the processes that want it. Others threads may look at it.
        started: Whether every process that was there at the start has told what it wants.
        payloads_missed: How many payloads processes missed that have left since.
    """

    def __init__(
        self,
        directory: Directory,
        deliver: Callable[[str, bytes], None],
        missed: Callable[[], None],
        changed: Callable[[], None],
        look_after: Callable[[], None] = lambda: None,
    ) -> None:
        self.directory = directory
        self.look_after = look_after
        self.deliver = deliver
        self.missed = missed
        self.changed = changed
        self._begin()

    def _begin(self) -> None:
        self._door = Door(self.directory, self._admit, self._meet_all)
        self.topics: set[str] = set()
        self.wanting: dict[str, set[Publisher]] = {}
        self.started = False
        self._unusable_until = 0.0
        self.payloads_missed = 0
        # Connections are made from the start until it is left, and at no other time.
        self._meeting = False
        self._tasks: set[asyncio.Task[object]] = set()
        self._starting: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._publishers: dict[str, Publisher] = {}
        self._connecting: dict[str, asyncio.Task[None]] = {}
        self._adopting: set[asyncio.Task[None]] = set()
        self._subscribers: set[Subscriber] = set()
        self._number = 0
        self._confirming: deque[_Waiting] = deque()
        self._patience: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._busy = False

    @property
    def name(self) -> str:
        """The name of this process, by its socket; empty until it is started."""
        return self._door.name

    @property
    def publishers(self) -> list[Publisher]:
        """The connections to the other processes; for any thread."""
        return list(self._publishers.values())

    @property
    def alone(self) -> bool:
        """Whether it is certain that nobody else is there; for any thread."""
        return self.started and not self._publishers and not self._subscribers

    def _spawn(self, work: Coroutine[Any, Any, object]) -> "asyncio.Task[object]":
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ------------------------------------------------------------------ coming and going

    async def start(self) -> None:
        """Meet the others; returns when their topics are known.

        Raises:
            ChannelLayerUnavailable: There is no place to meet.
        """
        if self.started:
            return
        if self._starting is None:
            # Later: _has_started() comes before whoever waits, even if it ends at once.
            self._starting = create_task_later(asyncio.get_running_loop(), self._start())
            self._starting.add_done_callback(self._has_started)
        await asyncio.shield(self._starting)

    async def try_to_start(self) -> bool:
        """The same for who goes on alone; False, with one word in the log, without a place."""
        if self.given_up:
            return False
        try:
            await self.start()
        except (ChannelLayerUnavailable, OSError) as error:
            if not self.given_up:  # others have waited for the same attempt
                self._unusable_until = time.monotonic() + TRY_AGAIN
                logger.error("%s Groups do not reach other processes.", error)
        return self.started

    @property
    def given_up(self) -> bool:
        """Whether there was no place to meet a moment ago; for any thread."""
        return not self.started and time.monotonic() < self._unusable_until

    def _has_started(self, starting: "asyncio.Task[None]") -> None:
        if self._starting is starting:
            self._starting = None

    async def _start(self) -> None:
        if self._stopping is not None:
            await asyncio.wait([self._stopping])
        self._door.open()
        self._meeting = True
        await asyncio.gather(*(self._connect(path) for path in self.directory.sockets()))
        self.started = True
        self._linger()
        self._look_later()
        logger.info(
            "Local channel layer: %d other process%s found in %s.",
            len(self._publishers),
            "" if len(self._publishers) == 1 else "es",
            self.directory.path,
        )

    async def stop(self) -> None:
        """Leave; everything that was published before is written, and every socket closed."""
        if self._stopping is None:
            stopping = self._stop(self._starting)
            self._stopping = create_task_later(asyncio.get_running_loop(), stopping)
            self._stopping.add_done_callback(self._has_stopped)
        await asyncio.shield(self._stopping)

    def _has_stopped(self, stopping: "asyncio.Task[None]") -> None:
        if self._stopping is stopping:
            self._stopping = None

    async def _stop(self, starting: "asyncio.Task[None] | None") -> None:
        if starting is not None:  # one that comes later waits for this to be over
            self._connect_no_more()
            await asyncio.wait([starting])
        self.started = False
        self._unusable_until = 0.0
        for timer in (self._timer, self._look, self._patience):
            if timer is not None:
                timer.cancel()
        self._patience = None
        self._connect_no_more()
        self._door.close()
        await self._end_links()
        self.wanting.clear()
        self.confirm()

    def _connect_no_more(self) -> None:
        self._meeting = False
        for task in self._connecting.values():
            task.cancel()

    async def _end_links(self) -> None:
        opening = [*self._connecting.values(), *self._adopting]
        if opening:
            await asyncio.wait(opening)
        links: list[Link] = [*self._publishers.values(), *self._subscribers]
        for end in (Link.close, Link.abort):
            for link in links:
                end(link)
            if links:
                await asyncio.wait([link.ended for link in links], timeout=PATIENCE)
        self._publishers.clear()
        self._subscribers.clear()

    def _look_later(self) -> None:
        self._look = asyncio.get_running_loop().call_later(LOOK_AFTER, self._look_around)

    def _look_around(self) -> None:
        if not self.started:
            return
        self._look_later()
        self.look_after()
        self._door.look_after()

    def _meet_all(self) -> None:
        for path in self.directory.sockets():
            self._spawn(self._connect(path))

    def forget_parent(self) -> None:
        """Begin anew in a forked child: what is connected is the parent."""
        links: list[Link] = [*self._publishers.values(), *self._subscribers]
        for link in links:
            link.drop()
        self._door.drop()
        # Never finalised: not ours to end.
        tasks = [*self._tasks, *self._adopting, *self._connecting.values()]
        self._inherited = (links, self._door, self._timer, self._look, tasks)
        self._begin()

    def _admit(self, connection: socket.socket) -> None:
        task = asyncio.ensure_future(self._adopt(connection))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    async def _adopt(self, connection: socket.socket) -> None:
        subscriber = Subscriber(self, connection)
        self._subscribers.add(subscriber)
        try:
            await subscriber.open()
        except OSError:
            self._subscribers.discard(subscriber)

    async def _connect(self, path: Path) -> None:
        """Become a publisher for another process, unless this one is already, or it is gone."""
        name = path.stem
        if not self._meeting or name == self.name or name in self._publishers:
            return
        if name not in self._connecting:
            task = self._connecting[name] = asyncio.ensure_future(self._become_publisher(path))
            task.add_done_callback(lambda _: self._connecting.pop(name, None))
        await asyncio.wait([self._connecting[name]])

    async def _become_publisher(self, path: Path) -> None:
        name = path.stem
        try:
            publisher = await self._new_publisher(path)
            if not publisher.ended.done():
                self._publishers[name] = publisher
                await asyncio.wait([publisher.ready], timeout=PATIENCE)
        except ConnectionRefusedError:
            self.directory.remove(path)  # of a killed process
        except FileNotFoundError:
            pass  # it has just left
        except (OSError, TimeoutError) as error:
            logger.warning("Cannot reach another process by %s: %s", path, error)

    async def _new_publisher(self, path: Path) -> Publisher:
        publisher = Publisher(self, await knock(self.directory, path, PATIENCE), path.stem)
        await publisher.open()
        return publisher

    def greeted(self, subscriber: Subscriber) -> None:
        """Another process has connected: tell it what is wanted here, and publish to it, too."""
        for topic in self.topics:
            subscriber.say(numbered(Say.WANT, self._number, topic))
        subscriber.say(numbered(Say.KNOW, self._number))
        path = self.directory.path / f"{subscriber.peer}{SOCKET_SUFFIX}"
        self._spawn(self._connect(path)).add_done_callback(lambda _: self.confirm())

    def lost_publisher(self, publisher: Publisher) -> None:
        """A process is gone."""
        self.payloads_missed += publisher.missed
        if self._publishers.get(publisher.peer) is publisher:
            del self._publishers[publisher.peer]
        self.confirm()

    def lost_subscriber(self, subscriber: Subscriber) -> None:
        """A process is gone."""
        self._subscribers.discard(subscriber)
        self.confirm()

    # ------------------------------------------------------------------ wanting

    def subscribe(self, topic: str, confirmed: "concurrent.futures.Future[None] | None") -> None:
        """Want a topic; ``confirmed`` is resolved when every other process knows."""
        self.topics.add(topic)
        self._number += 1
        for subscriber in self._subscribers:
            if subscriber.peer:
                subscriber.say(numbered(Say.WANT, self._number, topic))
        if confirmed is not None:
            self._confirm_later(confirmed)

    def unsubscribe(self, topic: str) -> None:
        """Want it no more."""
        self.topics.discard(topic)
        self._number += 1
        for subscriber in self._subscribers:
            if subscriber.peer:
                subscriber.say(numbered(Say.WANT_NOT, self._number, topic))
        self._linger()

    def tell_change(self, confirmed: "concurrent.futures.Future[None]") -> None:
        """Have every other process call ``changed``; resolved when they have."""
        self._number += 1
        for subscriber in self._subscribers:
            if subscriber.peer:
                subscriber.say(numbered(Say.KNOW, self._number))
        self._confirm_later(confirmed)

    def confirm(self) -> None:
        """Resolve what every process that is there, and not silent, has confirmed."""
        if not self._confirming:
            return
        known = self._known() if self.started else -1
        if not self.started and self._starting is None:
            known = self._number  # there is nobody to wait for
        while self._confirming and self._confirming[0].number <= known:
            _resolve(self._confirming.popleft().confirmed)

    def _known(self) -> int:
        """The number up to which all others have confirmed what this process wants."""
        heard = {subscriber.peer for subscriber in self._subscribers}
        # Who is published to has not always connected back yet: it may publish, too.
        if any(p.peer not in heard and not p.silent for p in self._publishers.values()):
            return -1
        return min(
            (s.noted for s in self._subscribers if s.peer and not s.silent), default=self._number
        )

    def _confirm_later(self, confirmed: "concurrent.futures.Future[None]") -> None:
        loop = asyncio.get_running_loop()
        self._confirming.append(_Waiting(self._number, confirmed, loop.time() + PATIENCE))
        if not self.started:
            if self._starting is None:
                self._spawn(self._start_for_others())
            return
        self.confirm()
        self._be_patient()

    async def _start_for_others(self) -> None:
        await self.try_to_start()  # who joins a group is not to fail: it is alone
        self.confirm()
        self._be_patient()

    def _be_patient(self) -> None:
        """Look again when the first who waits has waited long enough."""
        if self._confirming and self._patience is None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_at(self._confirming[0].until, self._lose_patience)

    def _lose_patience(self) -> None:
        """Go on without the processes that do not answer, until they do."""
        self._patience = None
        now = asyncio.get_running_loop().time()
        if self._confirming and self._confirming[0].until <= now:
            number = self._confirming[0].number
            heard = {subscriber.peer for subscriber in self._subscribers}
            silent: list[Link] = [s for s in self._subscribers if s.noted < number]
            silent += [p for p in self._publishers.values() if p.peer not in heard]
            for link in silent:
                link.silent = True
            logger.warning(
                "Other processes did not confirm within %g s that they know the topics of this one "
                "(%s); what they publish now may be missed. They are not waited for until they "
                "answer.",
                PATIENCE,
                ", ".join(link.peer or "one without a name" for link in silent),
            )
            self.confirm()
        self._be_patient()

    def wanted(self, topic: str, publisher: Publisher) -> None:
        """Another process wants a topic."""
        # A new set each time: other threads may be looking at the old one.
        self.wanting[topic] = {*self.wanting.get(topic, ()), publisher}

    def wanted_no_more(self, topic: str, publisher: Publisher) -> None:
        """Another process wants a topic no more."""
        left = self.wanting.get(topic, set()) - {publisher}
        if left:
            self.wanting[topic] = left
        else:
            self.wanting.pop(topic, None)

    # ------------------------------------------------------------------ publishing

    def publish(self, topic: str, payload: bytes) -> int:
        """Send a payload to the processes that want it, on any thread; returns to how many."""
        self._busy = True
        return sum(link.publish(topic, payload) for link in self.wanting.get(topic, ()))

    def _linger(self) -> None:
        """Leave some time after the last publication, if nothing is wanted here."""
        if self._timer is not None:
            self._timer.cancel()
        self._busy = False
        self._timer = asyncio.get_running_loop().call_later(LINGER, self._leave_if_idle)

    def _leave_if_idle(self) -> None:
        if self.topics or not self.started:
            return
        if self._busy or self._confirming:
            self._linger()
        else:
            self._spawn(self.stop())
