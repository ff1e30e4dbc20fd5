"""Calls of scripts, packed but for their last words.

hiredis formats the length of each word, and each number: a third of what it takes to send a job.

https://redis.io/docs/latest/develop/reference/protocol-spec/#sending-commands-to-a-redis-server
"""

from fairway.layers.redis.command import NEVER, Command, Done
from fairway.layers.redis.connection import Word, pack
from fairway.layers.redis.scripts import Script

_NEWLINE = b"\r\n"


class Call:
    """A script, its keys, and the arguments that are always the same.

    Behind them come the number of the command and, where there is one, a payload.

    Args:
        script: The script.
        words: Its keys and its first arguments.
        has_payload: Whether a payload comes last.
    """

    __slots__ = ("_packed", "_words", "script")

    def __init__(self, script: Script, words: tuple[Word, ...], *, has_payload: bool) -> None:
        self.script = script
        self._words = words
        known = ("EVALSHA", script.sha, script.keys, *words)
        _, _, packed = pack(known).partition(_NEWLINE)
        self._packed = b"*%d\r\n%b" % (len(known) + (2 if has_payload else 1), packed)

    def pack(self, number: int, payload: bytes | None) -> bytes:
        """The command as it goes over the wire."""
        digits = b"%d" % number
        if payload is None:
            return b"%b$%d\r\n%b\r\n" % (self._packed, len(digits), digits)
        return b"%b$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
            self._packed, len(digits), digits, len(payload), payload,
        )  # fmt: skip

    def pack_whole(self, number: int, payload: bytes | None) -> bytes:
        """The same with the script's text, for a server that does not know it."""
        last = (number,) if payload is None else (number, payload)
        return pack(("EVAL", self.script.source, self.script.keys, *self._words, *last))


class CallCommand(Command):
    """A command that is such a call.

    Args:
        name: The queue that it is about.
        call: The call.
        payload: What comes last, if something does.
        done: Takes the reply.
        deadline: When to give up, by :func:`time.monotonic`.
    """

    __slots__ = ("_call", "_payload")

    def __init__(
        self,
        name: str,
        call: Call,
        payload: bytes | None,
        done: Done,
        *,
        deadline: float = NEVER,
    ) -> None:
        super().__init__(name, _in_the_call, done, script=call.script, deadline=deadline)
        self._call = call
        self._payload = payload

    def packed(self) -> bytes:
        """What to write."""
        if self.by_source:
            return self._call.pack_whole(self.number, self._payload)
        return self._call.pack(self.number, self._payload)


def _in_the_call(_number: int) -> tuple[Word, ...]:
    raise NotImplementedError
