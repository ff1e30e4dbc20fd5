"""Commands: numbered, answered once, given up in time."""

import asyncio
import time
from typing import Any

import pytest

from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.io import io
from fairway.layers.redis.command import Command, Deadlines, answer_to, ignore
from fairway.layers.redis.scripts import PUSH


def command(done: Any = ignore, seconds: float = 3600, **options: Any) -> Command:
    deadline = time.monotonic() + seconds
    return Command("jobs", lambda number: ("PING", number), done, deadline=deadline, **options)


def test_words() -> None:
    """A command knows its number; a script is named by its digest, or sent whole."""
    plain = command()
    plain.number = 7
    assert plain.words() == ("PING", 7)
    script = command(script=PUSH)
    script.number = 8
    assert script.words() == ("EVALSHA", PUSH.sha, 6, "PING", 8)
    script.by_source = True
    assert script.words() == ("EVAL", PUSH.source, 6, "PING", 8)


def test_answered_once() -> None:
    """Who comes second is too late."""
    answers: list[object] = []
    found = command(lambda reply, error: answers.append(reply or error))
    found.finish("reply")
    found.fail(ChannelLayerUnavailable("late"))
    found.finish("again")
    assert answers == ["reply"]


async def test_deadlines() -> None:
    """Commands are given up in their order, with what kept them; answered ones are forgotten."""
    deadlines = Deadlines(0.02)
    futures = [asyncio.get_running_loop().create_future() for _ in range(3)]
    commands = [command(answer_to(future), seconds=0.02) for future in futures]
    commands[1].trouble = lambda: "redis:6379 does not answer"
    for each in commands:
        deadlines.watch(each)
    assert len(deadlines) == 3
    commands[0].finish("in time")
    assert len(deadlines) == 2
    text = "Redis did not take it within 0.02 s (send_timeout): "
    found = await asyncio.gather(*futures, return_exceptions=True)
    assert [str(each) for each in found] == [
        "in time",
        text + "redis:6379 does not answer.",
        text + "it is not connected yet.",
    ]
    assert len(deadlines) == 0


async def test_stop() -> None:
    """When a layer is closed, nobody is kept waiting."""
    deadlines = Deadlines(3600)
    future = asyncio.get_running_loop().create_future()
    deadlines.watch(command(answer_to(future)))
    deadlines.stop()
    with pytest.raises(ChannelLayerUnavailable, match=r"^The channel layer was closed\.$"):
        await future
    deadlines.stop()


async def test_answers_cross_threads() -> None:
    """A future of any loop is resolved on its own thread; on the I/O thread, at once."""
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    io.call(answer_to(future), "reply", None)
    assert await future == "reply"

    async def there() -> object:
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        answer_to(future)("reply", None)
        assert future.done()
        return await future

    assert await io.run(there()) == "reply"


async def test_nobody_waits_any_more() -> None:
    """A cancelled future, or one of a loop that was closed, is no error."""
    cancelled: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    answer_to(cancelled)("reply", None)

    def elsewhere() -> None:
        loop = asyncio.new_event_loop()
        done = answer_to(loop.create_future())
        loop.close()
        done("reply", None)

    await asyncio.to_thread(elsewhere)
    await asyncio.sleep(0)
