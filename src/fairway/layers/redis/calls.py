"""Calls of scripts, packed but for their last words.

hiredis formats the length of each word, and each number: a third of what it takes to send a job.

https://redis.io/docs/latest/develop/reference/protocol-spec/#sending-commands-to-a-redis-server
"""

import asyncio

from fairway.layers.redis.command import NEVER, Command, Done
from fairway.layers.redis.connection import Word, pack
from fairway.layers.redis.scripts import Script

_NEWLINE = b"\r\n"


class Call:
    """A script, its keys, and the arguments that are always the same.

    Behind them come the number of the command and what is different each time.

    Args:
        script: The script.
        words: Its keys and its first arguments.
    """

    __slots__ = ("_packed", "_words", "script")

    def __init__(self, script: Script, words: tuple[Word, ...]) -> None:
        self.script = script
        self._words = words
        known = ("EVALSHA", script.sha, script.keys, *words)
        _, _, packed = pack(known).partition(_NEWLINE)
        self._packed = b"*%d\r\n%b" % (len(known) + 2, packed)

    def pack(self, number: int, last: bytes) -> bytes:
        """The command as it goes over the wire."""
        digits = b"%d" % number
        return b"%b$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
            self._packed, len(digits), digits, len(last), last,
        )  # fmt: skip

    def pack_whole(self, number: int, last: bytes) -> bytes:
        """The same with the script's text, for a server that does not know it."""
        return pack(("EVAL", self.script.source, self.script.keys, *self._words, number, last))


class CallCommand(Command):
    """A command that is such a call.

    Args:
        name: The queue that it is about.
        call: The call.
        last: What comes last: a payload, say.
        done: Takes the reply.
        deadline: When to give up, by :func:`time.monotonic`.
        home: The event loop on which the reply is waited for; None if nobody waits.
    """

    __slots__ = ("_call", "_last")

    def __init__(
        self,
        name: str,
        call: Call,
        last: bytes,
        done: Done,
        *,
        home: asyncio.AbstractEventLoop | None = None,
        deadline: float = NEVER,
    ) -> None:
        super().__init__(name, _in_the_call, done, script=call.script, deadline=deadline, home=home)
        self._call = call
        self._last = last

    def packed(self) -> bytes:
        """What to write."""
        if self.by_source:
            return self._call.pack_whole(self.number, self._last)
        return self._call.pack(self.number, self._last)


def _in_the_call(_number: int) -> tuple[Word, ...]:
    raise NotImplementedError
