"""Event loops whose tasks begin within ``create_task()``, where Python has a factory for them."""

import asyncio
import sys
from collections.abc import Callable, Mapping

import pytest

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def new_eager_loop() -> asyncio.AbstractEventLoop:
    """An event loop of asyncio's with ``asyncio.eager_task_factory``."""
    loop = asyncio.new_event_loop()
    if sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)
    return loop


def and_eager(factories: Mapping[str, LoopFactory]) -> Mapping[str, LoopFactory]:
    """The same kinds of event loop, and on Python 3.12 and later the eager one."""
    eager = {"eager": new_eager_loop} if sys.version_info >= (3, 12) else {}
    return {**factories, **eager}


def loops_of(item: pytest.Item, eager_too: set[str]) -> Mapping[str, LoopFactory]:
    """The event loops on which a test runs, for a hook of pytest-asyncio's.

    Args:
        item: The test.
        eager_too: The names of the modules whose tests run on eager loops as well.
    """
    usual: Mapping[str, LoopFactory] = {"asyncio": asyncio.new_event_loop}
    return and_eager(usual) if item.path.stem in eager_too else usual
