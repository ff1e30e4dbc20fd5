"""Calls of scripts: packed in advance, and the same bytes as word by word."""

import pytest

from fairway.layers.redis.calls import Call, CallCommand
from fairway.layers.redis.command import ignore
from fairway.layers.redis.connection import Word, pack
from fairway.layers.redis.scripts import NUMBER, PUSH

WORDS: tuple[Word, ...] = ("a key", "ключ", b"\r\n", 60_000, 0, "")


@pytest.mark.parametrize("number", [1, 9, 10, 12345678901234])
@pytest.mark.parametrize("payload", [b"", b"\r\n$1\r\n", b"x" * 100_000, None])
def test_packed(number: int, payload: bytes | None) -> None:
    """What is sent does not tell that most of it was ready."""
    sent = CallCommand("jobs", Call(PUSH, WORDS, b"terms\r\n"), payload, ignore)
    sent.number = number
    last = () if payload is None else (payload,)
    words = (PUSH.keys, *WORDS, b"terms\r\n" + NUMBER.pack(number), *last)
    assert sent.packed() == pack(("EVALSHA", PUSH.sha, *words))
    sent.by_source = True
    assert sent.packed() == pack(("EVAL", PUSH.source, *words))
