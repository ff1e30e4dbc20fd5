"""The door of a process, from both sides."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairway.layers.local import directory as directory_module
from fairway.layers.local.directory import Directory
from fairway.layers.local.door import Door, knock

#: Seconds within which something happens, however busy the machine is.
PATIENCE = 60.0


class Host:
    """Somebody behind a door, who keeps whom they let in, and how often it was made again."""

    def __init__(self, directory: Directory) -> None:
        self.guests: asyncio.Queue[socket.socket] = asyncio.Queue()
        self.returns = 0
        self.door = Door(directory, self.guests.put_nowait, self._count)

    def _count(self) -> None:
        self.returns += 1


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "mesh")


@pytest.fixture
async def host(directory: Directory) -> AsyncIterator[Host]:
    """Whose door is open."""
    host = Host(directory)
    host.door.open()
    yield host
    host.door.close()


async def test_who_knocks_is_let_in(host: Host, directory: Directory) -> None:
    """Both have a connection then, which nothing blocks on."""
    (path,) = directory.sockets()
    assert path.stem == host.door.name
    with await knock(directory, path, PATIENCE) as visitor:
        with await asyncio.wait_for(host.guests.get(), PATIENCE) as guest:
            assert [sock.getblocking() for sock in (visitor, guest)] == [False, False]
            guest.send(b"welcome")
        assert await asyncio.get_running_loop().sock_recv(visitor, 100) == b"welcome"


async def test_stranger(
    host: Host,
    directory: Directory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who belongs to another user is neither let in nor spoken to."""
    monkeypatch.setattr(directory_module, "peer_uid", lambda connection: 4_000_000)
    (path,) = directory.sockets()
    with pytest.raises(PermissionError, match="it belongs to another user"):
        await knock(directory, path, PATIENCE)
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.setblocking(False)
        visitor.connect(str(path))
        assert await asyncio.get_running_loop().sock_recv(visitor, 1) == b""
    assert host.guests.empty()
    assert {message.partition(" connected")[0] for message in caplog.messages} == {
        "A process of user 4000000"
    }


async def test_nobody_answers(directory: Directory) -> None:
    """Who accepts nobody is not waited for any longer than that."""
    directory.prepare()
    path = directory.path / "deaf.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(path))
        listener.listen(0)
        client.connect(str(path))  # and its backlog is full
        with pytest.raises(TimeoutError, match="it accepts no connection"):
            await knock(directory, path, 0.0)


async def test_closed(host: Host, directory: Directory) -> None:
    """A door that was closed is not to be found, and opens under another name."""
    name = host.door.name
    (path,) = directory.sockets()
    host.door.close()
    assert list(directory.sockets()) == []
    with pytest.raises(FileNotFoundError):
        await knock(directory, path, PATIENCE)
    host.door.open()
    assert host.door.name != name


async def test_removed(host: Host, directory: Directory, caplog: pytest.LogCaptureFixture) -> None:
    """What was removed is made again under the same name, and said once."""
    host.door.look_after()
    name = host.door.name
    shutil.rmtree(directory.path)
    host.door.look_after()
    host.door.look_after()
    assert [path.stem for path in directory.sockets()] == [host.door.name] == [name]
    assert host.returns == 1
    assert caplog.messages == [
        (
            f"The directory {directory.path} of the local channel layer was removed while it was "
            "in use, and made again."
        )
    ]


async def test_cannot_be_made_again(
    host: Host, directory: Directory, caplog: pytest.LogCaptureFixture
) -> None:
    """Where that is impossible, it is said, and tried again the next time."""
    shutil.rmtree(directory.path)
    directory.path.touch()
    host.door.look_after()
    (error,) = caplog.messages
    assert error.endswith("Processes that start now do not find this one.")
    directory.path.unlink()
    host.door.look_after()
    assert host.returns == 1
    assert len(list(directory.sockets())) == 1


async def test_closed_where_none_can_be(host: Host, directory: Directory) -> None:
    """A door whose directory has become something else is closed all the same."""
    shutil.rmtree(directory.path)
    directory.path.touch()
    host.door.close()
    assert directory.path.is_file()
