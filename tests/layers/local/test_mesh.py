"""Mesh: who wants which topic, among the processes of a machine."""

import asyncio
import concurrent.futures
import contextlib
import gc
import os
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairway.layers.local import mesh as module
from fairway.layers.local.directory import Directory
from fairway.layers.local.link import Subscriber
from fairway.layers.local.mesh import Mesh


class Process(Mesh):
    """One of several in this process, which keeps what it got."""

    def __init__(self, path: Path) -> None:
        self.got: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.changes = 0
        super().__init__(Directory(path), self.keep, lambda: None, self.count)

    def keep(self, topic: str, payload: bytes) -> None:
        self.got.put_nowait((topic, payload))

    def count(self) -> None:
        self.changes += 1

    async def want(self, topic: str) -> None:
        confirmed: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.subscribe(topic, confirmed)
        await asyncio.wrap_future(confirmed)


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[list[Process]]:
    found = [Process(tmp_path / "mesh") for _ in range(3)]
    yield found
    for process in found:
        await process.stop()


async def test_only_to_those_who_want_it(processes: list[Process]) -> None:
    """A payload goes to the processes that want its topic, to nobody else."""
    first, second, third = processes
    await second.want("room")
    await third.want("other")
    await first.start()
    assert [first.publish(topic, b"x") for topic in ("room", "other", "nobody")] == [1, 1, 0]
    assert await second.got.get() == ("room", b"x")
    assert await third.got.get() == ("other", b"x")


async def test_certain(processes: list[Process]) -> None:
    """When a topic is confirmed, every process that is there sends what it publishes."""
    first, second, third = processes
    for process in processes:
        await process.start()
    await third.want("room")
    assert [process.publish("room", b"x") for process in (first, second)] == [1, 1]


async def test_all_start_at_once(processes: list[Process]) -> None:
    """However processes meet, each learns what the others want."""
    await asyncio.gather(*(process.want("room") for process in processes))
    assert [process.publish("room", b"x") for process in processes] == [2, 2, 2]


async def test_no_more(processes: list[Process]) -> None:
    """What is no longer wanted is no longer sent, and so it is when a process leaves."""
    first, second, third = processes
    await second.want("room")
    await third.want("room")
    await first.start()
    second.unsubscribe("room")
    await second.want("other")  # confirmed in order
    assert first.publish("room", b"x") == 1
    await third.stop()
    while first.publish("room", b"x"):  # noqa: ASYNC110  its socket says when, to nobody else
        await asyncio.sleep(0)
    assert first.alone is False


async def test_changes(processes: list[Process]) -> None:
    """A process can have all the others look again at what they share."""
    first, second, _ = processes
    await first.want("room")
    await second.start()
    before = second.changes
    confirmed: concurrent.futures.Future[None] = concurrent.futures.Future()
    first.tell_change(confirmed)
    await asyncio.wrap_future(confirmed)
    assert second.changes == before + 1


async def test_nobody_wants_to_stay(
    processes: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that wants nothing leaves some time after it last published."""
    monkeypatch.setattr(module, "LINGER", 0.01)
    first, second, _ = processes
    await second.want("room")
    await first.start()
    assert first.publish("room", b"x") == 1
    while first.started:  # noqa: ASYNC110  nothing tells of it
        await asyncio.sleep(0.001)
    assert second.started
    await first.start()
    assert first.publish("room", b"x") == 1


async def test_stale_socket(processes: list[Process], tmp_path: Path) -> None:
    """The socket of a killed process is removed by whoever meets it."""
    directory = Directory(tmp_path / "mesh")
    directory.prepare()
    listener, path = directory.new_socket()
    listener.close()
    await processes[0].start()
    assert not path.exists()


async def test_silent_process(
    processes: list[Process],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A process that does not answer is gone on without, from then on, and named in the log."""
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    directory = Directory(tmp_path / "mesh")
    directory.prepare()
    listener, path = directory.new_socket()  # and nobody accepts
    await processes[0].want("room")
    assert caplog.messages == [
        "Other processes did not confirm within 0.05 s that they know the topics of this one "  # noqa: ISC004
        f"({path.stem}); what they publish now may be missed. They are not waited for until they "
        "answer."
    ]
    monkeypatch.setattr(module, "PATIENCE", 3600)
    await asyncio.wait_for(processes[0].want("another"), 60)
    listener.close()
    directory.remove(path)


async def test_many_at_once(processes: list[Process]) -> None:
    """However many topics are wanted at once, all are confirmed."""
    first, second, _ = processes
    await second.start()
    await asyncio.gather(*(first.want(f"user-{number}") for number in range(500)))
    assert second.publish("user-499", b"x") == 1


async def test_removed_directory(
    processes: list[Process],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Processes that start after the directory was removed find those that were there before."""
    monkeypatch.setattr(module, "LOOK_AFTER", 0.01)
    looked: list[str] = []
    first, second, third = processes
    first.look_after = lambda: looked.append("first")
    await first.want("room")
    await second.want("room")
    shutil.rmtree(tmp_path / "mesh")
    while len(list((tmp_path / "mesh").glob("*.sock"))) < 2:  # noqa: ASYNC110  nothing tells of it
        await asyncio.sleep(0.001)
    await third.start()
    assert third.publish("room", b"x") == 2
    assert "first" in looked
    assert [message.partition(" was")[0] for message in caplog.messages] == [
        f"The directory {tmp_path / 'mesh'} of the local channel layer"
    ] * 2


def descriptors() -> int:
    """How many this process has open; what was dropped without being closed is a warning."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


async def test_leaving_while_connecting(processes: list[Process], tmp_path: Path) -> None:
    """A process that leaves while it tries to reach another one closes that socket."""
    directory = Directory(tmp_path / "mesh")
    directory.prepare()
    first = processes[0]
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(directory.path / "deaf.sock"))
        listener.listen(0)
        client.connect(listener.getsockname())  # and its backlog is full
        before = descriptors()
        starting = asyncio.ensure_future(first.start())
        while not first.name:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0)
        await first.stop()
        await starting
        assert descriptors() == before
    assert not first.started


async def test_greeted_when_it_has_left(processes: list[Process]) -> None:
    """A process that has left connects with nobody, whoever still speaks to it."""
    first, second, _ = processes
    await first.start()
    await second.start()
    await first.stop()
    here, there = socket.socketpair(socket.AF_UNIX)
    here.setblocking(False)
    late = Subscriber(first, here)
    await late.open()
    late.peer = second.name
    before = descriptors()
    first.greeted(late)
    for _ in range(10):
        await asyncio.sleep(0)
    assert (first.publishers, descriptors()) == ([], before)
    late.abort()
    there.close()
    await late.ended


async def test_back_while_leaving(processes: list[Process], tmp_path: Path) -> None:
    """A process that starts again while it leaves is there again afterwards, and whole."""
    first, second, _ = processes
    await first.want("room")
    await second.start()
    leaving = asyncio.ensure_future(first.stop())
    while (tmp_path / "mesh" / f"{first.name}.sock").exists():  # noqa: ASYNC110  nothing tells of it
        await asyncio.sleep(0)
    await first.start()
    await leaving
    assert [publisher.peer for publisher in first.publishers] == [second.name]
    assert second.publish("room", b"x") == 1
    assert await first.got.get() == ("room", b"x")


async def test_accepted_while_leaving(processes: list[Process], tmp_path: Path) -> None:
    """What has just connected when a process leaves is closed with the rest."""
    first = processes[0]
    await first.start()
    (path,) = (tmp_path / "mesh").glob("*.sock")
    before = descriptors()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        await asyncio.sleep(0)  # accepted, perhaps, and not yet a link
        await first.stop()
        with contextlib.suppress(ConnectionResetError):  # not accepted any more
            assert client.recv(1) == b""
    assert descriptors() == before - 1  # its listener


async def test_no_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who joins where nobody can meet is alone; the log says why, once in half a minute."""
    (tmp_path / "mesh").touch()
    process = Process(tmp_path / "mesh")
    await asyncio.gather(*(process.want(f"room.{number}") for number in range(3)))
    await process.want("room.3")
    assert not await process.try_to_start()
    assert process.given_up
    (error,) = caplog.messages
    assert error == (
        f"The directory {tmp_path / 'mesh'} of the local channel layer is no directory. ('path' "
        "and 'mode' in CONFIG choose another.) Groups do not reach other processes."
    )
    (tmp_path / "mesh").unlink()
    assert not await process.try_to_start()
    await process.stop()  # and to come again is not to ask for it a second time
    assert await process.try_to_start()
    await process.stop()
