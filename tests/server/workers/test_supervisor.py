"""Workers: several processes on one port, kept by one that serves nothing."""

import asyncio
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from fairway.server.workers.assignment import VARIABLE, Assignment
from fairway.server.workers.process import describe_exit
from tests.server.process import Process, connected, launched, outcome

APPLICATION = '''
import os, sys

VERSION = 1

async def app(scope, receive, send):
    """Answers with the number of its process and its version; ends it where that is asked for."""
    if scope["path"] == "/die":
        os._exit(3)
    if scope["path"] == "/slow":
        event = await receive()
    body = f"{os.getpid()} {VERSION}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
'''


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The working directory of the processes."""
    (tmp_path / "app.py").write_text(APPLICATION)
    return tmp_path.resolve()


async def answer(address: str, path: str = "/") -> tuple[int, int]:
    """The process that answers, and its version."""
    async with connected(address) as client:
        number, version = (await client.fetch(path)).body.decode().split()
    return int(number), int(version)


async def answers_of(address: str, enough: Callable[[set[int]], bool]) -> set[int]:
    """The processes that answer, asked until it is enough."""
    found: set[int] = set()
    while not enough(found):
        found.add((await answer(address))[0])
    return found


async def said(process: Process, pattern: str) -> re.Match[str]:
    """The next line of the log that matches."""
    while line := await process.line():
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"It has ended and never said {pattern!r}")


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        await asyncio.sleep(0.01)


async def test_spread(here: Path) -> None:
    """Every worker serves on the one port, and all of them end with the supervisor."""
    async with launched("-w", "3", "-p", "0", "app:app", directory=here) as process:
        address = await process.address()
        workers = await answers_of(address, lambda found: len(found) == 3)
        ended = await process.stop()
    assert ended.code == 0
    assert "with 3 workers" in ended.stderr
    for pid in workers:
        await gone(pid)


async def test_unix_socket(here: Path) -> None:
    """Workers share a Unix socket, whose file is removed at the end."""
    path = here / "site.sock"
    async with launched("-w", "2", "-u", str(path), "app:app", directory=here) as process:
        await process.address()
        async with connected(path) as client:
            assert (await client.fetch("/")).status == 200
        await process.stop()
    assert not path.exists()


async def test_dead_worker(here: Path) -> None:
    """A worker that dies is replaced, which the log says; what waits for it is not refused."""
    async with launched("-w", "1", "-p", "0", "app:app", directory=here) as process:
        address = await process.address()
        before, _ = await answer(address)
        async with connected(address) as client:
            await client.get("/die")
            assert await client.rest() == b""
        after, _ = await answer(address)
        assert after != before
        found = await said(process, r"Worker (\d+) ended with code 3 after \d+ s; starting another")
        assert int(found[1]) == before
        assert (await process.stop()).code == 0


async def test_crash_loop(here: Path) -> None:
    """Workers that crash on their start are started later each time, and the log says so."""
    async with launched("-w", "1", "-p", "0", "app:app", directory=here) as process:
        address = await process.address()
        (here / "app.py").write_text("raise SystemExit(7)")
        async with connected(address) as client:
            await client.get("/die")
        await said(process, r"ended with code 3 .* starting another in 0\.5 s")
        await said(process, r"ended with code 7 .* starting another in 1 s")
        (here / "app.py").write_text(APPLICATION)
        assert await answer(address)
        await process.stop()


async def test_what_never_starts(here: Path) -> None:
    """What is wrong from the beginning ends the supervisor, with the worker's words and code."""
    ended = await outcome("-w", "2", "-p", "0", "app:nothing", directory=here)
    assert ended.code == 1
    assert "Module 'app' has no 'nothing'. Is the name right?" in ended.stderr


async def test_replaced(here: Path) -> None:
    """SIGHUP replaces the workers by new ones with new code, and no request fails."""
    async with launched("-w", "2", "-p", "0", "app:app", directory=here) as process:
        address = await process.address()
        old = await answers_of(address, lambda found: len(found) == 2)
        (here / "app.py").write_text(APPLICATION.replace("VERSION = 1", "VERSION = 2"))
        process.signal(signal.SIGHUP)
        said_so = asyncio.create_task(said(process, "Replaced 2 workers"))
        while not said_so.done():
            assert (await answer(address))[1] in {1, 2}
        await said_so
        new = await answers_of(address, lambda found: len(found) == 2)
        assert not new & old
        assert (await answer(address))[1] == 2
        assert (await process.stop()).code == 0


async def test_stopped_while_starting(here: Path) -> None:
    """SIGTERM is obeyed at once, also while the code of the workers takes its time."""
    (here / "app.py").write_text("open('begun', 'w').close()\nimport time\ntime.sleep(3600)")
    async with launched("-w", "2", "-p", "0", "app:app", directory=here) as process:
        while not (here / "begun").exists():  # noqa: ASYNC110  nothing else tells
            await asyncio.sleep(0.01)
        assert (await process.stop()).code == 0


async def test_replaced_while_it_hangs(here: Path) -> None:
    """A newer SIGHUP ends an attempt whose code never serves, and brings what is there now."""
    async with launched("-w", "1", "-p", "0", "app:app", directory=here) as process:
        address = await process.address()
        (here / "app.py").write_text("open('begun', 'w').close()\nimport time\ntime.sleep(3600)")
        process.signal(signal.SIGHUP)
        while not (here / "begun").exists():  # noqa: ASYNC110  nothing else tells
            await asyncio.sleep(0.01)
        (here / "app.py").write_text(APPLICATION.replace("VERSION = 1", "VERSION = 2"))
        process.signal(signal.SIGHUP)
        await said(process, "Replaced 1 workers")
        assert (await answer(address))[1] == 2
        await process.stop()


async def test_mended_after_a_crash(here: Path) -> None:
    """A SIGHUP that brings good code while a crashed worker waits for its turn is enough."""
    async with launched("-w", "1", "-p", "0", "app:app", directory=here) as process:
        address = await process.address()
        (here / "app.py").write_text("raise SystemExit(7)")
        async with connected(address) as client:
            await client.get("/die")
        await said(process, r"ended with code 7 .* starting another in 1 s")
        (here / "app.py").write_text(APPLICATION.replace("VERSION = 1", "VERSION = 2"))
        process.signal(signal.SIGHUP)
        await said(process, "Replaced 1 workers")
        first, version = await answer(address)
        assert version == 2
        (here / "app.py").write_text(APPLICATION.replace("VERSION = 1", "VERSION = 3"))
        process.signal(signal.SIGHUP)
        await said(process, "Replaced 1 workers")
        await gone(first)
        assert (await answer(address))[1] == 3
        ended = await process.stop()
        assert "The supervisor is gone" not in ended.stderr


async def test_broken_code_replaces_nothing(here: Path) -> None:
    """If the new code does not start, the old workers go on."""
    async with launched("-w", "1", "-p", "0", "app:app", directory=here) as process:
        address = await process.address()
        before = await answer(address)
        (here / "app.py").write_text("raise SystemExit(7)")
        process.signal(signal.SIGHUP)
        await said(process, r"new worker \d+ ended with code 7 before it served; the old")
        assert await answer(address) == before
        await process.stop()


async def test_killed_supervisor(here: Path) -> None:
    """Workers whose supervisor is killed end by themselves."""
    async with launched("-w", "1", "-p", "0", "app:app", directory=here) as process:
        pid, _ = await answer(await process.address())
        await process.kill()
        await gone(pid)


async def test_request_in_flight(here: Path) -> None:
    """On SIGTERM running requests end first."""
    async with launched("-w", "1", "-p", "0", "app:app", directory=here) as process:
        address = await process.address()
        async with connected(address) as client:
            await client.send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
            await answer(address)
            process.signal(signal.SIGTERM)
            await client.send("ok")
            assert (await client.response()).status == 200
        assert (await process.ended()).code == 0


@pytest.mark.parametrize("name", ["workers", "port"])
async def test_settings_come_too_late(here: Path, name: str) -> None:
    """What the supervisor has to know cannot stand in the project's settings."""
    (here / "asgi.py").write_text(
        "from django.conf import settings\n"
        f"settings.configure(FAIRWAY={{{name!r}: 5}})\n"
        "from app import app\n"
    )
    ended = await outcome("-w", "1", "-p", "0", "asgi:app", directory=here)
    assert ended.code == 1
    assert (
        f"In the setting FAIRWAY: {name!r} is needed before the project is loaded. "
        "Say it on the command line."
    ) in ended.stderr


async def test_number_of_workers_from_the_environment(here: Path) -> None:
    """Hosting platforms say it in WEB_CONCURRENCY."""
    async with launched(
        "-p", "0", "app:app", directory=here, environment={"WEB_CONCURRENCY": "2"}
    ) as process:
        await process.address()
        assert "with 2 workers" in (await process.stop()).stderr


def test_assignment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is told once what it is; the processes that it starts are none."""
    assignment = Assignment(1, 7, ((3, 0), (4, 1)))
    monkeypatch.setenv(VARIABLE, assignment.environment()[VARIABLE])
    assert Assignment.of_this_process() == assignment
    assert Assignment.of_this_process() is None


@pytest.mark.parametrize(
    ("code", "text"), [(3, "ended with code 3"), (-signal.SIGKILL, "was ended by SIGKILL")]
)
def test_describe_exit(code: int, text: str) -> None:
    """The end of a process in words."""
    assert describe_exit(code) == text
