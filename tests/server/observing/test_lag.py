"""How late an event loop is."""

import asyncio
import time

import pytest

from fairway.server.observing import lag as lag_module
from fairway.server.observing.figures import Family
from fairway.server.observing.lag import Lag
from tests.server.running import until


def count(family: Family) -> float:
    """How many samples there are."""
    return family.samples["_count", ()]


async def test_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps the loop from running is told and counted, again and again until the end."""
    monkeypatch.setattr(lag_module, "INTERVAL", 0.01)
    told: list[float] = []
    lag = Lag(asyncio.get_running_loop(), told.append)
    lag.start()
    time.sleep(0.2)  # noqa: ASYNC251  which is what this is about
    await until(lambda: len(told) >= 3)
    lag.close()
    assert told[0] >= 0.15
    assert lag.last == told[-1]
    family = lag.samples.family("lag_seconds", "Lag.")
    assert count(family) == len(told)
    assert family.samples["_bucket", (("le", "0.1"),)] < len(told)
    await asyncio.sleep(0.05)
    assert count(lag.samples.family("lag_seconds", "Lag.")) == len(told)


async def test_never_started() -> None:
    """One that was not started can be closed."""
    Lag(asyncio.get_running_loop(), print).close()
