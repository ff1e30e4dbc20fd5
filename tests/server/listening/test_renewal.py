"""Certificates that were renewed while the server runs."""

import asyncio
import logging
import os
import pty
import signal
import ssl
import sys
from pathlib import Path

import pytest
from cryptography import x509

from fairway._types import Receive, Scope, Send
from fairway.server.listening.renewal import has_terminal
from tests.server.authority import Authority
from tests.server.conftest import Serve
from tests.server.process import Process, launched, with_application
from tests.server.running import DEADLINE, Client, Logs


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers."""
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"fine"})


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Signs all certificates of a test."""
    return Authority(tmp_path)


async def connect(port: int, context: ssl.SSLContext) -> Client:
    """A connection over TLS."""
    return Client(
        *await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    )


def shown(client: Client) -> str:
    """The name in the certificate that a client was shown."""
    der = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    (name,) = x509.load_der_x509_certificate(der).subject
    return str(name.value)


async def says(process: Process, words: str) -> None:
    """Wait until a process has logged something."""
    while line := await process.line():
        if words in line:
            return
    raise AssertionError(f"It has ended and did not say {words!r}.")


async def leave(*clients: Client) -> None:
    """Close connections."""
    for client in clients:
        client.close()
        await client.writer.wait_closed()


async def test_new_certificate(
    authority: Authority, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """New connections get the new one; one that is open stays, with the old one."""
    path = authority.issue("first", "server")
    running = await serve(app, tls_certificate=str(path))
    old = await connect(running.port, authority.client())
    assert (await old.fetch()).body == b"fine"
    authority.issue("second", "server")
    assert running.server.reload_certificates()
    new = await connect(running.port, authority.client())
    assert (shown(old), shown(new)) == ("first", "second")
    for client in (old, new):
        assert (await client.fetch()).body == b"fine"
    await leave(old, new)


async def test_wrong_certificate(authority: Authority, serve: Serve, logs: Logs) -> None:
    """A file that cannot be used changes nothing, and the log says why in one line."""
    path = authority.issue("first", "server")
    running = await serve(app, tls_certificate=str(path))
    path.unlink()
    assert not running.server.reload_certificates()
    assert logs.take() == [
        (
            f"ERROR The certificate in {path} stays the old one: Cannot read {path}: no such file "
            "or directory."
        )
    ]
    client = await connect(running.port, authority.client())
    assert shown(client) == "first"
    await leave(client)


async def test_each_listener(authority: Authority, serve: Serve, logs: Logs) -> None:
    """Certificates of endpoints are read, too; one that is wrong does not keep others back."""
    paths = [authority.issue("first", name) for name in ("a", "b")]
    running = await serve(
        app,
        host=None,
        port=None,
        endpoints=tuple(f"ssl:0:interface=127.0.0.1:privateKey={path}" for path in paths),
    )
    paths[0].write_text("nonsense")
    authority.issue("second", "b")
    assert not running.server.reload_certificates()
    assert len(logs.take()) == 1
    for address, name in zip(running.server.addresses, ("first", "second"), strict=True):
        client = await connect(int(address.rpartition(":")[2]), authority.client())
        assert shown(client) == name
        await leave(client)


async def test_no_certificate(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Without any there is nothing to do."""
    running = await serve(app)
    with caplog.at_level(logging.INFO, "fairway.server"):
        assert running.server.reload_certificates()
    messages = [r.getMessage() for r in caplog.records if "certificates" in r.getMessage()]
    assert messages == ["There are no certificates to be read again: nothing here is encrypted"]


class TestHangUp:
    """SIGHUP to a process that serves alone."""

    async def test_new_certificate(self, authority: Authority, tmp_path: Path) -> None:
        """Certificates are read again, and an open connection stays."""
        path = authority.issue("first", "server")
        arguments = ("-p", "0", "--tls-certificate", str(path), "app:path")
        async with launched(*arguments, directory=with_application(tmp_path)) as process:
            port = int((await process.address()).rpartition(":")[2])
            old = await connect(port, authority.client())
            assert (await old.fetch()).status == 200
            authority.issue("second", "server")
            process.signal(signal.SIGHUP)
            await says(process, "was read again")
            new = await connect(port, authority.client())
            assert shown(new) == "second"
            assert (await old.fetch()).status == 200
            path.write_text("nonsense")
            process.signal(signal.SIGHUP)
            await says(process, "stays the old one: There is no certificate in")
            newer = await connect(port, authority.client())
            assert shown(newer) == "second"
            await leave(old, new, newer)
            assert (await process.stop()).code == 0

    async def test_no_certificate(self, tmp_path: Path) -> None:
        """Without any, the server goes on."""
        async with launched("-p", "0", "app:path", directory=with_application(tmp_path)) as process:
            await process.address()
            process.signal(signal.SIGHUP)
            await says(process, "There are no certificates")
            assert (await process.stop()).code == 0

    async def test_workers(self, authority: Authority, tmp_path: Path) -> None:
        """With workers it replaces them, and new ones read the files."""
        path = authority.issue("first", "server")
        arguments = ("-w", "1", "-p", "0", "--tls-certificate", str(path), "--proxy-protocol")
        here = with_application(tmp_path)
        async with launched(*arguments, "app:path", directory=here) as process:
            port = int((await process.address()).rpartition(":")[2])

            async def ask() -> str:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"PROXY TCP4 198.51.100.7 192.0.2.1 40000 443\r\n")
                await writer.start_tls(authority.client(), server_hostname="localhost")
                client = Client(reader, writer)
                assert (await client.fetch()).status == 200
                name = shown(client)
                await leave(client)
                return name

            assert await ask() == "first"
            authority.issue("second", "server")
            process.signal(signal.SIGHUP)
            await says(process, "Replaced 1 workers")
            assert await ask() == "second"
            ended = await process.stop()
            assert ended.code == 0
            assert "198.51.100.7" in ended.stdout

    async def test_terminal(self, tmp_path: Path) -> None:
        """When the terminal was closed that the server runs in, it ends, and gracefully."""
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", IN_A_TERMINAL, str(theirs)),
            cwd=with_application(tmp_path),
            start_new_session=True,
            pass_fds=[theirs],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        os.close(theirs)
        assert process.stderr is not None
        try:
            async with asyncio.timeout(DEADLINE):
                async for line in process.stderr:  # which ends with the process
                    if b" serves " in line:
                        break
                else:
                    raise AssertionError("It does not serve.")
        except BaseException:
            process.kill()
            raise
        finally:
            os.close(ours)  # as a window that is closed
            async with asyncio.timeout(DEADLINE):
                await process.communicate()
        assert process.returncode == 0


#: Takes a terminal as the controlling one, and serves.
IN_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
os.close(int(sys.argv[1]))
os.execv(sys.executable, [sys.executable, "-m", "fairway", "-p", "0", "app:path"])
"""


def test_has_terminal() -> None:
    """A process has a controlling terminal or none."""
    assert isinstance(has_terminal(), bool)
