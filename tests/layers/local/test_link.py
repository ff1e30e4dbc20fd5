"""Links: one connection between two processes, seen from either end."""

import asyncio
import socket
from pathlib import Path

import pytest

from fairway.layers.local.directory import Directory
from fairway.layers.local.frames import FrameReader, Say, numbered, read_numbered
from fairway.layers.local.link import VERSION, Publisher, Subscriber
from fairway.layers.local.mesh import Mesh


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    return Mesh(Directory(tmp_path), lambda topic, payload: None, lambda: None, lambda: None)


async def test_publisher_says_who_it_is(mesh: Mesh) -> None:
    """The first frame holds the version of the format and the name of the process."""
    here, there = socket.socketpair(socket.AF_UNIX)
    here.setblocking(False)
    there.setblocking(False)
    loop = asyncio.get_running_loop()
    mesh.name = "abc"
    link = Publisher(mesh, here, "def")
    await loop.create_unix_connection(lambda: link, sock=here)
    ((say, body),) = FrameReader().feed(await loop.sock_recv(there, 100))
    assert (say, *read_numbered(body)) == (Say.HELLO, VERSION, "abc")
    there.close()
    await link.ended
    assert link.ready.done()
    assert not link.publish("room", b"x")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (numbered(Say.HELLO, VERSION + 1, "abc"), f"version {VERSION + 1} instead of {VERSION}"),
        (b"GET / HTTP/1.1\r\n\r\n", "A frame of 1195725856 bytes"),
    ],
)
async def test_another_language(
    mesh: Mesh, data: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A process of a version that speaks otherwise is ignored, and the log says what to do."""
    here, there = socket.socketpair(socket.AF_UNIX)
    here.setblocking(False)
    link = Subscriber(mesh, here)
    await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=here)
    there.sendall(data)
    await link.ended
    there.close()
    (error,) = caplog.messages
    assert error == (
        f"A process in {mesh.directory.path} does not speak this version's language ({why}); it is "
        "ignored. Run the same version of fairway everywhere."
    )
