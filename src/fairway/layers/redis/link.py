"""A connection that comes back by itself."""

import abc
import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Protocol

from fairway.later import create_task_later
from fairway.layers.redis.advice import advice_on, code_of
from fairway.layers.redis.connection import Connection, ServerError, connect
from fairway.layers.redis.hosts import Server
from fairway.layers.redis.version import OLDEST, require_version

if TYPE_CHECKING:
    from fairway.layers.redis.command import Command
    from fairway.layers.redis.subscriptions import SubscriptionLink

logger = logging.getLogger("fairway.layers.redis")

#: Seconds before the second attempt to connect; each further one waits twice as long …
FIRST_DELAY: Final = 0.05
#: … up to this many: less than a sender waits, so that a short outage is over before it gives up.
LONGEST_DELAY: Final = 2.0
#: Seconds that a connection must have lasted for the next attempt to be made at once.
STABLE: Final = 1.0

#: What is wrong with a server that only copies another one.
IS_REPLICA: Final = "READONLY it is a replica"
#: What is wrong with one that only knows of others.
_IS_SENTINEL: Final = "SENTINEL it stores nothing, and knows where the master is"


def back_off(attempt: int, between: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds before an attempt to connect: exponential, with jitter, so that not all come at once.

    Args:
        attempt: 0 for the first after a loss.
        between: A random number between two.
    """
    # The exponent is bounded: an outage may last for days.
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempt, 16)) * between(0.5, 1.0)


class Reporter:
    """One line in the log when a server is lost, one for each new reason, one when it is back.

    Args:
        server: Which server; for the text.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._down: set[str] = set()
        self._said: set[str] = set()
        self._since = 0.0

    def lost(self, role: str, reason: str) -> None:
        """A connection was lost, or could not be made."""
        if not self._down:
            self._since = time.monotonic()
        self._down.add(role)
        code = code_of(reason)
        if code in self._said:
            return
        self._said.add(code)
        advice = advice_on(code, reason)
        level = logging.ERROR if advice else logging.WARNING
        advice = advice or "Connections stay open, and it is tried again until it is back."
        logger.log(level, "Redis at %s is not available: %s. %s", self._server, reason, advice)

    def back(self, role: str) -> None:
        """A connection was made."""
        if role not in self._down:
            return
        self._down.discard(role)
        if not self._down:
            self._said.clear()
            logger.warning(
                "Redis at %s is available again, after %.1f s.",
                self._server,
                time.monotonic() - self._since,
            )


class Elsewhere(Protocol):
    """Whoever knows which server of several has what."""

    def redirect(self, command: "Command", text: str) -> None:
        """Send a command to another server, as this one says in ``text``."""

    def refused(self, link: "SubscriptionLink", text: str) -> None:
        """A server did not take a subscription, and why."""

    def unsubscribed(self, link: "SubscriptionLink", channel: bytes) -> None:
        """A server has ended a subscription."""

    def failing(self) -> None:
        """A server cannot be reached, or cannot do its work."""


class Link(abc.ABC):
    """A connection to one server that is made anew whenever it ends, until it is closed.

    Runs on the loop of :data:`fairway.layers.io.io`.

    Args:
        server: Where to.
        reporter: What logs its outages.
        locate: Finds the server's present address before each attempt.

    Attributes:
        connection: The connection while there is one.
        failing: Whether the last attempt failed, or the connection was lost and is not back yet.
        trouble: Why there is no connection.
        reconnects: How many times it came back.
        came_back: When it last did, by :func:`time.monotonic`.
    """

    role: str

    def __init__(
        self, server: Server, reporter: Reporter, locate: Callable[[Server], Awaitable[Server]]
    ) -> None:
        self.server = server
        self.connection: Connection | None = None
        self.failing = False
        self.trouble = "it is not connected yet"
        self.reconnects = 0
        self.came_back = float("-inf")
        self._reporter = reporter
        self._locate = locate
        self._supervisor: asyncio.Task[None] | None = None
        self._opening: Connection | None = None
        self._check_timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Connect, if that has not begun yet."""
        if self._supervisor is None:
            # Later: a failure may lead back here.
            self._supervisor = create_task_later(asyncio.get_running_loop(), self._supervise())

    async def close(self) -> None:
        """End the connection for good."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
        connection, self.connection = self.connection, None
        if self._check_timer is not None:
            self._check_timer.cancel()
        if connection is not None:
            await connection.close()

    async def _supervise(self) -> None:
        attempt = 0
        while True:
            try:
                connection = await self._open()
            # A provider of credentials may raise anything; the next attempt may work.
            except Exception as error:  # noqa: BLE001
                self._fail(str(error) or type(error).__name__)
            else:
                begun = time.monotonic()
                self._begin(connection)
                reason = await asyncio.shield(connection.lost)
                self.connection = None
                if time.monotonic() - begun >= STABLE:
                    attempt = 0
                self._closed()
                self._fail(reason)
            await asyncio.sleep(back_off(attempt))
            attempt += 1

    async def _open(self) -> Connection:
        server = await self._locate(self.server)
        connection = await connect(server)
        try:
            async with asyncio.timeout(server.connect_timeout):
                await self._prepare(connection)
        except TimeoutError:
            connection.abort("no answer")
            raise TimeoutError(f"no answer within {server.connect_timeout:g} s") from None
        except BaseException:
            connection.abort("the handshake failed")
            raise
        return connection

    async def _prepare(self, connection: Connection) -> None:
        """Ask what has to be true before the connection is used."""
        # While a server loads its data, or waits for a password, this is answered with an error.
        await connection.ask("PING")
        because = f"Fairway needs version {OLDEST} or later"
        await require_version(connection, OLDEST, because)
        try:
            role = (await connection.ask("ROLE"))[0]
        except ServerError:
            return  # hosting providers may forbid to ask; a replica refuses writes later
        if role != b"master":
            raise ServerError(_IS_SENTINEL if role == b"sentinel" else IS_REPLICA)

    def _begin(self, connection: Connection) -> None:
        self.connection = connection
        came_back, self.failing = self.failing, False
        if came_back:
            self.reconnects += 1
            self.came_back = time.monotonic()
        if self._proven():
            self._reporter.back(self.role)
        self._watch(connection)
        self._opened(connection, came_back=came_back)

    def _proven(self) -> bool:
        """Whether a server that lets somebody in is back; if not, the subclass says when."""
        return True

    def _fail(self, reason: str) -> None:
        self.failing = True
        self.trouble = reason = reason.rstrip(".")
        self._reporter.lost(self.role, reason)
        self._failed()

    def _watch(self, connection: Connection) -> None:
        """Ask for an answer, and look after a while whether one has come.

        Also where there was one just now: a server that ends idle connections (``timeout``) looks
        at what comes from here.
        """
        connection.quiet = True
        self._ping(connection)
        self._check_timer = asyncio.get_running_loop().call_later(
            self.server.ping_interval, self._check, connection
        )

    def _check(self, connection: Connection) -> None:
        """Notice a connection whose other end is gone without a word, or frozen."""
        if connection is not self.connection:
            return
        if connection.quiet:
            connection.abort(f"no answer to a PING within {self.server.ping_interval:g} s")
        else:
            self._watch(connection)

    @abc.abstractmethod
    def _opened(self, connection: Connection, *, came_back: bool) -> None:
        """Begin to use a connection."""

    @abc.abstractmethod
    def _closed(self) -> None:
        """The connection is gone."""

    @abc.abstractmethod
    def _failed(self) -> None:
        """There is none now."""

    @abc.abstractmethod
    def _ping(self, connection: Connection) -> None:
        """Ask for an answer, whichever."""
