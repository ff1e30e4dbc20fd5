"""The command line in a process of its own, for tests."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.server.running import DEADLINE, Client

#: ``-P``: Python itself does not look for modules in the working directory, as with the script.
MODULE = ("-P", "-m", "fairway")

#: What would change what the processes do. A terminal's width and colours change ``--help``.
_UNSET = (
    "ASGI_THREADS",
    "FAIRWAY_OPTIONS",
    "WEB_CONCURRENCY",
    "DJANGO_SETTINGS_MODULE",
    "PYTHONPATH",
    "FORCE_COLOR",
)
_SET = {"COLUMNS": "500", "NO_COLOR": "1", "PYTHONWARNINGS": "error"}

#: A module of applications.
APPLICATION = '''
import asyncio

async def path(scope, receive, send):
    """Answers with the paths of the request."""
    await answer(send, scope["root_path"] + "|" + scope["path"])

async def loop(scope, receive, send):
    """Answers with the maker of the event loop."""
    await answer(send, type(asyncio.get_running_loop()).__module__)

async def answer(send, text):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})

async def held(scope, receive, send):
    """Begins its response at once and ends it when it has the body of the request."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": True})
    event = await receive()
    await send({"type": "http.response.body", "body": event["body"]})

async def refuses(scope, receive, send):
    """Cannot start."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "There is no database."})

class Site:
    application = staticmethod(path)
    number = 5
'''

_ANNOUNCEMENT = re.compile(r"Fairway \S+ serves (\S+)")


def with_application(directory: Path) -> Path:
    """The directory, with a module ``app`` in it."""
    (directory / "app.py").write_text(APPLICATION)
    return directory


class Ended(NamedTuple):
    """What is left of a process."""

    code: int
    stdout: str
    stderr: str


class Process:
    """A running command line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._stderr = ""

    async def line(self) -> str:
        """The next line on standard error; empty after the last."""
        assert self._process.stderr is not None
        async with asyncio.timeout(DEADLINE):
            line = (await self._process.stderr.readline()).decode()
        self._stderr += line
        return line

    async def address(self) -> str:
        """The next address that it prints; by then it accepts connections there."""
        while line := await self.line():
            if found := _ANNOUNCEMENT.search(line):
                return found[1]
        raise AssertionError(f"It does not serve, but says: {self._stderr}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def ended(self) -> Ended:
        """Wait until it ends by itself."""
        async with asyncio.timeout(DEADLINE):
            stdout, stderr = await self._process.communicate()
        code = self._process.returncode
        assert code is not None
        return Ended(code, stdout.decode(), self._stderr + stderr.decode())

    async def stop(self) -> Ended:
        """End it as a supervisor would."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> None:
        """End it if a test has failed before it could."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()


@contextlib.asynccontextmanager
async def launched(
    *arguments: str,
    directory: Path,
    python: Sequence[str] = MODULE,
    environment: dict[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> AsyncIterator[Process]:
    """A process of this Python.

    Args:
        arguments: Those of the command line.
        directory: Where it works.
        python: What makes the interpreter run the command line.
        environment: Variables to set.
        pass_fds: File descriptors that it inherits.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _UNSET}
    process = Process(
        await asyncio.create_subprocess_exec(
            sys.executable,
            *python,
            *arguments,
            cwd=directory,
            env={**inherited, **_SET, **(environment or {})},
            pass_fds=pass_fds,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    )
    try:
        yield process
    finally:
        await process.kill()


async def outcome(
    *arguments: str, directory: Path, environment: dict[str, str] | None = None
) -> Ended:
    """What comes of a command line that ends by itself."""
    async with launched(*arguments, directory=directory, environment=environment) as process:
        return await process.ended()


@contextlib.asynccontextmanager
async def connected(address: str | Path) -> AsyncIterator[Client]:
    """A client's connection.

    Args:
        address: What the server has printed, or the path of its Unix socket.
    """
    if isinstance(address, Path):
        reader, writer = await asyncio.open_unix_connection(address)
    else:
        url = urlsplit(address)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
    client = Client(reader, writer)
    try:
        yield client
    finally:
        client.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
