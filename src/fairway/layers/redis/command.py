"""Commands on their way: until when they are worth sending, and who waits for the answer."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

from fairway import native
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.io import io
from fairway.layers.redis.connection import Reply, Word, pack
from fairway.layers.redis.scripts import Script

#: Takes the reply, or the error in place of one. Called once: on the event loop that reads replies,
#: or on the thread of :data:`io`.
Done: TypeAlias = Callable[[Reply, Exception | None], object]
#: The words of a command, given its number.
Words: TypeAlias = Callable[[int], tuple[Word, ...]]

#: For a command that waits as long as it takes.
NEVER: Final = float("inf")


class Command:
    """One command and who waits for its reply.

    Each is numbered when it is first written; numbers only grow. A command whose reply was lost
    with its connection is written again under its old number, by which scripts and subscribers know
    what they have seen. One that was answered with an error was not executed, and gets a new one.

    Args:
        name: The queue or topic that it is about.
        words: The command; for a script, what follows the number of its keys.
        done: Takes the reply.
        script: The script to run.
        deadline: When to give up, by :func:`time.monotonic`.
        lossy: Whether it is dropped rather than kept for later when the connection is down.
        home: The event loop on which the reply is waited for; None if nobody waits.

    Attributes:
        number: Its number; 0 before it is written.
        finished: Whether somebody has the reply, or nobody wants it any more.
        trouble: Says why it has not been executed yet.
        by_source: Whether the server has lost the script and needs all of it.
        asking: Whether the next node of a cluster takes it only if it is told to.
    """

    __slots__ = (
        "_done", "_words", "asking", "by_source", "deadline", "finished", "home", "lossy",
        "name", "number", "script", "trouble",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        words: Words,
        done: Done,
        *,
        script: Script | None = None,
        deadline: float = NEVER,
        lossy: bool = False,
        home: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.name = name
        self._words = words
        self._done = done
        self.script = script
        self.deadline = deadline
        self.lossy = lossy
        self.home = home
        self.number = 0
        self.finished = False
        self.trouble: Callable[[], str] = _not_sent
        self.by_source = False
        self.asking = False

    def packed(self) -> bytes:
        """What to write."""
        return pack(self.words())

    def words(self) -> tuple[Word, ...]:
        """The same, word by word."""
        words = self._words(self.number)
        if self.script is None:
            return words
        if self.by_source:
            return ("EVAL", self.script.source, self.script.keys, *words)
        return ("EVALSHA", self.script.sha, self.script.keys, *words)

    def finish(self, reply: Reply) -> None:
        """The reply is there."""
        if not self.finished:
            self._done(reply, None)
            self.finished = True  # only now: who is interrupted asks again

    def fail(self, error: Exception) -> None:
        """There will be none."""
        if not self.finished:
            self.finished = True
            self._done(None, error)


class Deadlines:
    """Gives up commands that were not answered in time, with one timer for all of them.

    Args:
        seconds: How long each may take.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._commands: deque[Command] = deque()
        self._lock = native.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._watching = False

    def __len__(self) -> int:
        with self._lock:
            self._forget_finished()
            return len(self._commands)

    def watch(self, command: Command) -> None:
        """Give up this one in time; on any thread.

        All have the same time, so they are due in their order, or nearly so.
        """
        with self._lock:
            self._forget_finished()
            self._commands.append(command)
            if self._watching:
                return
            self._watching = True
        io.call(self._expire)

    def stop(self) -> None:
        """Give up all of them now; their layer is closed."""
        with self._lock:
            commands, self._commands = self._commands, deque()
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        for command in commands:
            command.fail(ChannelLayerUnavailable("The channel layer was closed."))

    def _forget_finished(self) -> None:
        while self._commands and self._commands[0].finished:
            self._commands.popleft()

    def _expire(self) -> None:
        """Give up what is due, and come back when the next one is."""
        expired: list[Command] = []
        with self._lock:
            self._timer = None
            now = time.monotonic()
            # A timer may come a little early: it is set by another clock.
            while self._commands and (
                self._commands[0].finished or self._commands[0].deadline <= now + 0.01
            ):
                expired.append(self._commands.popleft())
            self._watching = bool(self._commands)
            if self._commands:
                delay = self._commands[0].deadline - now
                self._timer = asyncio.get_running_loop().call_later(delay, self._expire)
        for command in expired:
            command.fail(
                ChannelLayerUnavailable(
                    f"Redis did not take it within {self.seconds:g} s (send_timeout): "
                    f"{command.trouble()}."
                )
            )


def _not_sent() -> str:
    return "it is not connected yet"


def ignore(reply: Reply, error: Exception | None) -> None:
    """For a command that nobody waits for."""
