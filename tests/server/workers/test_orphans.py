"""Orphans: processes that nobody waits for, in a container."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.server.process import connected, launched
from tests.server.running import DEADLINE
from tests.server.workers.test_supervisor import gone

#: Runs the command line as a process that inherits orphans, as the first one of a container does:
#: https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html
HEIR = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); "
    "os.execv(sys.executable, [sys.executable, '-P', '-m', 'fairway', *sys.argv[1:]])"
)

#: An application that leaves a process behind, and answers with its number.
APPLICATION = """
import subprocess

async def app(scope, receive, send):
    body = subprocess.run(["sh", "-c", "true & echo $!"], stdout=subprocess.PIPE).stdout
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""

#: A child that nobody waits for, and one that ends at once and has a status for somebody.
CHILDREN = """
import asyncio, os
from fairway.server.workers.orphans import Orphans

async def main():
    orphans = Orphans()
    orphans.begin()
    left = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], os.environ)
    with orphans.left_alone():
        ours = await asyncio.create_subprocess_exec("/bin/sh", "-c", "exit 7")
        orphans.leave_alone(ours.pid)
    code = await ours.wait()
    orphans.forget(ours.pid)
    while os.path.exists(f"/proc/{left}"):
        await asyncio.sleep(0.01)
    print(code)

asyncio.run(main())
"""

#: A supervisor's steps, where Python cannot look at a child without taking note of its end.
BLIND = """
import asyncio, os
del os.waitid
from fairway.server.workers.orphans import Orphans

async def main():
    orphans = Orphans()
    orphans.begin()
    with orphans.left_alone():
        ours = await asyncio.create_subprocess_exec("/bin/sh", "-c", "exit 7")
        orphans.leave_alone(ours.pid)
    code = await ours.wait()
    orphans.forget(ours.pid)
    print(code)

asyncio.run(main())
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux lets a process be the heir")


async def test_left_behind(tmp_path: Path) -> None:
    """What a worker has started and not waited for is gone when it ends, and stays no zombie."""
    (tmp_path / "app.py").write_text(APPLICATION)
    arguments = ("-w", "1", "-p", "0", "app:app")
    async with launched(*arguments, directory=tmp_path, python=("-c", HEIR)) as process:
        async with connected(await process.address()) as client:
            left = int((await client.fetch("/")).body)
        async with asyncio.timeout(DEADLINE):
            await gone(left)
        assert (await process.stop()).code == 0


async def test_children(tmp_path: Path) -> None:
    """A child for which somebody waits is theirs, however soon it ends; any other is not kept."""
    async with launched(directory=tmp_path, python=("-P", "-c", CHILDREN)) as process:
        ended = await process.ended()
    assert (ended.code, ended.stdout) == (0, "7\n")


async def test_blind(tmp_path: Path) -> None:
    """Workers start where nobody tells who has ended, too: on macOS before Python 3.13."""
    async with launched(directory=tmp_path, python=("-P", "-c", BLIND)) as process:
        ended = await process.ended()
    assert (ended.code, ended.stdout) == (0, "7\n")
