"""The end of a server's work: what is told to whom, in which order, and what had to be cut."""

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, Final

from fairway.server.application.lifespan import LAST_WORDS
from fairway.server.context import Client, Context
from fairway.server.websocket.stream import WebSocketStream

logger = logging.getLogger("fairway.server")

#: Seconds between two rounds of goodbyes, and how many WebSockets get theirs in one turn of the
#: loop at most.
ROUND: Final = 0.05
CROWD: Final = 500
#: Seconds that clients have to shake hands in, when the server ends.
ARRIVAL: Final = 5.0
#: How many of the applications that had to be cut are reported with the place where they hung.
REPORTED: Final = 20
#: How many kinds of the others are named.
NAMED: Final = 10


class Drain:
    """Lets everything that a server does come to its end.

    The steps are the caller's, as it has the listeners: :meth:`begin`, :meth:`wait`, then it closes
    them, :meth:`finish`, and after the end of the application's lifespan :meth:`conclude`.

    Args:
        context: What all connections share.
        hurry: Set when the server is told again that it shall end: then it does, at once.
        name: What ends, in the log.

    Attributes:
        until: The moment of the loop's clock at which ``graceful_timeout`` is over; None for never,
            and before :meth:`finish`.
    """

    def __init__(self, context: Context, hurry: asyncio.Event, name: str) -> None:
        self.until: float | None = None
        self._context = context
        self._config = context.config
        self._hurry = hurry
        self._name = name
        self._level = logging.INFO if name else logging.DEBUG  # without one, it is of no interest
        self._began = 0.0
        self._cut_applications = 0
        self._cut_connections = 0

    def begin(self) -> None:
        """Be ready no more, and say so."""
        context, config = self._context, self._config
        context.ready = False
        self._began = context.time()
        sockets = len(self._websockets())
        patience = f"up to {config.graceful_timeout:g} s" if config.graceful_timeout > 0 else ""
        if config.drain_delay > 0:
            patience = f"{config.drain_delay:g} s and then {patience or 'for as long as it takes'}"
        logger.log(
            self._level,
            "%s stops: it waits %s for %d connections (%d of them WebSockets) and %d applications",
            self._name,
            patience or "for as long as it takes",
            len(context.connections),
            sockets,
            len(context.tasks),
        )

    async def wait(self) -> None:
        """Go on serving for ``drain_delay``, while load balancers find out."""
        if self._config.drain_delay > 0 and not self._hurry.is_set():
            nothing = asyncio.get_running_loop().create_future()
            await first_of(nothing, self._hurry.wait(), self._began + self._config.drain_delay)

    async def finish(self, arriving: "Collection[asyncio.Task[Any]]" = ()) -> None:
        """Say goodbye to everyone who is there, wait for the last of them, and cut what is left.

        Args:
            arriving: Done when clients that were let in have their connections; some may still be
                shaking hands.
        """
        context = self._context
        timeout = self._config.graceful_timeout
        self.until = context.time() + timeout if timeout > 0 else None
        sockets = self._websockets()
        for connection in tuple(context.connections):
            if not isinstance(connection, WebSocketStream):
                connection.shut_down()
        goodbyes = asyncio.ensure_future(self._say_goodbye(sockets))
        try:
            if arriving or not context.quiet:
                quiet = asyncio.ensure_future(self._wait_until_quiet(arriving))
                await first_of(quiet, self._hurry.wait(), self.until)
                quiet.cancel()
        finally:
            goodbyes.cancel()
            for task in arriving:
                task.cancel()
        if not context.quiet:
            await self._cut()

    def conclude(self) -> None:
        """Say that it is over."""
        cut = f"{self._cut_applications} applications and {self._cut_connections} more connections"
        nothing = not self._cut_applications and not self._cut_connections
        seconds = self._context.time() - self._began
        logger.log(
            self._level,
            "%s has stopped after %.1f s: %s cut off",
            self._name,
            seconds,
            "nothing was" if nothing else f"{cut} were",
        )

    async def _wait_until_quiet(self, arriving: "Collection[asyncio.Task[Any]]") -> None:
        if arriving:
            await asyncio.wait(arriving, timeout=ARRIVAL)
        await self._context.wait_until_quiet()

    def _websockets(self) -> Sequence[WebSocketStream]:
        return [each for each in self._context.connections if isinstance(each, WebSocketStream)]

    async def _say_goodbye(self, sockets: Sequence[WebSocketStream]) -> None:
        """Close WebSockets, evenly over ``drain_window``; what else happens is not held up."""
        time, window = self._context.time, self._config.drain_window
        began = time()
        told = 0
        while told < len(sockets):
            due = len(sockets)
            if window > 0:
                due = min(due, int(due * (time() - began) / window) + 1)
            for socket in sockets[told : min(due, told + CROWD)]:
                socket.shut_down()
                told += 1
            await asyncio.sleep(ROUND if told == due else 0)

    async def _cut(self) -> None:
        """End what did not end by itself, and say what it was."""
        context = self._context
        why = f"did not end within {self._config.graceful_timeout:g} s"
        if self._hurry.is_set():
            why = "was still running when the server was told to end at once"
        # The oldest first: with them it began.
        left = sorted(context.tasks.items(), key=lambda item: item[1].began)
        for task, executor in left[:REPORTED]:
            age = f"({context.time() - executor.began:.1f} s old) " if executor.began else ""
            context.cancel(task, age + why)
        for task, _ in left[REPORTED:]:
            task.cancel()
        self._report_others([executor.label for _, executor in left[REPORTED:]], why)
        self._cut_applications = len(left)
        if context.tasks:
            await asyncio.wait(context.tasks, timeout=LAST_WORDS)
        stubborn = [executor.label for executor in context.tasks.values()]
        for label in stubborn[:REPORTED]:
            logger.error("Application for %s did not end even when it was cancelled", label)
        self._report_others(stubborn[REPORTED:], "did not end even when it was cancelled")
        self._abort(tuple(context.connections))
        await asyncio.sleep(0)  # connection_lost() runs in the next turn of the loop

    def _abort(self, connections: Sequence[Client]) -> None:
        self._cut_connections = len(connections)
        for connection in connections:
            connection.abort()

    def _report_others(self, labels: Sequence[str], why: str) -> None:
        """One line for all that are too many for a line of their own."""
        if not labels:
            return
        kinds = Counter(labels).most_common()
        names = ", ".join(f"{label} ({count})" for label, count in kinds[:NAMED])
        more = ", and others" if len(kinds) > NAMED else ""
        logger.warning(
            "The same of %d more applications, each of which %s: %s%s",
            len(labels),
            why,
            names,
            more,
        )


async def first_of(
    one: "asyncio.Future[Any]", other: Coroutine[Any, Any, Any], until: float | None
) -> None:
    """Wait until one of the two is done, or for a moment of the loop's clock."""
    second: asyncio.Future[Any] = asyncio.ensure_future(other)
    timeout = None if until is None else max(until - asyncio.get_running_loop().time(), 0)
    try:
        await asyncio.wait([one, second], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        second.cancel()
