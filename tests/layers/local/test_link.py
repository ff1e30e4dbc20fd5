"""Links: one connection between two processes, seen from either end."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

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
    await mesh.start()
    link = Publisher(mesh, here, "def")
    await link.open()
    ((say, body),) = FrameReader().feed(await loop.sock_recv(there, 100))
    assert (say, *read_numbered(body)) == (Say.HELLO, VERSION, mesh.name)
    there.close()
    await link.ended
    assert link.ready.done()
    assert not link.publish("room", b"x")
    await mesh.stop()


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
    await link.open()
    there.sendall(data)
    await link.ended
    there.close()
    (error,) = caplog.messages
    assert error == (
        f"A process in {mesh.directory.path} does not speak this version's language ({why}); it is "
        "ignored. Run the same version of fairway everywhere."
    )


@pytest.mark.parametrize("new_event_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_gone_at_once(mesh: Mesh, new_event_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """The socket is closed, too, when the other process leaves while the link is being opened."""

    async def open_link() -> None:
        link = Publisher(mesh, here, "def")
        await link.open()
        await link.ended

    here, there = socket.socketpair(socket.AF_UNIX)
    here.setblocking(False)
    there.close()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(open_link())
    assert here.fileno() == -1


async def test_not_taken(mesh: Mesh) -> None:
    """The socket is closed, too, when the event loop does not take it."""
    here, there = socket.socketpair(socket.AF_UNIX)
    here.setblocking(False)
    opening = asyncio.ensure_future(Subscriber(mesh, here).open())
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    assert here.fileno() == -1
    there.close()
