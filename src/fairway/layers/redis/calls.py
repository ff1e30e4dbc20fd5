"""Calls of scripts, packed but for their last words.

hiredis formats the length of each word, and each number: a third of what it takes to send a job.

https://redis.io/docs/latest/develop/reference/protocol-spec/#sending-commands-to-a-redis-server
"""

import asyncio

from fairway.layers.redis.command import NEVER, Command, Done
from fairway.layers.redis.connection import Word, pack
from fairway.layers.redis.scripts import NUMBER, Script

_NEWLINE = b"\r\n"


class Call:
    """A script, its keys, and the arguments that are always the same.

    The last of them are its terms, which end with the number of the command. Behind them comes a
    payload, if the script takes one.

    Args:
        script: The script.
        words: Its keys and its first arguments.
        terms: Its terms, but for the number.
    """

    __slots__ = ("_terms", "_with_payload", "_without", "_words", "script")

    def __init__(self, script: Script, words: tuple[Word, ...], terms: bytes) -> None:
        self.script = script
        self._words = words
        self._terms = terms
        known = ("EVALSHA", script.sha, script.keys, *words)
        _, _, packed = pack(known).partition(_NEWLINE)
        packed += b"$%d\r\n%b" % (len(terms) + NUMBER.size, terms)
        self._without = b"*%d\r\n%b" % (len(known) + 1, packed)
        self._with_payload = b"*%d\r\n%b" % (len(known) + 2, packed)

    def pack(self, number: int, payload: bytes | None) -> bytes:
        """The command as it goes over the wire."""
        packed = NUMBER.pack(number)
        if payload is None:
            return b"%b%b\r\n" % (self._without, packed)
        return b"%b%b\r\n$%d\r\n%b\r\n" % (self._with_payload, packed, len(payload), payload)

    def pack_whole(self, number: int, payload: bytes | None) -> bytes:
        """The same with the script's text, for a server that does not know it."""
        terms = self._terms + NUMBER.pack(number)
        words = ("EVAL", self.script.source, self.script.keys, *self._words, terms)
        return pack(words if payload is None else (*words, payload))


class CallCommand(Command):
    """A command that is such a call.

    Args:
        name: The queue that it is about.
        call: The call.
        payload: What comes last, if the script takes it.
        done: Takes the reply.
        deadline: When to give up, by :func:`time.monotonic`.
        home: The event loop on which the reply is waited for; None if nobody waits.
    """

    __slots__ = ("_call", "_payload")

    def __init__(
        self,
        name: str,
        call: Call,
        payload: bytes | None,
        done: Done,
        *,
        home: asyncio.AbstractEventLoop | None = None,
        deadline: float = NEVER,
    ) -> None:
        super().__init__(name, _in_the_call, done, script=call.script, deadline=deadline, home=home)
        self._call = call
        self._payload = payload

    def packed(self) -> bytes:
        """What to write."""
        if self.by_source:
            return self._call.pack_whole(self.number, self._payload)
        return self._call.pack(self.number, self._payload)


def _in_the_call(_number: int) -> tuple[Word, ...]:
    raise NotImplementedError
