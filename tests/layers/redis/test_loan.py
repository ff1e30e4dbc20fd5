"""Replies are read on the event loop that waits for most of them, for as long as it reads them."""

import asyncio
import gc
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairway.layers.io import io
from fairway.layers.redis import loan as loans
from fairway.layers.redis.loan import Loan
from tests.layers.redis.elsewhere import Elsewhere
from tests.layers.redis.servers import PATIENCE, eventually


class Lent:
    """One end of a connection that is lent, the other end, and what has happened to it.

    Attributes:
        peer: The other end.
        taken: What was read, and on which thread.
        back: Set when the loop reads no more by itself.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.sock, self.peer = socket.socketpair()
        self.sock.setblocking(False)
        self.taken: list[tuple[bytes, int]] = []
        self.back = threading.Event()
        self.loan = io.run_sync(self._lend(loop))

    async def _lend(self, loop: asyncio.AbstractEventLoop) -> Loan:
        loan = Loan(self.sock, loop, self._take, back=self.back.set)
        loan.begin()
        return loan

    def _take(self, data: bytes) -> None:
        self.taken.append((data, threading.get_ident()))

    def end(self) -> None:
        io.run_sync(self._end())

    async def _end(self) -> None:
        self.loan.end()

    def close(self) -> None:
        self.end()
        self.sock.close()
        self.peer.close()


@pytest.fixture
def lent(elsewhere: Elsewhere) -> Iterator[Lent]:
    """A connection that is lent to that loop."""
    lent = Lent(elsewhere.loop)
    yield lent
    lent.close()


def descriptors() -> int:
    """How many are open, where the system tells."""
    table = Path("/proc/self/fd")
    return len(list(table.iterdir())) if table.exists() else 0


async def identity() -> int:
    return threading.get_ident()


async def test_loan(lent: Lent, elsewhere: Elsewhere) -> None:
    """The event loop takes what comes, on its own thread."""
    lent.peer.send(b"one")
    await eventually(lambda: lent.taken != [])
    assert lent.taken == [(b"one", elsewhere.run(identity()))]


def test_idle_loan(lent: Lent) -> None:
    """Nobody relies on a loop that has read nothing for a moment."""
    assert lent.back.wait(PATIENCE)


def test_ended_loan(lent: Lent, elsewhere: Elsewhere) -> None:
    """A loan that was ended while its loop was blocked takes nothing afterwards."""
    elsewhere.block()
    lent.peer.send(b"one")
    assert lent.back.wait(PATIENCE)
    lent.end()
    elsewhere.unblock()
    elsewhere.run(asyncio.sleep(0))
    assert (lent.taken, lent.sock.recv(9)) == ([], b"one")


def test_interrupted_loan(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is taken behind bytes that were lost to a signal handler that raises."""

    class Interrupted(loans._Descriptor):  # when they were read, and nobody has them
        def recv(self, size: int, flags: int = 0, /) -> bytes:
            assert super().recv(size, flags) == b"one"
            raise KeyboardInterrupt

    monkeypatch.setattr(loans, "_Descriptor", Interrupted)
    lent = Lent(elsewhere.loop)
    lent.peer.send(b"one")
    assert elsewhere.interrupted.wait(PATIENCE)
    lent.peer.send(b"two")
    assert lent.back.wait(PATIENCE)
    lent.close()
    assert (lent.taken, lent.loan.trouble) == ([], "a reply was interrupted here")


def test_loan_of_a_closed_loop(elsewhere: Elsewhere) -> None:
    """A loop that has ended is relieved, and holds nothing open."""
    elsewhere.close()
    before = descriptors()
    lent = Lent(elsewhere.loop)
    assert lent.back.wait(PATIENCE)
    lent.close()
    assert descriptors() == before


def test_loop_that_ends_before_it_is_told() -> None:
    """A loop that ends before it could let go of the connection holds nothing open either."""
    before = descriptors()
    loop = asyncio.new_event_loop()
    lent = Lent(loop)
    lent.close()
    loop.close()
    del lent
    gc.collect()
    assert descriptors() == before


def test_end_of_what_is_lent(lent: Lent) -> None:
    """The end of a connection is found by whoever reads next, and not by the loop."""
    lent.peer.close()
    assert lent.back.wait(PATIENCE)
    assert lent.taken == []
