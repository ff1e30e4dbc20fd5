"""The command line as a process that serves: what its options change, and how it ends."""

import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.server.process import Process, connected, launched, with_application
from tests.server.running import Client, until

#: A request whose body comes later.
UPLOAD = """
    POST / HTTP/1.1
    Host: example.org
    Content-Length: 4
    Connection: close
"""

#: The lines of the access log for ``GET /a?b`` that was answered with ``|/a``.
COMMON = (
    r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:[0-9:]{8} [+-]\d{4}\] "GET /a\?b HTTP/1\.1" 200 3'
)
DJANGO = (
    r"\[\d\d/[A-Z][a-z]{2}/\d{4} [0-9:]{8}\] HTTP GET /a\?b 200 \[\d+\.\d\d, 127\.0\.0\.1:\d+\]"
)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The working directory of the processes, which holds the module ``app``."""
    return with_application(tmp_path)


class TestAccessLog:
    """Where it goes, and how it looks."""

    @staticmethod
    async def log_of(here: Path, *arguments: str) -> str:
        """What stands on standard output after one request."""
        async with launched("-p", "0", *arguments, "app:path", directory=here) as server:
            async with connected(await server.address()) as client:
                await client.fetch("/a?b")
            ended = await server.stop()
        assert ended.code == 0
        return ended.stdout

    @pytest.mark.parametrize("arguments", [[], ["--access-log", "-"]])
    async def test_standard_output(self, here: Path, arguments: list[str]) -> None:
        """Unless told otherwise it is written to standard output, in the common log format."""
        assert re.fullmatch(f"{COMMON}\n", await self.log_of(here, *arguments))

    async def test_file(self, here: Path) -> None:
        """``--access-log`` names a file, to which lines are added."""
        (here / "log").write_text("before\n")
        assert await self.log_of(here, "--access-log", "log") == ""
        assert re.fullmatch(f"before\n{COMMON}\n", (here / "log").read_text())

    async def test_django(self, here: Path) -> None:
        """``--access-log-format django`` gives the lines of ``runserver``."""
        assert re.fullmatch(f"{DJANGO}\n", await self.log_of(here, "--access-log-format", "django"))

    async def test_none(self, here: Path) -> None:
        """With ``-v 0`` there is neither an access log nor an address, nor anything else."""
        with socket.create_server(("127.0.0.1", 0)) as sock:
            number = sock.fileno()
            async with launched(
                "-v", "0", "--fd", str(number), "app:path", directory=here, pass_fds=[number]
            ) as server:
                async with connected(f"http://127.0.0.1:{sock.getsockname()[1]}") as client:
                    await client.fetch("/a?b")
                assert await server.stop() == (0, "", "")


class TestOptions:
    """What changes the answers."""

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [(["-s", "name"], [b"name"]), (["--no-server-name"], []), (["-s", ""], [])],
    )
    async def test_server_name(self, here: Path, arguments: list[str], name: list[bytes]) -> None:
        """``-s`` names the server, ``--no-server-name`` keeps the header away."""
        async with launched("-p", "0", *arguments, "app:path", directory=here) as server:
            async with connected(await server.address()) as client:
                response = await client.fetch("/")
            await server.stop()
        assert response.status == 200
        assert [value for key, value in response.headers if key == b"server"] == name

    async def test_root_path(self, here: Path) -> None:
        """``--root-path`` is what the application sees as its root."""
        async with launched("-p", "0", "--root-path", "/app", "app:path", directory=here) as server:
            async with connected(await server.address()) as client:
                response = await client.fetch("/a")
            await server.stop()
        assert response.body == b"/app|/a"

    @pytest.mark.parametrize(
        ("name", "module"), [("asyncio", b"asyncio."), ("uvloop", b"uvloop"), ("auto", b"uvloop")]
    )
    async def test_loop(self, here: Path, name: str, module: bytes) -> None:
        """``--loop`` chooses the event loop, and each serves."""
        async with launched("-p", "0", "--loop", name, "app:loop", directory=here) as server:
            async with connected(await server.address()) as client:
                response = await client.fetch("/")
            ended = await server.stop()
        assert response.body.startswith(module)
        assert ended.code == 0


class TestEnd:
    """How it ends."""

    @staticmethod
    @asynccontextmanager
    async def ending(
        here: Path, *arguments: str, number: signal.Signals
    ) -> AsyncIterator[tuple[Process, Client]]:
        """A server that was told to end while it answers this client."""
        async with launched("-p0", "-us", *arguments, "app:held", directory=here) as server:
            url = await server.address()
            assert await server.address() == "unix:s"
            async with connected(url) as client:
                await client.send(UPLOAD)
                assert (await client.head()).startswith(b"HTTP/1.1 200 OK\r\n")
                server.signal(number)
                await until(lambda: not (here / "s").exists())  # so it has seen the signal
                yield server, client

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_graceful(self, here: Path, number: signal.Signals) -> None:
        """A signal ends it with 0, once the request that was running is answered."""
        async with self.ending(here, number=number) as (server, client):
            await client.send(b"body")
            assert await client.rest() == b"4\r\nbody\r\n0\r\n\r\n"
            ended = await server.ended()
        assert ended.code == 0
        assert ended.stdout.endswith('"POST / HTTP/1.1" 200 4\n')
        _, _, stops, stopped = ended.stderr.splitlines()  # the addresses are before it
        assert stops.endswith(
            "INFO     Fairway stops: it waits up to 15 s for 1 connections (0 of them WebSockets) "
            "and 1 applications"
        )
        assert re.search(
            r"INFO     Fairway has stopped after \d+\.\d s: nothing was cut off$", stopped
        )

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_second_signal(self, here: Path, number: signal.Signals) -> None:
        """A second signal ends it at once, and the log shows what was cut off."""
        no_limit = ("--graceful-timeout", "0")
        async with self.ending(here, *no_limit, number=signal.SIGTERM) as (server, client):
            server.signal(number)
            assert await client.is_cut()
            ended = await server.ended()
        assert ended.code == 0
        assert re.search(
            r"WARNING  Application for POST / \(\d+\.\d s old\) was still running when the server "
            r"was told to end at once; it was cancelled\. It was waiting here:\n",
            ended.stderr,
        )
        assert "s: 1 applications and 0 more connections were cut off\n" in ended.stderr
        assert "    event = await receive()\n" in ended.stderr

    async def test_hanging_thread(self, here: Path) -> None:
        """A thread of the application that never ends does not keep the process from ending."""
        (here / "hangs.py").write_text(
            "import threading\n"
            "threading.Thread(target=threading.Event().wait).start()\n"
            "from app import path\n"
        )
        code = "import fairway.server.cli as cli; cli.EXIT_TIMEOUT = 0.01; cli.main()"
        async with launched(
            "-p", "0", "hangs:path", directory=here, python=["-P", "-c", code]
        ) as server:
            await server.address()
            ended = await server.stop()
        assert ended.code == 0
        assert ended.stderr.endswith("ERROR    Code in a thread did not end; it was cut off\n")
