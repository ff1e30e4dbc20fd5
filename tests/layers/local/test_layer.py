"""LocalChannelLayer: the contract, across real processes of this machine."""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync

from fairway.delivery import Mailbox
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers import LocalChannelLayer
from fairway.layers.codec import decode
from fairway.testing.conformance import ProcessesConformance
from fairway.testing.peer import Peer
from tests.clock import Clock

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be any user")

ROOT = Path(__file__).parents[3]
PATH = "FAIRWAY_TEST_MESH"
PEER = f"{__name__}:make_layer"
ADAS_PEER = f"{PEER}_of_ada"
MEIS_PEER = f"{PEER}_of_mei"


class WatchedLayer(LocalChannelLayer):
    """A layer with a consumer's mailbox that tests can look into from another process."""

    async def bind_for_gaps(self) -> str:
        self.mailbox = Mailbox(asyncio.get_running_loop())
        return self.bind(self.mailbox, gaps=True)

    async def received_types(self) -> list[str]:
        """The types of all messages, up to the one that tells of a gap."""
        found: list[str] = []
        while "layer.gap" not in found:
            item = self.mailbox.take()
            if item is None:
                await self.mailbox.park()
            else:
                assert isinstance(item, bytes)
                found.append(decode(item)["type"])
        return found

    async def leave_a_child(self) -> int:
        """The number of a forked process that does nothing."""
        child = os.fork()
        if child == 0:
            try:
                signal.pause()
            finally:
                os._exit(0)
        return child


def make_layer() -> WatchedLayer:
    """The layer of another process."""
    return WatchedLayer(path=os.environ[PATH], capacity=5, group_expiry=600)


#: A group, and two users of it who have groups of their own as well; no system has them.
GROUP, ADA, MEI = 4_000_000, 4_000_001, 4_000_002


def become(user: int) -> WatchedLayer:
    """The layer of a process that another user runs."""
    os.setgroups([GROUP])
    os.setgid(user)
    os.setuid(user)
    mode = Path(os.environ[PATH]).stat().st_mode & 0o777
    return WatchedLayer(path=os.environ[PATH], mode=mode)


def make_layer_of_ada() -> WatchedLayer:
    return become(ADA)


def make_layer_of_mei() -> WatchedLayer:
    return become(MEI)


class TestConformance(ProcessesConformance):
    peer = PEER

    @pytest.fixture
    async def layer(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
    ) -> AsyncIterator[LocalChannelLayer]:
        monkeypatch.setenv(PATH, str(tmp_path / "mesh"))
        # Other processes have the real time.
        timed = "elapse" in request.fixturenames
        clock = request.getfixturevalue("clock") if timed else time.time
        layer = LocalChannelLayer(path=tmp_path / "mesh", capacity=5, group_expiry=600, clock=clock)
        yield layer
        await layer.flush()
        await layer.close()
        assert list((tmp_path / "mesh").glob("*.sock")) == []

    @pytest.fixture
    def elapse(self, clock: Clock) -> Callable[[float], None]:
        def elapse(seconds: float) -> None:
            clock.now += seconds

        return elapse


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(PATH, str(tmp_path / "mesh"))
    return tmp_path / "mesh"


@pytest.fixture
async def layer(path: Path) -> AsyncIterator[LocalChannelLayer]:
    layer = make_layer()
    yield layer
    await layer.close()


@pytest.fixture
def open_path(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory where every user may look for one; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = Path(name) / "mesh"
        path.mkdir()
        monkeypatch.setenv(PATH, str(path))
        yield path


async def see_each_other(first: Peer, second: Peer) -> None:
    """Two processes reach each other in groups and in named channels."""
    for here, there in ((first, second), (second, first)):
        channel = await here.call("new_channel")
        await here.call("group_add", "room", channel)
        assert await there.call("group_send", "room", {"type": "x"}) == [0, 1]
        assert await here.call("receive", channel) == {"type": "x"}
        await here.call("group_discard", "room", channel)
        await there.call("send", "jobs", {"type": "y"})
        assert await here.call("receive", "jobs") == {"type": "y"}


@as_root
async def test_users_of_a_group(open_path: Path) -> None:
    """Several users meet in a directory of a group that they are in, whoever was there first."""
    os.chown(open_path, -1, GROUP)
    os.chmod(open_path, 0o2770)
    async with Peer(ADAS_PEER) as ada, Peer(MEIS_PEER) as mei:
        await see_each_other(ada, mei)


@as_root
async def test_root_among_the_processes_of_a_site(open_path: Path) -> None:
    """What is run as root in the site's directory works there, and takes nothing from the site."""
    os.chown(open_path, ADA, ADA)
    os.chmod(open_path, 0o700)
    async with Peer(PEER) as root, Peer(ADAS_PEER) as ada:
        await see_each_other(root, ada)
    assert (open_path / "queues.sqlite3").stat().st_uid == ADA


def run(code: str) -> str:
    """What a script prints that uses the layer ``l``."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", f"from {__name__} import make_layer\n{code}"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout


@pytest.mark.pain(9)
async def test_script(layer: LocalChannelLayer) -> None:
    """A script without an event loop sends, and ends, with nothing left behind."""
    name = await layer.new_channel()
    await layer.group_add("news", name)
    printed = await asyncio.to_thread(
        run, "print(make_layer().sync.group_send('news', {'type': 'x'}))"
    )
    assert printed == "Reached(members=0, processes=1)\n"
    assert await layer.receive(name) == {"type": "x"}
    assert len(list(layer.directory.sockets())) == 1


#: Ends while the thread for the queues is doing something, which takes a moment.
BUSY_AT_ITS_END = """
import time
from fairway.layers.io import io

layer = make_layer()
layer.sync.send("jobs", {"type": "x"})
clerk = layer._bus._clerk

def slow():
    time.sleep(0.2)
    print(clerk.store.count("jobs"))

with clerk.used:  # so that it is left to the thread
    io.submit(clerk.do(slow))
    while not clerk._doing:
        time.sleep(0.01)
"""


async def test_busy_at_its_end(layer: LocalChannelLayer) -> None:
    """A process that ends finishes what it does with the queues: a job put back, say."""
    assert await asyncio.to_thread(run, BUSY_AT_ITS_END) == "1\n"


@pytest.mark.pain(9)
async def test_many_loops(layer: LocalChannelLayer) -> None:
    """async_to_sync() works, thousands of times, from many threads, without leaking."""
    name = await layer.new_channel()
    await layer.group_add("news", name)
    async with Peer(PEER) as other:
        there = await other.call("new_channel")
        await other.call("group_add", "news", there)
        send = async_to_sync(layer.group_send)

        def call() -> None:
            for _ in range(250):
                assert send("news", {"type": "x"}).processes == 2

        await asyncio.to_thread(call)
        before = len(os.listdir("/proc/self/fd"))
        await asyncio.gather(*(asyncio.to_thread(call) for _ in range(4)))
        assert len(os.listdir("/proc/self/fd")) == before


async def test_forked(layer: LocalChannelLayer) -> None:
    """A child process is another one of the mesh, with memberships of its own."""
    name = await layer.new_channel()
    await layer.group_add("news", name)
    child = os.fork()
    if child == 0:
        try:
            reached = layer.sync.group_send("news", {"type": "from the child"})
            asyncio.run(layer.close())
            os._exit(0 if reached == (0, 1) else 1)
        finally:
            os._exit(2)
    status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status[1]) == 0
    assert await layer.receive(name) == {"type": "from the child"}


async def test_child_that_outlives_its_parent(layer: LocalChannelLayer) -> None:
    """It is noticed that a process died, whatever it has forked and never told of the layer."""
    async with Peer(PEER) as other:
        await other.call("group_add", "news", await other.call("new_channel"))
        assert await layer.group_send("news", {"type": "x"}) == (0, 1)
        child = await other.call("leave_a_child")
        try:
            other.kill()
            async with asyncio.timeout(60):
                while layer.stats()["peers"]:  # noqa: ASYNC110  nothing else tells
                    await asyncio.sleep(0.01)
            assert await layer.group_send("news", {"type": "x"}) == (0, 0)
        finally:
            os.kill(child, signal.SIGKILL)


async def test_killed_processes_are_cleaned_up(layer: LocalChannelLayer) -> None:
    """Whoever meets the socket of a killed process removes it."""
    async with Peer(PEER) as other:
        await other.call("new_channel")
        other.kill()
        await other.process.wait()
    (stale,) = layer.directory.sockets()
    name = await layer.new_channel()
    assert stale not in layer.directory.sockets()
    assert await layer.group_send("news", {"type": "x"}) == (0, 0)
    await layer.send(name, {"type": "x"})


async def test_hanging_process(layer: LocalChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hangs delays nobody, and is told later that it missed messages."""
    monkeypatch.setattr("fairway.layers.local.link.MAX_WAITING", 100_000)
    async with Peer(PEER) as other:
        there = await other.call("bind_for_gaps")
        await other.call("group_add", "news", there)
        name = await layer.new_channel()
        await layer.group_add("news", name)
        other.process.send_signal(signal.SIGSTOP)
        try:
            big = {"type": "x", "text": "x" * 200_000}
            for _ in range(10):
                await layer.group_send("news", big)
                assert await layer.receive(name) == big
            # The same thread does this after what it was asked for before.
            await asyncio.to_thread(layer.sync.group_send, "nobody", {"type": "x"})
            missed = layer.stats()["missed"]
        finally:
            other.process.send_signal(signal.SIGCONT)
        assert missed > 0
        assert "layer.gap" in await other.call("received_types")


async def test_jobs_survive_their_sender(layer: LocalChannelLayer) -> None:
    """A named channel's messages outlive the process that sent them."""
    await asyncio.to_thread(run, "make_layer().sync.send('jobs', {'type': 'work'})")
    assert await layer.receive("jobs") == {"type": "work"}


async def test_killed_reader(layer: LocalChannelLayer) -> None:
    """A job on lease comes back when its worker is killed."""
    await layer.send("jobs", {"type": "work"})
    await asyncio.to_thread(
        run,
        "import asyncio, os, signal\n"
        "async def main():\n"
        "    await make_layer().receive_job('jobs', lease=0.1)\n"
        "    print('has it', flush=True)\n"
        "    os._exit(0)\n"
        "asyncio.run(main())",
    )
    job = await layer.receive_job("jobs", lease=60)
    assert (job.message, job.attempt) == ({"type": "work"}, 2)
    assert await job.acknowledge()


READER = """
import asyncio

async def read():
    layer = make_layer()
    while True:
        print((await layer.receive("jobs"))["number"], flush=True)

asyncio.run(read())
"""


async def test_readers_killed_at_any_point(path: Path) -> None:
    """Nobody gets a message twice, each kill costs one at most, and the file stays whole."""
    layer = LocalChannelLayer(path=path, capacity=1000, expiry=600)
    numbers = itertools.count()
    got: list[int] = []
    for _ in range(3):
        reader = await start(READER)
        assert reader.stdout is not None
        for _ in range(20):
            await layer.send("jobs", {"type": "x", "number": next(numbers)})
            got.append(int(await reader.stdout.readline()))
        for _ in range(50):
            await layer.send("jobs", {"type": "x", "number": next(numbers)})
        reader.kill()
        told, _ = await reader.communicate()
        got += [int(line) for line in told.splitlines()]
    while await layer.waiting("jobs"):
        got.append((await layer.receive("jobs"))["number"])
    assert len(got) == len(set(got)) >= next(numbers) - 3
    await layer.close()
    with contextlib.closing(sqlite3.connect(path / "queues.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def start(code: str) -> asyncio.subprocess.Process:
    """A process that runs a script that may make the layer."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"from {__name__} import make_layer\n{code}",
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )


async def test_no_place_to_meet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without a usable directory, groups work within the process, and jobs are refused."""
    (tmp_path / "file").touch()
    layer = LocalChannelLayer(path=tmp_path / "file")
    name = await layer.new_channel()
    await layer.group_add("news", name)
    for _ in range(2):
        assert await layer.group_send("news", {"type": "x"}) == (1, 1)
    assert await layer.receive(name) == {"type": "x"}
    with pytest.raises(ChannelLayerUnavailable, match="is no directory"):
        await layer.send("jobs", {"type": "work"})
    assert [r.levelno for r in caplog.records].count(logging.ERROR) == len(caplog.records) > 0
    await layer.close()


async def test_found_at_the_start(
    layer: LocalChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says how many processes were found, and where."""
    caplog.set_level(logging.INFO, "fairway.layers.local")
    async with Peer(PEER) as other:
        await other.call("new_channel")
        await layer.new_channel()
    assert caplog.messages == [
        f"Local channel layer: 1 other process found in {layer.directory.path}."
    ]


async def test_woken_by_a_cancelled_reader(layer: LocalChannelLayer) -> None:
    """What a reader leaves that is cancelled while it takes it, another one gets at once."""
    for turns in range(40):
        await layer.send("jobs", {"type": "x", "turns": turns})
        cancelled = asyncio.ensure_future(layer.receive("jobs"))
        for _ in range(turns % 8):
            await asyncio.sleep(0)
        other = asyncio.ensure_future(layer.receive("jobs"))
        await asyncio.sleep(0)
        cancelled.cancel()
        done = await asyncio.gather(cancelled, return_exceptions=True)
        if isinstance(done[0], dict):
            other.cancel()
            await asyncio.gather(other, return_exceptions=True)
        else:
            assert await asyncio.wait_for(other, 20) == {"type": "x", "turns": turns}


async def test_senders_on_many_threads(path: Path) -> None:
    """What several threads send at once, more than a socket takes, arrives whole, each in order."""
    one = LocalChannelLayer(path=path)
    other = LocalChannelLayer(path=path, capacity=1000)
    name = await other.new_channel()
    await other.group_add("news", name)

    async def send(sender: int) -> None:
        for number in range(30):
            text = f"{sender}" * (10 if number % 3 else 200_000)
            await one.group_send("news", {"type": "x", "number": number, "text": text})

    sending = asyncio.gather(*(asyncio.to_thread(asyncio.run, send(n)) for n in range(4)))
    found: dict[str, list[int]] = {}
    for _ in range(4 * 30):
        message = await asyncio.wait_for(other.receive(name), 60)
        text = message["text"]
        assert text == text[0] * (10 if message["number"] % 3 else 200_000)
        found.setdefault(text[0], []).append(message["number"])
    assert found == {str(sender): list(range(30)) for sender in range(4)}
    await sending
    await one.close()
    await other.close()


def test_path_of_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A path may begin with the user's home, and a relative one stays where it was."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert LocalChannelLayer(path="~/layer").directory.path == tmp_path / "layer"
    assert LocalChannelLayer(path="layer").directory.path == tmp_path / "layer"


def test_mode_that_is_text() -> None:
    """Permissions are a number: a text is refused, with an example."""
    with pytest.raises(
        TypeError, match=r"^'mode' is '0770'; it must be a number, such as 0o770\.$"
    ):
        LocalChannelLayer(mode="0770")  # type: ignore[arg-type]  # the mistake
