"""Open connections whose user may cease to be: who they are, until when, and how they end.

Everything here belongs to one event loop and its thread: each loop has a :class:`Watch` of its own
while it has connections to watch, with one timer and one subscription for all of them.
"""

import asyncio
import concurrent.futures
import contextlib
import functools
import hashlib
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import Context
from typing import Final

from fairway._types import Event
from fairway.auth.listening import Listener
from fairway.auth.policy import Ending, Identity, Revalidation
from fairway.later import create_task_later
from fairway.server.deadlines import Deadlines

logger = logging.getLogger("fairway.auth")

#: The scope key of the innermost :class:`Connection`, for ``login()``, ``logout()``, ``renew()``.
CONNECTION: Final = "fairway.auth"

#: Checks that one event loop runs at once; they all need a thread and the database.
CHECKS_AT_ONCE: Final = 4

REVOKED: Final = "Access was revoked."
TOKEN_EXPIRED: Final = "The token has expired."  # noqa: S105  no secret


def session_digest(session_key: str | None) -> str | None:
    """Return what stands for a session on channel layers, where its key would be a credential."""
    return hashlib.sha256(session_key.encode()).hexdigest() if session_key else None


class Connection:
    """One open connection of one user.

    Args:
        watch: The watch of its event loop.
        policy: When to look; None for expiry alone.
        identity: Who it is.
        ending: How it is ended.
        clock: Seconds since the epoch, against which :attr:`expires_at` is read.

    Attributes:
        user_key: The primary key of the user as text; None for an anonymous connection, which is
            never ended.
        session: The digest of the session's key, if it has one.
        expires_at: Seconds since the epoch at which it ends by itself, or None.
        ended: Why it was ended; None while it was not.
        watched: Whether it is found by its user and session, and asked when it is due.
        slot: Belongs to the timer.
    """

    __slots__ = (
        "_changing",
        "_clock",
        "_news_before",
        "_next_check",
        "_revoked",
        "_version",
        "ended",
        "ending",
        "expires_at",
        "identity",
        "policy",
        "session",
        "slot",
        "user_key",
        "watch",
        "watched",
    )

    def __init__(
        self,
        watch: "Watch",
        policy: Revalidation | None,
        identity: Identity,
        ending: Ending,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.watch = watch
        self.policy = policy
        self.identity = identity
        self.ending = ending
        self.user_key: str | None = None
        self.session: str | None = None
        self.expires_at: float | None = None
        self.ended: str | None = None
        self.watched = False
        self.slot = 0
        self._clock = clock
        self._next_check: float | None = None
        self._changing = False
        self._revoked = False
        self._news_before = watch.news
        self._version = 0

    def expect(self, session: str | None) -> None:
        """Say whose session it is while its user is being looked up."""
        self.session = session
        self._news_before = self.watch.news
        self.watch.know(self)

    def identify(
        self, user_key: str | None, session: str | None = None, expires_at: float | None = None
    ) -> None:
        """Say whose connection this is from now on; with None it is nobody's."""
        self._version += 1
        self.watch.forget(self)
        self.user_key, self.session, self.expires_at = user_key, session, expires_at
        interval = self.policy.interval if self.policy else None
        self._next_check = None
        if user_key is not None and interval is not None:
            self._next_check = self.watch.time() + _jittered(interval)
        if user_key is None:
            return
        self.watch.know(self)
        if self._revoked:
            self.end(REVOKED)
        elif self._news_before != self.watch.news:
            # It came while the user was being looked up, and may be about this very one.
            self._news_before = self.watch.news
            self.watch.check_soon(self)

    async def change(
        self, user_key: str | None, session: str | None = None, expires_at: float | None = None
    ) -> None:
        """Do as :meth:`identify`, from whatever event loop this is called in."""
        call = functools.partial(self.identify, user_key, session, expires_at)
        if asyncio.get_running_loop() is self.watch.loop:
            call()
            return
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.watch.loop.call_soon_threadsafe(lambda: done.set_result(call()))
        await asyncio.wrap_future(done)

    def release(self) -> None:
        """Leave the connection to somebody else, who knows better whose it is."""
        self.identify(None)

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Ignore news and checks while the user changes on purpose, by a login or a logout."""
        self._version += 1
        self._changing = True
        try:
            yield
        finally:
            self._changing = False

    def suspect(self, *, certain: bool) -> None:
        """There is news about this user or session.

        Args:
            certain: The connection is to end, whatever a check would find.
        """
        if self._changing:
            return
        if self.user_key is None:
            self._revoked = self._revoked or certain
        elif certain:
            self.end(REVOKED)
        else:
            self.watch.check_soon(self)

    async def check(self) -> bool:
        """Look the user up again, and end the connection if they are gone.

        Returns:
            Whether the connection may go on. It may if the database cannot be asked, which is
            logged.
        """
        if self.user_key is None or self.ended is not None:
            return self.ended is None
        version = self._version
        try:
            reason = await self.identity.check()
        except Exception as error:  # noqa: BLE001  a check must not end what the user is doing
            self.watch.failed(error)
            return True
        self.watch.succeeded()
        if reason is not None and version == self._version:
            self.end(reason)
        return self.ended is None

    def end(self, reason: str) -> None:
        """End the connection with 4401; only the first time counts."""
        if self.ended is None:
            self.ended = reason
            self.watch.forget(self)
            self.ending.end(reason)

    def due(self) -> float | None:
        """Return the loop's time at which there is something to do, or None."""
        moments = [self._next_check] if self._next_check is not None else []
        if self.expires_at is not None:
            # By the wall clock each time, which may be set, and goes on while a machine sleeps.
            moments.append(self.watch.time() + max(0.0, self.expires_at - self._clock()))
        return min(moments, default=None)

    def on_deadline(self, now: float) -> float | None:
        """Do what is due; called by the timer."""
        if self.ended is not None or self.user_key is None:
            return None
        if self.expires_at is not None and self.expires_at <= self._clock():
            self.end(TOKEN_EXPIRED)
            return None
        if self._next_check is not None and self._next_check <= now:
            assert self.policy is not None
            assert self.policy.interval is not None
            self._next_check = now + _jittered(self.policy.interval)
            self.watch.check_soon(self)
        return self.due()


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.9, 1.1)  # noqa: S311  spreads load, keeps no secret


class Watch:
    """All watched connections of one event loop.

    Args:
        loop: The running event loop.
        deadlines: Its timer; tests bring one with a clock of their own.

    Attributes:
        time: The clock of the timer, in seconds.
        news: How many messages have been heard so far.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, deadlines: Deadlines | None = None) -> None:
        self.loop = loop
        # A context of its own: the timer must not keep that of the first connection alive, and
        # checks must not run in that connection's thread.
        self.deadlines = deadlines or Context().run(Deadlines, loop)
        self.time: Callable[[], float] = loop.time
        self.news = 0
        self._count = 0
        self._by_user: dict[str, set[Connection]] = {}
        self._by_session: dict[str, set[Connection]] = {}
        self._listener: Listener | None = None
        self._listening = 0
        self._due: dict[Connection, None] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._failing = False

    # ------------------------------------------------------------------ who is here

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep the watch; when the last one lets go, its timer and its event loop are let go."""
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                if _watches.get(self.loop) is self:
                    del _watches[self.loop]
                self.deadlines.close()
                for worker in self._workers:
                    worker.cancel()

    @contextlib.asynccontextmanager
    async def watching(self, connection: Connection) -> AsyncIterator[None]:
        """Watch a connection; the subscription lives while one of them wants it."""
        connection.watched = True
        self.know(connection)
        at_once = connection.policy is not None and connection.policy.at_once
        if at_once:
            self._listening += 1
            if self._listener is None:
                self._listener = Listener(self.loop, self.heard, self.check_all)
        try:
            yield
        finally:
            connection.release()
            connection.watched = False
            self._due.pop(connection, None)
            if at_once:
                self._listening -= 1
                if not self._listening and self._listener is not None:
                    listener, self._listener = self._listener, None
                    await listener.stop()

    def know(self, connection: Connection) -> None:
        """Find a connection by its user and session from now on, and ask it when it is due."""
        if not connection.watched:
            return
        if connection.user_key is not None:
            self._by_user.setdefault(connection.user_key, set()).add(connection)
        if connection.session is not None:
            self._by_session.setdefault(connection.session, set()).add(connection)
        when = connection.due() if connection.user_key is not None else None
        if when is not None:
            self.deadlines.arm(connection, when)

    def forget(self, connection: Connection) -> None:
        """Undo :meth:`know`."""
        _remove(self._by_user, connection.user_key, connection)
        _remove(self._by_session, connection.session, connection)
        self.deadlines.disarm(connection)

    # ------------------------------------------------------------------ news

    def heard(self, message: Event) -> None:
        """Take what another process, or this one, published; see :mod:`fairway.auth.revocation`."""
        self.news += 1
        found: set[Connection] = set()
        for index, key in ((self._by_user, "user"), (self._by_session, "session")):
            found |= index.get(message.get(key) or "", set())
        for connection in found:
            if connection.policy is not None and connection.policy.at_once:
                connection.suspect(certain=bool(message.get("certain")))

    def check_all(self) -> None:
        """Check every connection, since news may have been missed."""
        for connections in self._by_user.values():
            for connection in connections:
                if connection.policy is not None and connection.policy.at_once:
                    self.check_soon(connection)

    # ------------------------------------------------------------------ checks

    def check_soon(self, connection: Connection) -> None:
        """Check a connection as soon as there is room for it; again is the same as once."""
        self._due[connection] = None
        if len(self._workers) < CHECKS_AT_ONCE:
            # Later: what a check finds out changes the registers that a caller may go through.
            worker = create_task_later(self.loop, self._work(), Context())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        while self._due:
            connection = next(iter(self._due))
            del self._due[connection]
            await connection.check()

    async def settle(self) -> None:
        """Wait until no check is running or waiting."""
        while self._workers:
            await asyncio.wait(self._workers)

    def failed(self, error: Exception) -> None:
        """A check could not be made: say so once per burst."""
        if not self._failing:
            self._failing = True
            logger.error(
                "Users of open connections cannot be checked; they stay open and are checked "
                "again later: %s: %s",
                type(error).__name__,
                error,
                exc_info=error,
            )

    def succeeded(self) -> None:
        """A check was made."""
        if self._failing:
            self._failing = False
            logger.info("Users of open connections are checked again")


def _remove(index: dict[str, set[Connection]], key: str | None, connection: Connection) -> None:
    connections = index.get(key) if key is not None else None
    if connections is not None and key is not None:
        connections.discard(connection)
        if not connections:
            del index[key]


_watches: dict[asyncio.AbstractEventLoop, Watch] = {}


def current_watch() -> Watch:
    """Return the watch of the running event loop."""
    loop = asyncio.get_running_loop()
    watch = _watches.get(loop)
    if watch is None:
        for closed in [other for other in list(_watches) if other.is_closed()]:
            _watches.pop(closed, None)
        watch = _watches[loop] = Watch(loop)
    return watch
