"""Clerk: who uses the store of named channels, and in which thread."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.local import clerk as module
from fairway.layers.local.clerk import Clerk
from fairway.layers.local.store import Store

HERE = threading.current_thread


@pytest.fixture
async def clerk(tmp_path: Path) -> AsyncIterator[Clerk]:
    clerk = Clerk(Store(tmp_path / "queues.sqlite3", busy_timeout=0))
    assert await clerk.do(push(clerk, b"0"))
    yield clerk
    await clerk.close()
    clerk.store.close()


def push(clerk: Clerk, payload: bytes) -> Callable[[], bool]:
    """Adds to the queue ``jobs``."""
    return lambda: clerk.store.push("jobs", payload, capacity=1000, expiry=60)


def everything(clerk: Clerk) -> list[bytes]:
    """What is in that queue, taken out."""
    return [row.payload for row in clerk.store.pop("jobs", 1000)]


@contextmanager
def locked(clerk: Clerk) -> Iterator[None]:
    """Another process is writing."""
    with sqlite3.connect(clerk.store.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    other.close()


async def test_quick(clerk: Clerk) -> None:
    """What is quick is done there and then, once the file is open."""
    assert await clerk.do(HERE) is threading.current_thread()
    clerk.store.close()
    assert await clerk.do(HERE) is not threading.current_thread()


async def test_others_have_a_turn(clerk: Clerk) -> None:
    """Who does one thing after the other does not keep the loop for itself."""
    others = asyncio.ensure_future(asyncio.sleep(0))
    for _ in range(2 * module.IN_A_ROW):
        await clerk.do(lambda: None)
    assert others.done()


async def test_slow(clerk: Clerk, monkeypatch: pytest.MonkeyPatch) -> None:
    """After something that was slow, a thread does everything for some time."""
    monkeypatch.setattr(module, "QUICK", 0.0)
    await clerk.do(lambda: time.sleep(0.001))
    assert await clerk.do(HERE) is not threading.current_thread()
    clerk._slow_until = 0.0
    assert await clerk.do(HERE) is threading.current_thread()


async def test_locked(clerk: Clerk) -> None:
    """While another process writes, a thread waits for it, and what comes later stays behind."""
    with locked(clerk):
        pushing = [asyncio.ensure_future(clerk.do(push(clerk, b"%d" % n))) for n in range(1, 4)]
        await asyncio.sleep(0)
        assert not any(each.done() for each in pushing)
    assert await asyncio.gather(*pushing) == [True] * 3
    assert everything(clerk) == [b"0", b"1", b"2", b"3"]


async def test_locked_for_too_long(clerk: Clerk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who meet a locked file wait for it together, and no longer than one of them would."""
    monkeypatch.setattr(module, "BUSY_TIMEOUT", 0.5)
    begun = time.monotonic()
    with locked(clerk):
        errors = await asyncio.gather(
            *(clerk.do(push(clerk, b"x")) for _ in range(20)), return_exceptions=True
        )
    assert time.monotonic() - begun < 20 * 0.5 / 2
    assert {type(error) for error in errors} == {ChannelLayerUnavailable}
    assert {str(error) for error in errors} == {
        f"Cannot use {clerk.store.path}: database is locked"
    }
    assert everything(clerk) == [b"0"]


async def test_cancelled(clerk: Clerk) -> None:
    """What a caller who was cancelled cannot have any more is undone."""
    undone: list[object] = []
    begun, go_on = threading.Event(), threading.Event()

    def take() -> str:
        begun.set()
        go_on.wait(60)
        return "taken"

    clerk.store.close()  # so that a thread does it
    doing = asyncio.ensure_future(clerk.do(take, undone.append))
    await asyncio.to_thread(begun.wait, 60)
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)
    go_on.set()
    await clerk.do(lambda: None)
    assert undone == ["taken"]


async def test_other_errors(clerk: Clerk) -> None:
    """Whatever else the file has is told at once."""

    def fail() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    for _ in range(2):
        with pytest.raises(ChannelLayerUnavailable, match="disk I/O error"):
            await clerk.do(fail)
        clerk.store.close()
