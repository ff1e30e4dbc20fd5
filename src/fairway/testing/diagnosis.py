"""What an application is doing when a test waits for it in vain."""

import asyncio
import linecache
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from fairway._types import Event
from fairway.consumer import AsyncConsumer
from fairway.utils import name_that_thing


def describe(
    task: "asyncio.Task[Any]", untaken: "asyncio.Queue[Event]", unread: "asyncio.Queue[Event]"
) -> str:
    """Say what a suspended application waits for, as indented text of several lines.

    Args:
        task: The application's task.
        untaken: Events that it was given; those that it has not taken yet are listed.
        unread: Events that it sent; those that the test has not taken yet are listed.
    """
    frames = list(_frames(task))
    consumers = {id(found): found for frame in frames if (found := _consumer(frame)) is not None}
    lines = ["It is waiting here:", *_format(frames)]
    others = [list(_frames(o)) for o in asyncio.all_tasks(task.get_loop()) if o is not task]
    helpers = [o for o in others if any(id(_consumer(frame)) in consumers for frame in o)]
    for helper in helpers:
        lines += ["A task of it is waiting here:", *_format(helper)]
    threads = list(_sync_code())
    for thread in threads:
        lines += ["Its sync code is running here:", *_format(thread)]
    everything = [*frames, *(f for group in (*helpers, *threads) for f in group)]
    lines += [_handlers(consumer, everything) for consumer in consumers.values()]
    lines += _listing("It was given, and has not taken:", untaken)
    lines += _listing("It sent, and the test has not taken:", unread)
    return "\n".join(lines)


def _frames(task: "asyncio.Task[Any]") -> Iterator[FrameType]:
    """The frames of the coroutines that await one another, outermost first."""
    awaited: Any = task.get_coro()
    while awaited is not None:
        for kind in ("cr_frame", "gi_frame", "ag_frame"):
            frame = getattr(awaited, kind, None)
            if frame is not None:
                yield frame
        awaited = (
            getattr(awaited, "cr_await", None)
            or getattr(awaited, "gi_yieldfrom", None)
            or getattr(awaited, "ag_await", None)
        )


def _sync_code() -> Iterator[list[FrameType]]:
    """What asgiref is running in other threads just now: for each its frames, outermost first."""
    here = threading.get_ident()
    # The interpreter's own debugging aid: the one way to look into another thread.
    for identifier, innermost in sys._current_frames().items():  # noqa: SLF001
        frames: list[FrameType] = []
        frame: FrameType | None = innermost
        while frame is not None and not _is_asgirefs(frame):
            frames.insert(0, frame)
            frame = frame.f_back
        if frame is not None and identifier != here:
            yield [f for f in frames if not str(f.f_globals.get("__name__")).startswith("asgiref")]


def _is_asgirefs(frame: FrameType) -> bool:
    return (
        frame.f_code.co_name == "thread_handler" and frame.f_globals["__name__"] == "asgiref.sync"
    )


def _consumer(frame: FrameType) -> AsyncConsumer | None:
    found = frame.f_locals.get("self")
    return found if isinstance(found, AsyncConsumer) else None


def _handlers(consumer: AsyncConsumer, frames: list[FrameType]) -> str:
    """Which methods of the project's own a consumer is in."""
    names = dict.fromkeys(
        frame.f_code.co_name
        for frame in frames
        if _consumer(frame) is consumer and not _is_ours(frame)
    )
    name = name_that_thing(type(consumer))
    if not names:
        return f"{name} is in no handler: it waits for its next event."
    return f"{name} is in its handler {' > '.join(names)}()."


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "fairway"


def _format(frames: list[FrameType]) -> Iterator[str]:
    for frame in frames:
        code = frame.f_code
        yield f'  File "{code.co_filename}", line {frame.f_lineno}, in {code.co_name}'
        source = linecache.getline(code.co_filename, frame.f_lineno).strip()
        if source:
            yield f"    {source}"
    if not frames:
        yield "  (no Python frame)"


def _listing(title: str, events: "asyncio.Queue[Event]") -> list[str]:
    # A copy: looking must not take anything out.
    waiting = list(events._queue)  # type: ignore[attr-defined]  # noqa: SLF001  no public way to look
    return [title, *(f"  {_shorten(repr(event))}" for event in waiting)] if waiting else []


def _shorten(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
