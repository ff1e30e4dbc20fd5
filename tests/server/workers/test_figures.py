"""The figures of all workers, from the supervisor."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fairway.server.observing.figures import single
from fairway.server.workers import figures as figures_module
from fairway.server.workers.figures import WorkerFigures
from tests.server.process import connected, launched
from tests.server.running import DEADLINE
from tests.server.workers.test_process import worker

APPLICATION = """
import os

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""

#: Says how often it was asked; and once more before it ends.
ANSWERS = """
ready()
count = 0
def answer():
    global count
    count += 1
    say(say="figures", figures=[["asked", "counter", "A.", [["", [], count]]]])
while line.recv(1) == b"?":
    answer()
"""
ENDS = """
ready()
line.recv(1)
say(say="figures", figures=[["asked", "counter", "A.", [["", [], 41]]]])
"""


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers have the time that a busy machine needs."""
    monkeypatch.setattr(figures_module, "ANSWER_TIMEOUT", DEADLINE)


async def collected(figures: WorkerFigures) -> dict[str, float]:
    """What there is now, without labels."""
    return {family.name: sum(family.samples.values()) for family in await figures.collect()}


@pytest.mark.usefixtures("patient")
async def test_asked() -> None:
    """Workers are asked whenever somebody looks."""
    figures = WorkerFigures()
    async with worker(ANSWERS) as first, worker(ANSWERS) as second:
        for place, each in enumerate((first, second)):
            figures.watch(each, place)
            await each.ready()
        assert (await collected(figures))["asked"] == 2
        assert await collected(figures) == {
            "fairway_workers": 2,
            "fairway_workers_started": 2,
            "asked": 4,
        }


@pytest.mark.usefixtures("patient")
async def test_last_words() -> None:
    """What a worker says at its end is heard, and stays in the sums."""
    figures = WorkerFigures()
    async with worker(ENDS) as found:
        figures.watch(found, 0)
        await found.ready()
        assert (await collected(figures))["asked"] == 41
        assert await found.ended == 0
        assert await collected(figures) == {
            "fairway_workers": 0,
            "fairway_workers_started": 1,
            "asked": 41,
        }


async def test_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs holds nobody up, and one that does not serve yet is not asked."""
    monkeypatch.setattr(figures_module, "ANSWER_TIMEOUT", 0.01)
    figures = WorkerFigures()
    async with worker("ready()\ntime.sleep(3600)") as hung, worker("time.sleep(3600)") as slow:
        figures.watch(hung, 0)
        figures.watch(slow, 1)
        await hung.ready()
        assert await figures.collect() == [
            single("fairway_workers", "gauge", "Worker processes.", 2),
            single(
                "fairway_workers_started",
                "counter",
                "Worker processes that were started, the first ones among them.",
                2,
            ),
        ]


async def test_command(tmp_path: Path) -> None:
    """With workers the page shows all of them; a sum does not shrink when one is killed."""
    (tmp_path / "app.py").write_text(APPLICATION)
    metrics = tmp_path / "metrics"

    async def requests() -> tuple[float, set[str]]:
        async with connected(metrics) as watcher:
            text = (await watcher.fetch("/metrics")).body.decode()
        families = {each.name: each for each in text_string_to_metric_families(text)}
        ready = families["fairway_ready"].samples if "fairway_ready" in families else []
        alive = {sample.labels["worker"] for sample in ready if sample.value}
        return sum(sample.value for sample in families["fairway_requests"].samples), alive

    arguments = ("-p", "0", "-w", "2", "--metrics", f"unix:{metrics}", "app:app")
    async with launched(*arguments, directory=tmp_path) as process, asyncio.timeout(2 * DEADLINE):
        address = await process.address()
        pid = 0
        for number in range(1, 6):
            async with connected(address) as client:
                pid = int((await client.fetch()).body)
            while await requests() != (number, {"0", "1"}):
                pass  # a worker that is slow is shown as it was
        async with connected(metrics) as watcher:
            assert (await watcher.fetch("/-/ready")).status == 200
        os.kill(pid, signal.SIGKILL)
        while "starting another" not in await process.line():
            pass
        while (found := await requests())[1] != {"0", "1"}:
            assert found[0] == 5
            await asyncio.sleep(0.05)
        assert found[0] == 5
        assert (await process.stop()).code == 0
    assert not metrics.exists()
