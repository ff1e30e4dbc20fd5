"""The connection of a process that is told what others publish."""

import asyncio
import concurrent.futures
import functools
import itertools
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import hiredis

from fairway.layers.redis.connection import Connection, Reply, pack
from fairway.layers.redis.hosts import Server
from fairway.layers.redis.link import Elsewhere, Link, Reporter

#: Takes the name of a channel and what was published to it, on the event loop that reads; returns
#: the one that has waited for it, if that is known.
Handler: TypeAlias = Callable[[bytes, bytes], asyncio.AbstractEventLoop | None]
#: Resolved when a subscription is certain.
Certain: TypeAlias = concurrent.futures.Future[None]

#: Channels that one command asks for when all of them are asked for again.
CHUNK: Final = 1000


class SubscriptionLink(Link):
    """Subscribes to channels, for as long as they are wanted, through all outages.

    Args:
        server: Where to.
        reporter: What logs its outages.
        locate: Finds the server's present address.
        patience: Seconds after which a subscription counts as made, whatever the server does.
        sharded: Whether to use sharded pub/sub, as nodes of a cluster do.
        interrupted: Called when a connection is lost on which something was subscribed to.
        recovered: Called when everything is subscribed to again after an outage.
        elsewhere: Told when the server says that another one has something; None where no server
            should.

    Attributes:
        handlers: What takes the messages of each channel.
    """

    role = "subscriptions"

    def __init__(
        self,
        server: Server,
        reporter: Reporter,
        locate: Callable[[Server], Awaitable[Server]],
        *,
        patience: float,
        interrupted: Callable[[], None],
        recovered: Callable[[], None],
        sharded: bool = False,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        super().__init__(server, reporter, locate)
        self.handlers: dict[bytes, Handler] = {}
        self._patience = patience
        self._interrupted = interrupted
        self._recovered = recovered
        self._elsewhere = elsewhere
        self._sharded = sharded
        prefix = "S" if sharded else ""
        self._subscribe, self._unsubscribe = f"{prefix}SUBSCRIBE", f"{prefix}UNSUBSCRIBE"
        self._message = b"smessage" if sharded else b"message"
        self._subscribed = self._subscribe.lower().encode()
        self._unsubscribed = self._unsubscribe.lower().encode()
        # Who waits for each request, in their order, by channel.
        self._asked: dict[bytes, list[list[Certain]]] = {}
        # The same in the order in which they have waited for too long, and until when.
        self._patient: deque[tuple[float, tuple[Certain, ...]]] = deque()
        self._patience_timer: asyncio.TimerHandle | None = None
        # How many times each channel was given up without an answer yet.
        self._leaving: Counter[bytes] = Counter()
        # Whether the server has let somebody wait for too long, and said nothing since.
        self._hanging = False
        self._restoring = False

    def __len__(self) -> int:
        return len(self.handlers)

    def subscribe(self, channel: bytes, handler: Handler, *certain: Certain) -> None:
        """Pass on what is published to a channel.

        Args:
            channel: Its name at the server.
            handler: Takes it.
            certain: Resolved when it is certain, or will be when the server is back.
        """
        self.handlers[channel] = handler
        waiting: list[Certain] = []
        if self.failing or self._hanging:
            resolve(*certain)
        elif certain:
            waiting += certain
            self._be_patient(certain)
        self._asked.setdefault(channel, []).append(waiting)
        if self.connection is not None:
            self.connection.write(pack((self._subscribe, channel)))
        self.start()

    def unsubscribe(self, channel: bytes) -> None:
        """Take no more from it."""
        if self.handlers.pop(channel, None) is not None and self.connection is not None:
            self._leaving[channel] += 1
            self.connection.write(pack((self._unsubscribe, channel)))

    def drop(self, channel: bytes) -> list[Certain]:
        """Forget a channel that the server has none of; returns who waits for it."""
        self.handlers.pop(channel, None)
        waiting = [*itertools.chain(*self._asked.pop(channel, ()))]
        self._look_whether_restored()
        return waiting

    def unconfirmed(self) -> list[bytes]:
        """The channels for which the server has not answered."""
        return list(self._asked)

    def restore(self) -> None:
        """What is subscribed to next was subscribed to elsewhere before, and is missed."""
        self._restoring = True

    async def close(self) -> None:
        """End the connection for good; who waits for something is not kept waiting."""
        await super().close()
        self._give_up_waiting()
        if self._patience_timer is not None:
            self._patience_timer.cancel()

    def _be_patient(self, certain: tuple[Certain, ...]) -> None:
        loop = asyncio.get_running_loop()
        self._forget_certain()
        self._patient.append((loop.time() + self._patience, certain))
        if self._patience_timer is None:
            self._patience_timer = loop.call_later(self._patience, self._lose_patience)

    def _forget_certain(self) -> None:
        patient = self._patient
        while patient and all(certain.done() for certain in patient[0][1]):
            patient.popleft()

    def _lose_patience(self) -> None:
        """Go on without the server's word for those who have waited long enough for it."""
        loop = asyncio.get_running_loop()
        self._patience_timer = None
        self._forget_certain()
        while self._patient and self._patient[0][0] <= loop.time():
            self._hanging = True
            resolve(*self._patient.popleft()[1])
            self._forget_certain()
        if self._patient:
            self._patience_timer = loop.call_at(self._patient[0][0], self._lose_patience)

    # ------------------------------------------------------------------ replies

    def _answered(self, connection: Connection, reply: Reply) -> None:
        """On the event loop that reads."""
        self._hanging = False
        if type(reply) is list and len(reply) == 3:
            kind, channel, data = reply
            if kind != self._message:
                connection.on_io(self._changed, kind, channel)
                return
            handler = self.handlers.get(channel)
            if handler is not None:
                home = handler(channel, data)
                if home is not None and home is not connection.home:
                    connection.prefer(home)
        elif isinstance(reply, hiredis.ReplyError):
            connection.on_io(self._refuse, str(reply))

    def _changed(self, kind: bytes, channel: bytes) -> None:
        """A subscription was made, or has ended."""
        self._reporter.back(self.role)
        if kind == self._subscribed:
            self._confirm(channel)
        elif kind == self._unsubscribed:
            self._left(channel)

    def _proven(self) -> bool:
        return not self.handlers  # it may refuse what is about to be asked for

    def _left(self, channel: bytes) -> None:
        """A subscription has ended: as was asked for, or since its slot was moved."""
        if self._leaving[channel] > 1:
            self._leaving[channel] -= 1
        elif self._leaving.pop(channel, 0) == 0 and self._elsewhere is not None:
            self._elsewhere.unsubscribed(self, channel)

    def _confirm(self, channel: bytes) -> None:
        waiting = self._asked.get(channel)
        if waiting:
            resolve(*waiting.pop(0))
            # A node may have refused some: one that it took is as good as all.
            if not waiting or self._sharded:
                resolve(*itertools.chain(*self._asked.pop(channel)))
        self._look_whether_restored()

    def _look_whether_restored(self) -> None:
        if self._restoring and not self._asked:
            self._restoring = False
            self._recovered()

    def _refuse(self, text: str) -> None:
        if self._elsewhere is not None and text.startswith(("MOVED", "CLUSTERDOWN", "TRYAGAIN")):
            self._reporter.back(self.role)
            self._elsewhere.refused(self, text)
        elif self.connection is not None:
            self.connection.abort(text)

    # ------------------------------------------------------------------ connection

    def _opened(self, connection: Connection, *, came_back: bool) -> None:
        self._hanging = False
        self._leaving.clear()
        connection.on_reply = functools.partial(self._answered, connection)
        self._restoring = (came_back or self._restoring) and bool(self.handlers)
        asked, self._asked = self._asked, {}
        for channel in asked.keys() - self.handlers.keys():
            resolve(*itertools.chain(*asked[channel]))  # not wanted any more
        channels = list(self.handlers)
        for channel in channels:  # what was asked for several times is answered once
            self._asked[channel] = [[*itertools.chain(*asked.get(channel, ()))]]
        size = 1 if self._sharded else CHUNK  # one command may not name several slots of a cluster
        for start in range(0, len(channels), size):
            connection.write(pack((self._subscribe, *channels[start : start + size])))

    def _closed(self) -> None:
        self._restoring = False
        if self.handlers:
            self._interrupted()

    def _failed(self) -> None:
        """Nobody waits for a server that is not there: it is made up for when it is back."""
        self._give_up_waiting()
        if self._elsewhere is not None:
            self._elsewhere.failing()

    def _give_up_waiting(self) -> None:
        asked, self._asked = self._asked, {}
        for waiting in asked.values():
            resolve(*itertools.chain(*waiting))

    def _ping(self, connection: Connection) -> None:
        connection.write(pack(("PING",)))


def resolve(*futures: Certain) -> None:
    """Say that it is certain, to those who were not told yet and still wait."""
    for future in futures:
        if not future.done() and future.set_running_or_notify_cancel():
            future.set_result(None)
