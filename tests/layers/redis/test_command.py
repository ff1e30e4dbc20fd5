"""Commands: numbered, answered once, given up in time."""

import asyncio
import time
from typing import Any

import pytest

from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.handover import Handover
from fairway.layers.redis.command import Command, Deadlines, ignore
from fairway.layers.redis.scripts import PUSH


def command(done: Any = ignore, seconds: float = 3600, **options: Any) -> Command:
    deadline = time.monotonic() + seconds
    return Command("jobs", lambda number: ("PING", number), done, deadline=deadline, **options)


async def wait_for(answer: Handover[Any]) -> Any:
    return await answer


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


def test_interrupted() -> None:
    """An answer that was interrupted on its way is heard when it comes again."""
    answers: list[object] = []

    def interrupt(_reply: object, _error: object) -> None:
        if not answers:
            answers.append("interrupted")
            raise KeyboardInterrupt
        answers.append("answered")

    found = command(interrupt)
    with pytest.raises(KeyboardInterrupt):
        found.finish("reply")
    found.finish("reply")
    assert answers == ["interrupted", "answered"]


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
    answers: list[Handover[Any]] = [Handover() for _ in range(3)]
    commands = [command(answer.give, seconds=0.02) for answer in answers]
    waiting = [asyncio.ensure_future(wait_for(answer)) for answer in answers]
    commands[1].trouble = lambda: "redis:6379 does not answer"
    for each in commands:
        deadlines.watch(each)
    assert len(deadlines) == 3
    commands[0].finish("in time")
    assert len(deadlines) == 2
    text = "Redis did not take it within 0.02 s (send_timeout): "
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(each) for each in found] == [
        "in time",
        text + "redis:6379 does not answer.",
        text + "it is not connected yet.",
    ]
    assert len(deadlines) == 0


async def test_stop() -> None:
    """When a layer is closed, nobody is kept waiting."""
    deadlines = Deadlines(3600)
    answer: Handover[Any] = Handover()
    deadlines.watch(command(answer.give))
    deadlines.stop()
    with pytest.raises(ChannelLayerUnavailable, match=r"^The channel layer was closed\.$"):
        await answer
    deadlines.stop()
