"""Beginning anew in a forked child, also where whoever forks does not tell Python of it.

uWSGI forks its workers from C, and calls none of the functions that Python would call there.
"""

import contextlib
import os
from collections.abc import Callable

_beginnings: list[Callable[[], None]] = []
_pid = os.getpid()


def in_child(begin_anew: Callable[[], None]) -> None:
    """Have a function called in every forked child, after those that were given before it.

    It is called whatever they raise; what it raises itself is raised once all have been called.
    """
    _beginnings.append(begin_anew)


def notice() -> None:
    """See that this process has begun anew if it is a child; 0.1 µs.

    To be called before anything is used that a child must not share with its parent.
    """
    if os.getpid() != _pid:
        _begin_anew()


def _begin_anew() -> None:
    global _pid  # noqa: PLW0603  there is one for each process
    _pid = os.getpid()
    with contextlib.ExitStack() as rest:  # each of them, whatever another raises
        for begin_anew in reversed(_beginnings):
            rest.callback(begin_anew)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
