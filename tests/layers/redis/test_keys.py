"""Names at the server: one prefix for all, one slot for what belongs together."""

import re

import pytest

from fairway.layers.redis.keys import Keys

KEYS = Keys("asgi", "0123456789abcdef")


@pytest.mark.row("3.1 Keys")
def test_names() -> None:
    """Everything begins with the prefix, and says what it is."""
    assert KEYS.channel("room") == "asgi:topic:{room}"
    assert KEYS.members("room") == "asgi:members:{room}"
    assert KEYS.queue("jobs")[0] == "asgi:queue:{jobs}"
    assert KEYS.wake("jobs") == "asgi:wake:{jobs}:"
    assert KEYS.changed("jobs") == "asgi:queue:{jobs}:from:0123456789abcdef"


@pytest.mark.pain(19)
def test_one_slot() -> None:
    """All keys of a queue have one hash tag, its name."""
    keys = [*KEYS.queue("jobs"), KEYS.changed("jobs"), KEYS.taken("jobs"), KEYS.wake("jobs")]
    assert {re.search(r"\{(.*?)\}", key)[1] for key in keys} == {"jobs"}  # type: ignore[index]  # None fails, too


def test_patterns() -> None:
    """A flush finds this prefix, also if it has characters that globs know."""
    assert Keys("a*b", "x").patterns() == ("a\\*b:queue:*", "a\\*b:members:*")
