"""Fairway in Gunicorn's worker processes, with a real Gunicorn."""

import asyncio
import contextlib
import os
import re
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from gunicorn.config import Config as GunicornConfig
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from fairway.server import gunicorn as gunicorn_module
from fairway.server.gunicorn import FairwayWorker
from tests.server.process import Process, connected, launched
from tests.server.running import until

CERTIFICATES = Path(__file__).parent / "certificates"

APPLICATION = """
import os, sys, time

VERSION = 1
open(f"loaded-{os.getpid()}", "w").close()

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("There is none.")
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": event["text"]})
        return
    if scope["path"] == "/slow":
        open("begun", "w").close()
        await receive()
    if scope["path"] == "/hang":
        time.sleep(3600)
    client = (scope["client"] or ("",))[0]
    body = f"{os.getpid()} {VERSION} {scope['scheme']} {client}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""

_LISTENING = re.compile(r"Listening at: (\S+)")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The working directory of the processes."""
    (tmp_path / "site.py").write_text("")
    (tmp_path / "mysite.py").write_text(APPLICATION)
    return tmp_path.resolve()


@contextlib.asynccontextmanager
async def gunicorn(
    here: Path, *arguments: str, application: str = "mysite", **environment: str
) -> AsyncIterator[Process]:
    """Gunicorn with our worker; its configuration is only what is said here."""
    async with launched(
        *(
            "-k",
            "fairway.server.gunicorn.FairwayWorker",
            "-b",
            "127.0.0.1:0",
            "--no-control-socket",
        ),
        *(*arguments, application),
        directory=here,
        python=["-m", "gunicorn"],
        environment={"PYTHONWARNINGS": "default", **environment},
    ) as process:
        yield process


async def said(process: Process, pattern: str) -> re.Match[str]:
    """The next line of the log that matches."""
    lines = []
    while line := await process.line():
        lines.append(line)
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"It has ended and never said {pattern!r}, but: {''.join(lines)}")


async def address_of(process: Process) -> str:
    """Where it listens."""
    return (await said(process, _LISTENING.pattern))[1]


async def answer(address: str, path: str = "/", *headers: str) -> list[str]:
    """The words of an answer: process, version, scheme, client."""
    async with connected(address) as client:
        return (await client.fetch(path, *headers)).body.decode().split(" ")


async def test_serves(here: Path) -> None:
    """Pages and sockets, from each of its workers; SIGTERM ends them gracefully."""
    async with gunicorn(here, "-w", "2") as process:
        address = await address_of(process)
        # Just forked, a worker has the handlers of Gunicorn's own process, and a signal is lost.
        await until(lambda: len(list(here.glob("loaded-*"))) == 2)
        assert (await answer(address))[1:] == ["1", "http", "127.0.0.1"]
        async with connect(address.replace("http", "ws")) as socket:
            await socket.send("Ahoy")
            assert await socket.recv() == "Ahoy"
            async with connected(address) as client:
                await client.send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
                await until((here / "begun").exists)
                process.signal(signal.SIGTERM)
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1012
                await client.send(b"ok")
                assert (await client.response()).status == 200
        ended = await process.ended()
    assert ended.code == 0
    assert re.search(r"\[INFO\] Worker \d+ has stopped after .*: nothing was cut off", ended.stderr)


async def test_reload(here: Path) -> None:
    """SIGHUP brings new code, and refuses nobody."""
    async with gunicorn(here, "-w", "1") as process:
        address = await address_of(process)
        first = (await answer(address))[0]
        (here / "mysite.py").write_text(APPLICATION.replace("VERSION = 1", "VERSION = 2"))
        process.signal(signal.SIGHUP)
        while (await answer(address))[1] != "2":
            pass
        assert (await answer(address))[0] != first
        assert (await process.stop()).code == 0


async def test_max_requests(here: Path) -> None:
    """A worker that has had its requests is replaced."""
    async with gunicorn(here, "-w", "1", "--max-requests", "3") as process:
        address = await address_of(process)
        first = (await answer(address))[0]
        while (await answer(address))[0] == first:
            pass
        found = await said(
            process,
            r"Worker (\d+) is to be replaced: it has served \d+ requests \(max_requests: 3\)",
        )
        assert found[1] == first
        await process.stop()


async def test_hang(here: Path) -> None:
    """A worker that hangs is ended by Gunicorn, and its stack is in the log."""
    async with gunicorn(here, "-w", "1", "--timeout", "2") as process:
        address = await address_of(process)
        first = (await answer(address))[0]
        async with connected(address) as client:
            await client.get("/hang")
            await said(process, rf"WORKER TIMEOUT \(pid:{first}\)")
            await said(process, r'  File ".*mysite\.py", line \d+ in application')
        assert (await answer(address))[0] != first
        await process.stop()


async def test_quick_end(here: Path) -> None:
    """SIGINT ends at once what is still running."""
    async with gunicorn(here, "-w", "1", "--graceful-timeout", "100") as process:
        address = await address_of(process)
        async with connected(address) as client:
            await client.send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
            await until((here / "begun").exists)
            process.signal(signal.SIGINT)
            assert (await client.response()).status == 503
        ended = await process.ended()
    assert "was still running when the server was told to end at once" in ended.stderr


async def test_tls(here: Path) -> None:
    """Gunicorn's certificate is used."""
    certificate = ("--certfile", str(CERTIFICATES / "whole.pem"))
    key = ("--keyfile", str(CERTIFICATES / "key.pem"))
    async with gunicorn(here, *certificate, *key) as process:
        url = urlsplit(await address_of(process))
        assert url.scheme == "https"
        context = ssl.create_default_context(cafile=str(CERTIFICATES / "root.pem"))
        context.check_hostname = False
        reader, writer = await asyncio.open_connection(url.hostname, url.port, ssl=context)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b" 1 https 127.0.0.1" in await reader.read()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        await process.stop()


async def test_forwarded(here: Path) -> None:
    """Whom Gunicorn believes, we believe."""
    headers = ("X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https")
    async with gunicorn(here) as process:
        assert (await answer(await address_of(process), "/", *headers))[3] == "127.0.0.1"
        await process.stop()
    async with gunicorn(here, "--forwarded-allow-ips", "127.0.0.1,10.0.0.1") as process:
        found = await answer(await address_of(process), "/", *headers)
        assert found[2:] == ["https", "203.0.113.7"]
        await process.stop()


async def test_access_log(here: Path) -> None:
    """Our lines are in Gunicorn's access log."""
    async with gunicorn(here, "--access-logfile", "access.log") as process:
        await answer(await address_of(process), "/a")
        await process.stop()
    assert re.fullmatch(
        r'127\.0\.0\.1 - - \[[^]]+\] "GET /a HTTP/1\.1" 200 \d+\n',
        (here / "access.log").read_text(),
    )


async def test_metrics(here: Path) -> None:
    """An address of their own is what several processes cannot have together."""
    configured = "from django.conf import settings\nsettings.configure(FAIRWAY={})\n" + APPLICATION
    configured = configured.replace("{}", '{"metrics": "127.0.0.1:0"}', 1)
    (here / "mysite.py").write_text(configured)
    async with gunicorn(here) as process:
        ended = await process.ended()
    assert ended.code == 3
    assert "In the setting FAIRWAY: 'metrics' names one address" in ended.stderr


async def test_settings(here: Path) -> None:
    """The project's setting FAIRWAY counts; what is Gunicorn's business is refused there."""
    configured = "from django.conf import settings\nsettings.configure(FAIRWAY={})\n" + APPLICATION
    (here / "mysite.py").write_text(configured.replace("{}", '{"server_name": "ours"}', 1))
    async with gunicorn(here) as process:
        async with connected(await address_of(process)) as client:
            assert (await client.fetch("/"))["server"] == "ours"
        await process.stop()
    (here / "mysite.py").write_text(configured.replace("{}", '{"workers": 5}', 1))
    async with gunicorn(here) as process:
        ended = await process.ended()
    assert ended.code == 3
    assert (
        "In the setting FAIRWAY: 'workers' is Gunicorn's to decide. Say it there." in ended.stderr
    )


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def application(environ, start_response): pass", "is not an ASGI application"),
        (
            (
                "async def application(scope, receive, send):\n"
                "    await receive()\n"
                "    await send({'type': 'lifespan.startup.failed', 'message': 'No database.'})\n"
            ),
            "The application cannot start: No database.",
        ),
    ],
)
async def test_cannot_start(here: Path, code: str, message: str) -> None:
    """What cannot serve ends Gunicorn, too, with the reason in its log."""
    (here / "mysite.py").write_text(code)
    async with gunicorn(here) as process:
        ended = await process.ended()
    assert ended.code == 3
    assert message in ended.stderr


async def test_orphan(here: Path) -> None:
    """A worker whose Gunicorn was killed ends by itself."""
    async with gunicorn(here, "-w", "1") as process:
        pid = int((await answer(await address_of(process)))[0])
        await process.kill()
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.kill(pid, 0)
                await asyncio.sleep(0.01)


class TestConfig:
    """Which of Gunicorn's settings become which of ours."""

    @staticmethod
    def config(monkeypatch: pytest.MonkeyPatch, ours: dict[str, Any], **theirs: Any) -> Any:
        """That of a worker of a Gunicorn and a project with these settings."""
        monkeypatch.setattr(gunicorn_module, "project_options", lambda: ours)
        monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
        worker = FairwayWorker.__new__(FairwayWorker)
        worker.cfg = GunicornConfig()
        for name, value in theirs.items():
            worker.cfg.set(name, value)
        return worker._config()

    def test_defaults(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What only is Gunicorn's default counts for nothing."""
        config = self.config(monkeypatch, {"keep_alive_timeout": 5.0})
        assert (config.keep_alive_timeout, config.max_request_line) == (5.0, 8192)
        assert (config.graceful_timeout, config.proxy_headers) == (15.0, False)

    def test_counterparts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was said to Gunicorn wins."""
        config = self.config(
            monkeypatch,
            {"keep_alive_timeout": 5.0, "threads": 3},
            keepalive=9,
            limit_request_line=1000,
            limit_request_fields=50,
            threads=7,
            backlog=64,
        )
        assert config.keep_alive_timeout == 9.0
        assert (config.max_request_line, config.max_header_count) == (1000, 50)
        assert (config.threads, config.backlog) == (7, 64)

    @pytest.mark.parametrize(
        ("ours", "theirs", "seconds"),
        [
            ({"graceful_timeout": 60.0}, {}, 24.0),
            ({"graceful_timeout": 0}, {}, 24.0),
            ({"graceful_timeout": 5.0}, {}, 5.0),
            ({"graceful_timeout": 5.0}, {"graceful_timeout": 100}, 80.0),
        ],
    )
    def test_graceful_timeout(
        self,
        monkeypatch: pytest.MonkeyPatch,
        ours: dict[str, Any],
        theirs: dict[str, Any],
        seconds: float,
    ) -> None:
        """The drain ends before Gunicorn kills the worker."""
        assert self.config(monkeypatch, ours, **theirs).graceful_timeout == seconds

    def test_forwarded_allow_ips(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Addresses whose headers Gunicorn believes switch proxy headers on."""
        config = self.config(monkeypatch, {}, forwarded_allow_ips="10.0.0.1, 10.0.0.2")
        assert config.proxy_headers
        assert config.trusted_proxies == ("10.0.0.1", "10.0.0.2")
