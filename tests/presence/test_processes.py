"""Presence across real processes of this machine, in real time."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fairway.delivery import Mailbox
from fairway.layers import LocalChannelLayer, channel_layers
from fairway.layers.codec import decode
from fairway.presence import Presence
from fairway.presence.registry import trackers
from fairway.testing.peer import PATIENCE, Peer

PATH = "FAIRWAY_TEST_PRESENCE"
PEER = f"{__name__}:make_layer"


class PresentLayer(LocalChannelLayer):
    """A layer with presence as its verbs, for other processes to call."""

    def __init__(self) -> None:
        super().__init__(path=os.environ[PATH])
        channel_layers.set("mesh", self)
        self.presence = Presence("mesh")

    async def come(self, key: str, **options: Any) -> str:
        channel = self.bind(Mailbox(asyncio.get_running_loop()))
        await self.presence.join("harbour", channel, key, **options)
        return channel

    async def people(self) -> list[str]:
        return sorted(await self.presence.list("harbour"))

    async def in_a_child(self) -> str:
        """What a process that is forked off sees, and what it does to its parent's people."""
        return await asyncio.to_thread(run_forked, self)


def run_forked(layer: PresentLayer) -> str:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            seen = sorted(layer.presence.sync.list("harbour"))
            os.write(writer, ",".join(seen).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as pipe:
        found = pipe.read()
    os.waitpid(child, 0)
    return found


def make_layer() -> PresentLayer:
    """The layer of this process, or of another one."""
    return PresentLayer()


class Here:
    """This process: a member of the group who listens."""

    def __init__(self, layer: PresentLayer) -> None:
        self.layer = layer
        self.presence = layer.presence
        self._mailbox = Mailbox(asyncio.get_running_loop())
        self._channel = layer.bind(self._mailbox)

    async def begin(self) -> None:
        await self.layer.group_add("harbour", self._channel)
        await self.presence.join("harbour", self._channel, "me")
        await self.hears("joins", "me")

    async def hears(self, kind: str, *people: str) -> None:
        """Wait for diffs that tell of these, and of nobody else."""
        missing = set(people)
        async with asyncio.timeout(PATIENCE):
            while missing:
                item = self._mailbox.take()
                if item is None:
                    await self._mailbox.park()
                    continue
                assert isinstance(item, bytes)
                message = decode(item)
                for each in ("joins", "leaves"):
                    assert set(message[each]) <= (missing if each == kind else set()), message
                missing -= set(message[kind])


@pytest.fixture
async def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Here]:
    monkeypatch.setenv(PATH, str(tmp_path / "mesh"))
    layer = make_layer()
    here = Here(layer)
    await here.begin()
    yield here
    await layer.close()
    del channel_layers.backends["mesh"]


@pytest.mark.pain(16)
async def test_killed(here: Here) -> None:
    """A killed process's people are gone within seconds, and nothing of them stays anywhere."""
    async with Peer(PEER) as other:
        await other.call("come", "ada")
        await here.hears("joins", "ada")
        assert await here.presence.count("harbour") == 2
        assert await other.call("people") == ["ada", "me"]
        other.kill()
        await here.hears("leaves", "ada")
    assert await here.presence.list("harbour") == {"me": [{}]}


@pytest.mark.pain(16)
async def test_restarted(here: Here) -> None:
    """People whose process ends in good order, and who are back in another, never left."""
    async with Peer(PEER) as other:
        await other.call("come", "ada", linger=60)
        await other.call("come", "mei", linger=0.2)
        await here.hears("joins", "ada", "mei")
    await here.hears("leaves", "mei")  # so the end of the process is known
    async with Peer(PEER) as other:
        await other.call("come", "ada", linger=0.2)
        assert await other.call("people") == ["ada", "me"]
        await other.call("come", "kofi", linger=60)
        await here.hears("joins", "kofi")
    await here.hears("leaves", "ada")


async def test_exit(here: Here) -> None:
    """A script that just ends says goodbye: nobody has to find out by its silence."""
    code = (
        f"import asyncio\nfrom {__name__} import make_layer\n"
        "asyncio.run(make_layer().come('ada', linger=0.2))\ninput()"
    )
    script = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error", "-c", code),
        stdin=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    await here.hears("joins", "ada")
    await script.communicate(b"\n")
    assert script.returncode == 0
    await here.hears("leaves", "ada")
    replicas = trackers.of(here.layer).conversation.others.replicas
    assert [(replica.up, replica.entries) for replica in replicas.values()] == [(True, {})]


async def test_forked(here: Here) -> None:
    """A child process sees everybody, and its parent's people stay with the parent."""
    async with Peer(PEER) as other:
        await other.call("come", "ada")
        assert await other.call("in_a_child") == "ada,me"
        assert await other.call("people") == ["ada", "me"]
        await here.hears("joins", "ada")
        assert sorted(await here.presence.list("harbour")) == ["ada", "me"]
