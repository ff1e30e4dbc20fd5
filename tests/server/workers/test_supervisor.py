"""Workers: several processes on one port, kept by one that serves nothing."""

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.server.process import MODULE, Process, connected, launched, outcome
from tests.server.running import until

APPLICATION = '''
import os, sys, time

VERSION = 1

async def app(scope, receive, send):
    """Answers with the number of its process and its version; ends it where that is asked for."""
    if scope["path"] == "/die":
        os._exit(3)
    if scope["path"] == "/slow":
        event = await receive()
    if scope["path"] == "/hang":
        open("hung", "w").close()
        time.sleep(3600)
    body = f"{os.getpid()} {VERSION}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
'''


SOCKETS = """
import os

async def app(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": str(os.getpid())})
    while (await receive())["type"] != "websocket.disconnect":
        pass
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The working directory of the processes."""
    (tmp_path / "app.py").write_text(APPLICATION)
    return tmp_path.resolve()


#: Runs the command line as on a system that gives all connections to one of several sockets.
SHARED = (
    "-P",
    "-c",
    (
        "import fairway.server.workers.supervisor as supervisor; supervisor.SPREADS = False; "
        "import fairway.server.cli as cli; cli.main()"
    ),
)


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


async def refused(address: str) -> None:
    """Wait until nobody listens there."""
    while True:
        try:
            async with connected(address):
                await asyncio.sleep(0.01)
        except ConnectionRefusedError:
            return
        except ConnectionResetError:  # it came while the socket was closed
            continue


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


@pytest.mark.parametrize("python", [MODULE, SHARED], ids=["sockets", "shared"])
async def test_replaced(here: Path, python: Sequence[str]) -> None:
    """SIGHUP replaces the workers by new ones with new code; nobody is refused or cut off.

    Also where the workers share one socket, as on systems that do not spread connections.
    """
    # Nobody reads standard output here, where the access log would fill the pipe.
    arguments = ("-w", "2", "--access-log", os.devnull, "-p", "0", "app:app")
    async with launched(*arguments, directory=here, python=python) as process:
        address = await process.address()
        before, _ = await answer(address)
        (here / "app.py").write_text(APPLICATION.replace("VERSION = 1", "VERSION = 2"))
        process.signal(signal.SIGHUP)
        replaced = asyncio.create_task(said(process, "Replaced 2 workers"))

        async def keep_asking() -> int:
            count = 0
            while not replaced.done():
                assert (await answer(address))[1] in {1, 2}
                count += 1
            return count

        counts = await asyncio.gather(*(keep_asking() for _ in range(8)))
        assert sum(counts) >= 8
        await replaced
        after, version = await answer(address)
        assert (after != before, version) == (True, 2)
        assert (await process.stop()).code == 0


async def test_websocket_while_replaced(here: Path) -> None:
    """A socket stays open until its worker's turn has come, and then is told to come again."""
    (here / "app.py").write_text(SOCKETS)
    async with launched("-w", "1", "-p", "0", "app:app", directory=here) as process:
        address = (await process.address()).replace("http", "ws")
        async with connect(address) as socket:
            first = await socket.recv()
            process.signal(signal.SIGHUP)
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        async with connect(address) as socket:
            assert await socket.recv() != first
        await process.stop()


async def test_reload_while_starting(here: Path) -> None:
    """A SIGHUP before all workers serve is remembered: what starts may have read the old code."""
    (here / "app.py").write_text(
        APPLICATION + "\nopen('begun', 'w').close()\nwhile not os.path.exists('go'):"
        "\n    time.sleep(0.01)\n"
    )
    async with launched("-w", "1", "-p", "0", "app:app", directory=here) as process:
        await until((here / "begun").exists)
        (here / "app.py").write_text(APPLICATION.replace("VERSION = 1", "VERSION = 2"))
        process.signal(signal.SIGHUP)
        (here / "go").touch()
        address = await process.address()
        await said(process, "Replaced 1 workers")
        assert (await answer(address))[1] == 2
        await process.stop()


async def test_enough_requests(here: Path) -> None:
    """A worker that has had its requests is replaced once its successor serves."""
    async with launched(
        *("-w", "1", "--worker-max-requests", "5", "--worker-jitter", "0"),
        *("-p", "0", "app:app"),
        directory=here,
    ) as process:
        address = await process.address()
        first, _ = await answer(address)
        for _ in range(4):
            await answer(address)
        found = await said(
            process,
            r"INFO     Worker (\d+) is to be replaced: it has served \d+ requests "
            r"\(worker_max_requests: 5\)$",
        )
        assert int(found[1]) == first
        await gone(first)
        assert (await answer(address))[0] != first
        ended = await process.stop()
    assert ended.code == 0
    assert "ERROR" not in ended.stderr


async def test_successor_that_fails(here: Path) -> None:
    """A worker whose successor does not start goes on, and is replaced when SIGHUP brings it."""
    async with launched(
        "-w", "1", "--worker-max-age", "0.2", "-p", "0", "app:app", directory=here
    ) as process:
        address = await process.address()
        before = await answer(address)
        (here / "app.py").write_text("raise SystemExit(7)")
        await said(process, r"The new worker \d+ ended with code 7 before it served; the old")
        assert (await answer(address))[1] == before[1]
        (here / "app.py").write_text(APPLICATION.replace("VERSION = 1", "VERSION = 2"))
        process.signal(signal.SIGHUP)
        await said(process, "Replaced 1 workers")
        assert (await answer(address))[1] == 2
        assert (await process.stop()).code == 0


async def test_hung_worker(here: Path) -> None:
    """A worker whose event loop is stuck is ended, with its stacks in the log, and replaced."""
    async with launched(
        "-w", "1", "--worker-timeout", "2", "-p", "0", "app:app", directory=here
    ) as process:
        address = await process.address()
        before, _ = await answer(address)
        async with connected(address) as client:
            await client.get("/hang")
            found = await said(
                process,
                r"ERROR    Worker (\d+) hangs: its event loop has not run for 2 s "
                r"\(worker_timeout\)\. It is ended; this is what its threads were doing:$",
            )
            assert int(found[1]) == before
            await said(process, r'  File ".*app\.py", line \d+ in app$')
            await said(process, rf"Worker {before} was ended by SIGABRT after \d+ s; starting")
        assert (await answer(address))[0] != before
        assert (await process.stop()).code == 0


async def test_hangs_while_it_ends(here: Path) -> None:
    """So is one that hangs when it is told to end, once its time is over."""
    (here / "app.py").write_text(
        APPLICATION + "\nimport fairway.server.workers.assignment as a\na.PATIENCE = 0.5\n"
    )
    async with launched(
        *("-w", "1", "--graceful-timeout", "0.1", "-p", "0", "app:app"), directory=here
    ) as process:
        address = await process.address()
        async with connected(address) as client:
            await client.get("/hang")
            await until((here / "hung").exists)
            process.signal(signal.SIGTERM)
            ended = await process.ended()
    assert ended.code == 0
    assert re.search(r"ERROR    Worker \d+ did not end within 0.6 s and is killed\n", ended.stderr)
    assert re.search(r'  File ".*app\.py", line \d+ in app\n', ended.stderr)


async def test_end_in_the_log(here: Path) -> None:
    """The beginning and the end of stopping are one line each, of each worker and of all."""
    async with launched("-w", "2", "-p", "0", "app:app", directory=here) as process:
        await process.address()
        lines = (await process.stop()).stderr.splitlines()
    messages = [re.sub(r"\d+\.\d s|\d\d+", "N", line.partition("INFO     ")[2]) for line in lines]
    stops = (
        "Worker N stops: it waits up to N s for 0 connections (0 of them WebSockets) "
        "and 0 applications"
    )
    assert messages[-6] == "Stopping 2 workers"
    assert sorted(messages[-5:-1]) == [
        "Worker N has stopped after N: nothing was cut off",
        "Worker N has stopped after N: nothing was cut off",
        stops,
        stops,
    ]
    assert messages[-1] == "Stopped 2 workers after N"


async def test_stopped_while_starting(here: Path) -> None:
    """SIGTERM is obeyed at once, also while the code of the workers takes its time."""
    (here / "app.py").write_text("open('begun', 'w').close()\nimport time\ntime.sleep(3600)")
    async with launched("-w", "2", "-p", "0", "app:app", directory=here) as process:
        await until((here / "begun").exists)
        assert (await process.stop()).code == 0


async def test_replaced_while_it_hangs(here: Path) -> None:
    """A newer SIGHUP ends an attempt whose code never serves, and brings what is there now."""
    async with launched("-w", "1", "-p", "0", "app:app", directory=here) as process:
        address = await process.address()
        (here / "app.py").write_text("open('begun', 'w').close()\nimport time\ntime.sleep(3600)")
        process.signal(signal.SIGHUP)
        await until((here / "begun").exists)
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


async def test_link_to_a_release(here: Path) -> None:
    """New workers work where a link leads to when they are started, and the old code may go."""
    releases = [here / "1", here / "2"]
    for number, release in enumerate(releases, 1):
        release.mkdir()
        changed = APPLICATION.replace("VERSION = 1", f"VERSION = {number}")
        (release / "release.py").write_text(changed)
    link = here / "current"
    link.symlink_to(releases[0])
    arguments = ("-w", "1", "-p", "0", "--chdir", str(link), "release:app")
    async with launched(*arguments, directory=here) as process:
        address = await process.address()
        assert (await answer(address))[1] == 1
        link.unlink()
        link.symlink_to(releases[1])
        shutil.rmtree(releases[0])
        process.signal(signal.SIGHUP)
        await said(process, "Replaced 1 workers")
        assert (await answer(address))[1] == 2
        link.unlink()
        process.signal(signal.SIGHUP)
        await said(process, f"Cannot start a worker: .*'{link}'; the old ones go on")
        assert (await answer(address))[1] == 2
        assert (await process.stop()).code == 0


async def test_release_is_gone(here: Path) -> None:
    """A worker that was started in a directory that is gone says so, and what helps."""
    release = here / "release"
    release.mkdir()
    shutil.copy(here / "app.py", release)
    async with launched("-w", "1", "-p", "0", "app:app", directory=release) as process:
        await process.address()
        shutil.rmtree(release)
        process.signal(signal.SIGHUP)
        await said(process, "^fairway: The directory in which this process was started is gone.")
        await said(process, "ended with code 1 before it served; the old ones go on")
        assert (await process.stop()).code == 0


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


@pytest.mark.parametrize("python", [MODULE, SHARED], ids=["sockets", "shared"])
async def test_refuses_while_it_ends(here: Path, python: Sequence[str]) -> None:
    """On SIGTERM nobody waits in vain for workers that only end what they have begun."""
    arguments = ("-w", "2", "-p", "0", "app:app")
    async with launched(*arguments, directory=here, python=python) as process:
        address = await process.address()
        async with connected(address) as client:
            await client.send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
            await answers_of(address, lambda found: len(found) == 2)
            process.signal(signal.SIGTERM)
            await refused(address)
            await client.send("ok")
            assert (await client.response()).status == 200
        assert (await process.ended()).code == 0


@pytest.mark.parametrize("name", ["workers", "chdir", "drop_unread_output", "port"])
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


#: A project whose site is elsewhere than the machine; it answers with where the process began.
FAR_AWAY = """
import os
zone_at_start = os.environ["TZ"]
from django.conf import settings
os.environ["DJANGO_SETTINGS_MODULE"] = "far_settings"
settings.USE_TZ

async def zone(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": zone_at_start.encode()})
"""


async def test_time_zone(here: Path) -> None:
    """The supervisor says what time it is as Django does, and new workers begin where it began."""
    (here / "far_settings.py").write_text("SECRET_KEY = 'a key'\nTIME_ZONE = 'Asia/Tokyo'\n")
    (here / "asgi.py").write_text(FAR_AWAY)
    async with launched(
        *("-w", "1", "-p", "0", "--log-fmt", "%(asctime)s|%(message)s", "asgi:zone"),
        directory=here,
        environment={"TZ": "Etc/GMT+12"},
    ) as process:
        address = await process.address()
        process.signal(signal.SIGHUP)
        await said(process, "Replaced 1 workers")
        async with connected(address) as client:
            assert (await client.fetch("/")).body == b"Etc/GMT+12"
        ended = await process.stop()
    there = datetime.now(ZoneInfo("Asia/Tokyo")).replace(tzinfo=None)
    lines = [line.partition("|") for line in ended.stderr.splitlines()]
    assert {text for _, _, text in lines} >= {"Replacing 1 workers", "Stopping 1 workers"}
    for when, _, text in lines:
        assert abs(there - datetime.fromisoformat(when)) < timedelta(hours=12), text


@pytest.mark.parametrize(
    "environment",
    [{"WEB_CONCURRENCY": "2"}, {"FAIRWAY_OPTIONS": "--workers 2", "WEB_CONCURRENCY": "3"}],
)
async def test_number_of_workers_from_the_environment(
    here: Path, environment: dict[str, str]
) -> None:
    """Hosting platforms say it in WEB_CONCURRENCY; every option may stand in FAIRWAY_OPTIONS."""
    async with launched("-p", "0", "app:app", directory=here, environment=environment) as process:
        await process.address()
        assert "with 2 workers" in (await process.stop()).stderr


@pytest.mark.parametrize(("ignored", "ends"), [(False, True), (True, False)], ids=["", "nohup"])
async def test_terminal_is_closed(here: Path, ignored: bool, ends: bool) -> None:
    """The end of its terminal ends the supervisor, as it ends other programs, but for nohup."""
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" if ignored else ""
    code += (
        "import fairway.server.workers.supervisor as supervisor\n"
        "import fairway.server.cli as cli\n"
        "answers = iter([True, False])\n"
        "supervisor.has_terminal = lambda: next(answers)\n"
        "cli.main()\n"
    )
    async with launched(
        "-w", "1", "-p", "0", "app:app", directory=here, python=["-P", "-c", code]
    ) as process:
        await process.address()
        process.signal(signal.SIGHUP)
        if ends:
            assert "Stopping 1 workers" in (await process.ended()).stderr
        else:
            await said(process, "Replaced 1 workers")
            await process.stop()
