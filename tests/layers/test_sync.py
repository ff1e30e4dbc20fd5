"""SyncVerbs: the layer's verbs for code that runs in no event loop."""

import asyncio
import os
import threading

import pytest

from fairway.delivery import Mailbox
from fairway.layers import InMemoryChannelLayer
from fairway.layers.base import Reached
from fairway.layers.codec import decode


@pytest.fixture
def layer() -> InMemoryChannelLayer:
    return InMemoryChannelLayer()


@pytest.mark.pain(9)
def test_verbs(layer: InMemoryChannelLayer) -> None:
    """Each verb blocks for its answer, with no event loop in sight."""
    name = layer.sync.new_channel()
    layer.sync.group_add("room", name)
    assert layer.sync.group_send("room", {"type": "x"}) == Reached(1, 1)
    assert layer.sync.receive(name) == {"type": "x"}
    layer.sync.group_discard("room", name)
    assert layer.sync.group_send("room", {"type": "x"}) == Reached(0, 0)
    layer.sync.send("jobs", {"type": "work"})
    layer.sync.flush()
    with pytest.raises(TimeoutError):
        layer.sync.receive("jobs", timeout=0.01)


@pytest.mark.pain(9)
def test_nothing_is_left_behind(layer: InMemoryChannelLayer) -> None:
    """However many threads call it however often, one thread serves them all."""
    layer.sync.send("jobs", {"type": "work"})
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))

    def call() -> None:
        for _ in range(100):
            layer.sync.group_send("room", {"type": "x"})

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before


async def test_reaches_consumers(layer: InMemoryChannelLayer) -> None:
    """What a thread sends lies in the mailbox of a connection on the event loop."""
    mailbox = Mailbox(asyncio.get_running_loop())
    await layer.group_add("room", layer.bind(mailbox))
    await asyncio.to_thread(layer.sync.group_send, "room", {"type": "x"})
    item = mailbox.take()
    assert isinstance(item, bytes)
    assert decode(item) == {"type": "x"}


async def test_in_an_event_loop(layer: InMemoryChannelLayer) -> None:
    """It would stop the loop, so it is refused, with what to write instead."""
    with pytest.raises(RuntimeError, match=r"Use: await layer\.group_send"):
        layer.sync.group_send("room", {"type": "x"})


def test_after_a_fork(layer: InMemoryChannelLayer) -> None:
    """A child process has a thread of its own."""
    layer.sync.send("jobs", {"type": "work"})
    child = os.fork()
    if child == 0:
        try:
            layer.sync.send("jobs", {"type": "from the child"})
            ok = layer.sync.receive("jobs", timeout=10) == {"type": "from the child"}
            os._exit(0 if ok else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert layer.sync.receive("jobs") == {"type": "work"}


def test_waiting(layer: InMemoryChannelLayer) -> None:
    """How much waits in a channel, whichever; nothing where there is none."""
    layer.sync.send("jobs", {"type": "x"})
    assert layer.sync.waiting("jobs") == 1
    assert layer.sync.waiting(layer.sync.new_channel()) == 0
    assert layer.sync.waiting("specific.inmemory!gone") == 0
    with pytest.raises(TypeError):
        layer.sync.waiting("my jobs")
