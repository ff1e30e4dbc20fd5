"""What has to be right in a process before anything else happens in it."""

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.server.process import connected, launched, with_application
from tests.server.running import DEADLINE

#: Runs the command line with descriptors closed, as ``fairway … >&-`` does.
CLOSED = (
    "import os, sys; list(map(os.close, map(int, sys.argv[1].split(',')))); "
    "os.execv(sys.executable, [sys.executable, '-P', '-m', 'fairway', *sys.argv[2:]])"
)

#: Runs it as a process that takes itself for the first one, as it is in a container.
FIRST = "import os; os.getpid = lambda: 1; from fairway.server.cli import main; main()"

#: A project that takes its time.
SLOW = """
import sys, time
print("begins", file=sys.stderr, flush=True)
time.sleep(3600)
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The working directory of the processes."""
    return with_application(tmp_path.resolve())


async def exists(path: Path) -> None:
    """Wait until somebody listens."""
    async with asyncio.timeout(DEADLINE):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_unix_connection(path)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("workers", [(), ("-w", "1")])
@pytest.mark.parametrize("closed", ["0", "1", "2", "0,1,2"])
async def test_closed_descriptors(here: Path, closed: str, workers: Sequence[str]) -> None:
    """Whatever it is started without, it serves and ends like any other."""
    socket = here / "socket"
    arguments = (closed, *workers, "-u", str(socket), "app:path")
    async with launched(*arguments, directory=here, python=("-c", CLOSED)) as process:
        await exists(socket)
        async with connected(socket) as client:
            assert (await client.fetch("/")).body == b"|/"
        assert (await process.stop()).code == 0


async def test_first_process(here: Path) -> None:
    """A slow start of a container can be called off: as if the signal had ended it."""
    (here / "slow.py").write_text(SLOW)
    async with launched("slow:app", directory=here, python=("-P", "-c", FIRST)) as process:
        assert await process.line() == "begins\n"
        assert (await process.stop()).code == 128 + 15


@pytest.mark.parametrize("workers", [(), ("-w", "1")])
async def test_log_rotation(here: Path, workers: Sequence[str]) -> None:
    """The signal with which others are told that their logs were moved ends nobody."""
    async with launched(*workers, "-p", "0", "app:path", directory=here) as process:
        address = await process.address()
        process.signal(signal.SIGUSR1)
        async with connected(address) as client:
            assert (await client.fetch("/")).body == b"|/"
        assert (await process.stop()).code == 0


async def test_first_process_that_serves(here: Path) -> None:
    """Once it serves, the first process of a container ends gracefully."""
    arguments = ("-p", "0", "app:path")
    async with launched(*arguments, directory=here, python=("-P", "-c", FIRST)) as process:
        await process.address()
        assert (await process.stop()).code == 0
