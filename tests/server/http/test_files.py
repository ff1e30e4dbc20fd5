"""Files as parts of responses: ``http.response.pathsend`` and ``http.response.zerocopysend``.

https://asgi.readthedocs.io/en/latest/extensions.html
"""

import asyncio
import contextlib
import os
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.exceptions import ClientDisconnected, WrongState
from fairway.server.application.threads import ThreadPool
from fairway.server.http import files as files_module
from fairway.server.http import http1_writer
from fairway.server.http.files import SMALL, Copier, FileThreads, Part, duplicate, open_path
from fairway.wire.http1 import LocalProtocolError
from tests.server.applications import body, start
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, Logs, until

HERE = Path(__file__).parents[1] / "certificates"

#: Larger than what is read at once, and than what fits into the kernel's buffers.
LARGE = bytes(range(256)) * 40_000
#: Larger than what is read at once.
MEDIUM = LARGE[: SMALL + 1]


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    """Makes files."""

    def make(data: bytes) -> Path:
        path = tmp_path / "file"
        path.write_bytes(data)
        return path

    return make


def is_open(path: Path) -> bool:
    """Whether this process has a file open; not known but on Linux."""
    for descriptor in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):
            if descriptor.readlink() == path:
                return True
    return False


def pathsend(path: object) -> Event:
    """The event that sends a whole file."""
    return {"type": "http.response.pathsend", "path": path}


def sends(*events: Event, errors: list[Exception] | None = None) -> ASGIApplication:
    """Sends these events; keeps the error of one, and then raises it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            for event in events:
                await send(event)
        except Exception as error:
            if errors is not None:
                errors.append(error)
            raise

    return app


def null_refused() -> str:
    """What Python says of a path with a zero byte, each version in other words."""
    with pytest.raises(ValueError, match="null") as caught:
        os.open("/\0", os.O_RDONLY)
    return str(caught.value)


class TestPathsend:
    """A file that is the whole body."""

    @pytest.mark.parametrize("data", [b"", b"abc", MEDIUM, LARGE], ids=len)
    async def test_sent(self, data: bytes, file: Callable[[bytes], Path], serve: Serve) -> None:
        """Its length is added, and the connection goes on."""
        running = await serve(sends(start(200, [(b"a", b"b")]), pathsend(str(file(data)))))
        client = await running.connect()
        for _ in range(2):
            response = await client.fetch()
            assert (response.status, response["a"], response.body) == (200, "b", data)
            assert response["content-length"] == str(len(data))
        await until(lambda: len(running.records) == 2)
        assert [record.size for record in running.records] == [len(data)] * 2

    @pytest.mark.parametrize("size", [3, len(MEDIUM)])
    async def test_head(self, size: int, file: Callable[[bytes], Path], serve: Serve) -> None:
        """HEAD gets none of it."""
        data = LARGE[:size]
        headers = [(b"content-length", b"%d" % size)]
        running = await serve(sends(start(200, headers), pathsend(str(file(data)))))
        client = await running.connect()
        await client.send("HEAD / HTTP/1.1\nHost: a")
        response = await client.response("HEAD")
        assert (response.body, response["content-length"]) == (b"", str(size))
        assert (await client.fetch()).body == data

    async def test_http_1_0(self, file: Callable[[bytes], Path], serve: Serve) -> None:
        """As the length is known, HTTP/1.0 may keep its connection."""
        running = await serve(sends(start(), pathsend(str(file(MEDIUM)))))
        client = await running.connect()
        await client.send("GET / HTTP/1.0\nConnection: keep-alive")
        response = await client.response()
        assert (response.body, response["connection"]) == (MEDIUM, "keep-alive")

    async def test_behind_the_head(self, file: Callable[[bytes], Path], serve: Serve) -> None:
        """A head that was sent before without a length is followed by one chunk."""
        path = str(file(MEDIUM))

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            stream = send.__self__  # type: ignore[attr-defined]  # it is our stream's
            await until(lambda: stream.response_started)
            await send(pathsend(path))

        running = await serve(app)
        client = await running.connect()
        response = await client.fetch()
        assert (response.body, response["transfer-encoding"]) == (MEDIUM, "chunked")
        assert (await client.fetch()).body == MEDIUM

    async def test_tls(self, file: Callable[[bytes], Path], serve: Serve) -> None:
        """Encrypted it is read and sent like any other body."""
        running = await serve(
            sends(start(), pathsend(str(file(LARGE)))),
            tls_certificate=str(HERE / "whole.pem"),
            host="localhost",
        )
        trusting = ssl.create_default_context(cafile=str(HERE / "root.pem"))
        async with httpx.AsyncClient(verify=trusting, timeout=DEADLINE) as client:
            response = await client.get(f"https://localhost:{running.port}/")
            assert response.content == LARGE
            assert response.headers["content-length"] == str(len(LARGE))
            response = await client.head(f"https://localhost:{running.port}/")
            assert response.content == b""

    async def test_without_sendfile(
        self, file: Callable[[bytes], Path], serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So it is where the system cannot copy."""
        monkeypatch.setattr(http1_writer, "SENDFILE", False)
        running = await serve(sends(start(), pathsend(str(file(LARGE)))))
        client = await running.connect()
        assert (await client.fetch()).body == LARGE

    async def test_slow_reader(self, file: Callable[[bytes], Path], serve: Serve) -> None:
        """A client that reads late gets all of it; meanwhile the server serves others."""
        running = await serve(sends(start(), pathsend(str(file(LARGE)))))
        slow = await running.connect(reads=False)
        await slow.get()
        await until(lambda: any(one.copied for one in running.connections))
        other = await running.connect()
        assert (await other.fetch()).body == LARGE
        slow.go_on_reading()
        assert (await slow.response()).body == LARGE

    @pytest.mark.parametrize("end", ["abort", "close"])
    async def test_client_goes(self, end: str, file: Callable[[bytes], Path], serve: Serve) -> None:
        """One that goes in the middle ends it, and leaves no descriptor behind."""
        errors: list[Exception] = []
        path = file(LARGE)
        running = await serve(sends(start(), pathsend(str(path)), errors=errors))
        client = await running.connect(reads=False)
        await client.get()
        await until(lambda: any(one.copied for one in running.connections))
        getattr(client, end)()
        await until(lambda: errors)
        assert type(errors[0]) is ClientDisconnected
        await until(lambda: not running.connections)
        await until(lambda: not is_open(path))

    async def test_timeout(self, file: Callable[[bytes], Path], serve: Serve, logs: Logs) -> None:
        """One that is not done in time is cut off."""
        running = await serve(sends(start(), pathsend(str(file(LARGE)))), http_timeout=0.3)
        client = await running.connect(reads=False)
        await client.get()
        await until(lambda: logs.records)
        await until(lambda: not running.connections)
        assert len(logs.take()) == 1

    async def test_slow_loris(
        self,
        file: Callable[[bytes], Path],
        serve: Serve,
        logs: Logs,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """One that does not read is cut off as with other bodies."""
        monkeypatch.setattr("fairway.server.http.progress.WINDOW", 0.2)
        running = await serve(sends(start(), pathsend(str(file(LARGE)))))
        client = await running.connect(reads=False)
        await client.get()
        await until(lambda: logs.records)
        await until(lambda: not running.connections)
        (line,) = logs.take()
        assert line.startswith("WARNING The limit min_download_rate (100) refused ")

    async def test_early_answer(self, file: Callable[[bytes], Path], serve: Serve) -> None:
        """Before the end of the upload it says that the connection ends."""
        running = await serve(sends(start(), pathsend(str(file(MEDIUM)))))
        client = await running.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        response = await client.response("POST")
        assert (response.body, response["connection"]) == (MEDIUM, "close")

    @pytest.mark.parametrize(
        ("path", "kind", "message"),
        [
            (None, TypeError, "http.response.pathsend needs a path that is a str, not None."),
            (b"/a", TypeError, "http.response.pathsend needs a path that is a str, not b'/a'."),
            ("a/b", ValueError, "http.response.pathsend needs an absolute path, not 'a/b'."),
            (
                "/absent",
                ValueError,
                "http.response.pathsend cannot send '/absent': No such file or directory.",
            ),
            (
                "/dev",
                ValueError,
                "http.response.pathsend cannot send '/dev': it is no regular file.",
            ),
            ("/\0", ValueError, f"http.response.pathsend cannot send '/\\x00': {null_refused()}."),
        ],
    )  # fmt: skip
    async def test_no_file(
        self, path: Any, kind: type[Exception], message: str, serve: Serve, logs: Logs
    ) -> None:
        """What is no file that can be sent raises, and another answer can still be given."""
        errors: list[Exception] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            try:
                await send(pathsend(path))
            except Exception as error:
                errors.append(error)
                if scope["path"] == "/careful":
                    await send(body(b"none"))
                else:
                    raise

        running = await serve(app)
        client = await running.connect()
        assert (await client.fetch("/careful")).body == b"none"
        assert (await client.fetch("/")).status == 500
        assert [type(error) for error in errors] == [kind, kind]
        assert str(errors[0]) == message
        assert len(logs.take()) == 1

    async def test_length(self, file: Callable[[bytes], Path], serve: Serve, logs: Logs) -> None:
        """A file of another length than was declared is a failure."""
        headers = [(b"content-length", b"5")]
        running = await serve(sends(start(200, headers), pathsend(str(file(MEDIUM)))))
        client = await running.connect()
        assert (await client.fetch()).status == 500
        (message,) = logs.take()
        assert "declares a Content-Length of 5 bytes" in message

    async def test_mixed(self, file: Callable[[bytes], Path], serve: Serve, logs: Logs) -> None:
        """It cannot follow another part of the body."""
        errors: list[Exception] = []
        events = start(), body(b"a", more=True), pathsend(str(file(b"abc")))
        running = await serve(sends(*events, errors=errors))
        client = await running.connect()
        await client.get()
        assert await client.is_cut()
        assert type(errors[0]) is WrongState
        assert str(errors[0]) == (
            "Cannot send 'http.response.pathsend': "
            "it has to be the whole body, of which a part was sent."
        )
        assert len(logs.take()) == 1

    async def test_meanwhile(self, file: Callable[[bytes], Path], serve: Serve, logs: Logs) -> None:
        """Nothing else can be sent before it is done."""
        errors: list[str] = []
        path = str(file(LARGE))

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            sending = asyncio.ensure_future(send(pathsend(path)))
            await asyncio.sleep(0)
            try:
                await send(body(b"x"))
            except WrongState as error:
                errors.append(str(error))
            await sending

        running = await serve(app)
        client = await running.connect()
        assert (await client.fetch()).body == LARGE
        assert errors == [
            "Cannot send 'http.response.body': a file is being sent; await that first."
        ]


class TestZerocopysend:
    """Parts of files that the application has opened."""

    async def test_parts(self, file: Callable[[bytes], Path], serve: Serve) -> None:
        """They are mixed with other parts; without an offset, the file's position moves."""
        with file(LARGE).open("rb") as opened:
            kind = "http.response.zerocopysend"
            running = await serve(
                sends(
                    start(),
                    {"type": kind, "file": opened, "count": 5, "more_body": True},
                    body(b"-", more=True),
                    {"type": kind, "file": opened, "count": len(MEDIUM), "more_body": True},
                    {"type": kind, "file": opened, "offset": 2, "count": 3, "more_body": True},
                    {"type": kind, "file": opened.fileno(), "offset": len(LARGE) - 100_000},
                )
            )
            client = await running.connect()
            response = await client.fetch()
            await until(lambda: not running.context.tasks)
            position = opened.tell()
        whole = LARGE[:5] + b"-" + LARGE[5 : 5 + len(MEDIUM)] + LARGE[2:5] + LARGE[-100_000:]
        assert response.body == whole
        assert position == 5 + len(MEDIUM)
        await until(lambda: running.records)
        assert running.records[0].size == len(whole)

    async def test_with_a_length(self, file: Callable[[bytes], Path], serve: Serve) -> None:
        """A declared length is kept."""
        with file(LARGE).open("rb") as opened:
            length = [(b"content-length", b"%d" % len(LARGE))]
            running = await serve(
                sends(start(200, length), {"type": "http.response.zerocopysend", "file": opened})
            )
            client = await running.connect()
            response = await client.fetch()
            await until(lambda: not running.context.tasks)
        assert response.body == LARGE
        assert "transfer-encoding" not in response

    @pytest.mark.parametrize(
        ("event", "kind", "message"),
        [
            ({}, TypeError, "needs a file that is open and has a descriptor, not None."),
            ({"file": "a"}, TypeError, "needs a file that is open and has a descriptor, not 'a'."),
            ({"file": 99_999}, TypeError, "needs a file that is open and has a descriptor, not 99"),
            ({"offset": -1}, TypeError, "needs offset to be a number of bytes, not -1."),
            ({"count": "3"}, TypeError, "needs count to be a number of bytes, not '3'."),
            ({"offset": 4}, ValueError, ": it has only 3 bytes."),
            ({"offset": 1, "count": 3}, ValueError, ": it has only 3 bytes."),
        ],
    )
    def test_wrong(
        self, event: Event, kind: type[Exception], message: str, file: Callable[[bytes], Path]
    ) -> None:
        """What cannot be sent is named."""
        with file(b"abc").open("rb") as opened:
            found = {"file": opened, **event} if event else event
            with pytest.raises(kind, match=re.escape(message)):
                duplicate({"type": "http.response.zerocopysend", **found})

    def test_pipe(self) -> None:
        """A pipe is no file: nobody knows its length."""
        read, write = os.pipe()
        try:
            with pytest.raises(ValueError, match="it is no regular file"):
                duplicate({"type": "http.response.zerocopysend", "file": read, "offset": 0})
        finally:
            os.close(read)
            os.close(write)


class TestPart:
    """What is sent of a file."""

    def test_becomes_shorter(self, file: Callable[[bytes], Path]) -> None:
        """A file that becomes shorter meanwhile cannot keep its promise."""
        path = file(MEDIUM)
        part = open_path(str(path))
        try:
            os.truncate(path, 10)
            with pytest.raises(LocalProtocolError, match="became shorter while 65537 bytes"):
                part.read(0, part.count)
        finally:
            part.close()
            part.close()

    async def test_becomes_shorter_while_it_is_sent(
        self,
        file: Callable[[bytes], Path],
        serve: Serve,
        logs: Logs,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Its response is cut off."""
        path = file(LARGE)
        opened = files_module.open_path

        def shorter(name: object) -> Part:
            part = opened(name)
            os.truncate(path, 100)
            return part

        monkeypatch.setattr(files_module, "open_path", shorter)
        running = await serve(sends(start(), pathsend(str(path))))
        client = await running.connect()
        await client.get()
        assert await client.is_cut()
        (line,) = logs.take()
        assert "The file became shorter while 10240000 bytes of it were being sent." in line


class TestThreads:
    """What touches files does not run on the event loop."""

    @pytest.fixture
    async def threads(self) -> AsyncIterator[FileThreads]:
        """Some threads."""
        pool = ThreadPool(2)
        yield FileThreads(asyncio.get_running_loop(), pool)
        pool.close()

    async def test_result(self, threads: FileThreads) -> None:
        """What a function returns or raises is handed on."""
        assert await threads.call(lambda: 3) == 3
        with pytest.raises(ZeroDivisionError):
            await threads.call(lambda: 1 // 0)

    async def test_late(self, threads: FileThreads) -> None:
        """A result that nobody waits for any more is given away."""
        go_on = asyncio.Event()
        loop = asyncio.get_running_loop()
        found: list[int] = []
        gate = threading.Event()

        def work() -> int:
            loop.call_soon_threadsafe(go_on.set)
            gate.wait(DEADLINE)
            return 7

        task = asyncio.ensure_future(threads.call(work, found.append))
        await go_on.wait()
        task.cancel()
        await asyncio.wait([task])
        gate.set()
        await until(lambda: found)
        assert found == [7]

    async def test_stopped_copier(
        self, threads: FileThreads, file: Callable[[bytes], Path]
    ) -> None:
        """A copier that is stopped while it waits for the socket closes what it has opened."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        part = open_path(str(file(LARGE)))
        try:
            ours.setblocking(False)
            copier = Copier(loop, threads, ours.fileno(), part)
            sizes: list[int] = []
            running = asyncio.ensure_future(copier.run(sizes.append))
            await until(lambda: copier._writable is not None)
            assert 0 < sum(sizes) < len(LARGE)
            copier.stop()
            with pytest.raises(ClientDisconnected):
                await running
            copier.stop()
        finally:
            part.close()
            ours.close()
            theirs.close()
