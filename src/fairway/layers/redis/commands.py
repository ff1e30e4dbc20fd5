"""The connection of a process that sends commands: all of them through one pipeline."""

import asyncio
import functools
import itertools
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import hiredis

from fairway import native
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.io import io
from fairway.layers.redis.advice import advice_on, code_of
from fairway.layers.redis.command import Command, ignore
from fairway.layers.redis.connection import Connection, Reply, ServerError
from fairway.layers.redis.hosts import Server
from fairway.layers.redis.link import IS_REPLICA, Elsewhere, Link, Reporter, logger
from fairway.layers.redis.scripts import SCRIPTS

#: Answers to a command that may be different in a moment: it was not executed, and is kept.
TRANSIENT: Final = frozenset(
    {"BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "TRYAGAIN"}
)
#: Seconds before a command is tried again after such an answer.
RETRY_AFTER: Final = 0.1

#: Redis 6 puts what a script ran into behind words of its own.
_IN_SCRIPT: Final = re.compile(r"ERR Error running script.*? -(?=[A-Z])")


def text_of(error: hiredis.ReplyError) -> str:
    """What an error says; of one within a script, what the script ran into."""
    return _IN_SCRIPT.sub("", str(error), count=1).rstrip(".")


class CommandLink(Link):
    """Sends commands in the order in which they are given, and keeps them while it is down.

    A command whose connection ended before its reply is sent again, see :class:`Command`.

    Args:
        server: Where to.
        reporter: What logs its outages.
        locate: Finds the server's present address.
        numbers: Where commands get theirs from.
        elsewhere: Told when the server says that another one has something; None where no server
            should.
        demoted: Called when the server is found to be no master any more, and why that is known;
            not where ``elsewhere`` knows of that.

    Attributes:
        resent: How many commands were sent again.
    """

    role = "commands"

    def __init__(
        self,
        server: Server,
        reporter: Reporter,
        locate: Callable[[Server], Awaitable[Server]],
        *,
        numbers: Iterator[int] | None = None,
        elsewhere: Elsewhere | None = None,
        demoted: Callable[[str], None] = lambda why: None,
    ) -> None:
        super().__init__(server, reporter, locate)
        self.resent = 0
        self._demoted = demoted
        self._numbers = numbers or itertools.count(1)
        self._elsewhere = elsewhere
        # Held wherever it changes what is waiting, what was sent, and by which connection.
        self._lock = native.RLock()
        self._waiting: deque[Command] = deque()
        self._sent: deque[Command] = deque()
        self._ready: Connection | None = None
        self._heir: Callable[[Command], None] | None = None
        self._refused: set[str] = set()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sent)

    def send(self, command: Command) -> None:
        """Send a command, now or when that is possible; on any thread."""
        with self._lock:
            if self._heir is None:
                connection = self._ready
                if connection is not None and connection.writable and not self._waiting:
                    self._write(connection, command)
                    return
                command.trouble = self._trouble
                self._waiting.append(command)
        if self._heir is not None:
            self._heir(command)
        elif self._supervisor is None:
            io.call(self._start)

    def _start(self) -> None:
        if self._heir is None:
            self.start()

    def take_back(self, heir: Callable[[Command], None]) -> list[Command]:
        """Give up what is waiting, for another link to send; this one is to be closed.

        Args:
            heir: Takes what comes later; on any thread.
        """
        if self.connection is not None:
            self.connection.reclaim()  # nobody else finishes any of them from here on
        with self._lock:
            self._heir = heir
            commands = [*self._sent, *self._waiting]
            self._sent.clear()
            self._waiting.clear()
        return [command for command in commands if not command.finished and not command.lossy]

    async def close(self) -> None:
        """End the connection for good; what comes later fails."""
        if self._heir is None:
            for command in self.take_back(_fail):
                _fail(command)
        await super().close()

    def _write(self, connection: Connection, command: Command) -> None:
        if not command.number:
            command.number = next(self._numbers)
        command.trouble = self._trouble
        if command.asking:
            command.asking = False
            self._write(connection, Command("", lambda _: ("ASKING",), ignore, lossy=True))
        try:
            self._sent.append(command)
            connection.write(command.packed())
        except BaseException:  # of a signal handler: nobody knows what of it was sent
            io.call(connection.abort, "a command was interrupted here")
            raise
        if command.home is not connection.home and not connection.home.is_running():
            io.call(connection.reclaim)  # it ended, or rests, before it was found idle

    def _trouble(self) -> str:
        if self.connection is None:
            return f"{self.server}: {self.trouble}"
        return f"{self.server} does not answer"

    # ------------------------------------------------------------------ replies

    def _answered(self, connection: Connection, reply: Reply) -> None:
        """On the event loop that reads."""
        if not self._sent:
            connection.on_io(connection.abort, f"a reply to nothing: {reply!r}")
            return
        command = self._sent[0]
        if isinstance(reply, hiredis.ReplyError):
            self._sent.popleft()
            connection.on_io(self._refuse, command, reply)
            return
        if command.home is not connection.home and command.home is not None:
            connection.prefer(command.home)
        command.finish(reply)
        self._sent.popleft()  # only now: who is interrupted has not lost it

    def _refuse(self, command: Command, error: hiredis.ReplyError) -> None:
        """An error means that the command was not executed."""
        text = text_of(error)
        code = code_of(text) or "ERR"
        if command.finished or command.lossy:
            return
        command.number = 0
        command.trouble = lambda: f"{self.server} says: {text}"
        if self._heir is not None:  # given up since another loop has read this
            self._heir(command)
            return
        if code in TRANSIENT and self._elsewhere is not None:
            self._elsewhere.failing()
        if code == "NOSCRIPT":
            command.by_source = True
            self.send(command)
        elif code in {"MOVED", "ASK"} and self._elsewhere is not None:
            self._elsewhere.redirect(command, str(error))
        elif code == "READONLY":
            # Another one is the master now.
            with self._lock:
                self._waiting.append(command)
            self._leave(str(error))
        elif code in TRANSIENT:
            self._say_once(code, text, "It is tried again until send_timeout.")
            asyncio.get_running_loop().call_later(RETRY_AFTER, self._retry, command)
        else:
            advice = advice_on(code, text)
            self._say_once(code, text, advice)
            command.fail(
                ChannelLayerUnavailable(f"Redis at {self.server} refuses: {text}. {advice}")
            )

    def _leave(self, why: str) -> None:
        """Connect to the master, wherever that is now."""
        if self.connection is not None:
            self.connection.abort(why)
        if self._elsewhere is None:
            self._demoted(why)

    def _retry(self, command: Command) -> None:
        if not command.finished:
            self.send(command)

    def _say_once(self, code: str, text: str, advice: str) -> None:
        """Once per connection."""
        if code not in self._refused:
            self._refused.add(code)
            logger.error("Redis at %s refuses: %s. %s", self.server, text, advice)

    # ------------------------------------------------------------------ connection

    async def _prepare(self, connection: Connection) -> None:
        await super()._prepare(connection)
        for script in SCRIPTS:
            try:
                await connection.ask("SCRIPT", "LOAD", script.source)
            except ServerError:
                return  # then each is sent whole when it is needed

    def _opened(self, connection: Connection, *, came_back: bool) -> None:
        self._refused.clear()
        connection.on_reply = functools.partial(self._answered, connection)
        connection.on_writable = self._flush
        with self._lock:
            self._ready = connection
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            while self._waiting and (connection := self._ready) and connection.writable:
                command = self._waiting.popleft()
                if not command.finished:
                    self._write(connection, command)

    def _closed(self) -> None:
        """What was not answered goes out again, before everything else and in its old order."""
        with self._lock:
            self._ready = None
            again = [each for each in self._sent if not each.finished and not each.lossy]
            self._sent.clear()
            self._waiting.extendleft(reversed(again))
        self.resent += len(again)

    def _failed(self) -> None:
        """Commands wait, each until its own deadline."""
        if self._elsewhere is not None:
            self._elsewhere.failing()

    def _ping(self, connection: Connection) -> None:
        # Any answer does; this one also tells whoever writes nothing that others write elsewhere.
        question = Command("", lambda _: ("ROLE",), self._told_role, lossy=True)
        with self._lock:
            self._write(connection, question)

    def _told_role(self, reply: Reply, error: Exception | None) -> None:
        if self._elsewhere is None and reply and reply[0] != b"master":
            io.call(self._leave, IS_REPLICA)


def _fail(command: Command) -> None:
    command.fail(ChannelLayerUnavailable("The channel layer was closed."))
