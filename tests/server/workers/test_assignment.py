"""The worker's side of its line to the supervisor."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fairway.server.config import Config
from fairway.server.workers import assignment as assignment_module
from fairway.server.workers.assignment import VARIABLE, Assignment, Line, Pulse, patience
from fairway.server.workers.process import QUESTION, RELIEF
from fairway.server.workers.recycling import Recycling
from tests.server.running import DEADLINE, Logs


def test_assignment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is told once what it is; the processes that it starts are none."""
    assignment = Assignment(1, 7, ((3, 0), (4, 1)))
    environment = assignment.environment({"HOME": "/"})
    assert environment.keys() == {"HOME", VARIABLE}
    monkeypatch.setenv(VARIABLE, environment[VARIABLE])
    assert Assignment.of_this_process() == assignment
    assert Assignment.of_this_process() is None


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, 25.0),
        ({"graceful_timeout": 60.0, "drain_delay": 5.0}, 75.0),
        ({"graceful_timeout": 60.0, "drain_delay": -1.0}, 70.0),
        ({"graceful_timeout": 0.0, "drain_delay": 5.0}, 0.0),
    ],
)
def test_patience(options: dict[str, float], seconds: float) -> None:
    """A worker has its whole drain to end in, and ten seconds; without a deadline, any."""
    assert patience(Config(**options)) == seconds  # type: ignore[arg-type]  # options of one type


class Supervisor:
    """The other end of the line.

    Attributes:
        line: The worker's end.
        stopped: Set when the worker was told that the supervisor is gone.
        relieved: Set when it was told that another one serves.
    """

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(DEADLINE)
        self.stopped = threading.Event()
        self.relieved = threading.Event()
        self.line = Line(theirs.detach(), self.stopped.set, self.relieved.set)
        self._lines = self.socket.makefile("rb")

    def heard(self) -> dict[str, Any]:
        """The next message."""
        found: dict[str, Any] = json.loads(self._lines.readline())
        return found

    def close(self) -> None:
        """Be gone."""
        self._lines.close()
        self.socket.close()


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    """One whose worker's end is closed with it."""
    supervisor = Supervisor()
    yield supervisor
    supervisor.close()
    supervisor.line._socket.close()


class TestLine:
    """What is said on it."""

    def test_ready(
        self, supervisor: Supervisor, logs: Logs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A worker that serves says what its settings are; when nobody is there, it ends."""
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        supervisor.line.ready(Config(graceful_timeout=5, worker_timeout=-1))
        told = {"say": "ready", "patience": 15.0, "timeout": 0.0, "zone": "Asia/Tokyo"}
        assert supervisor.heard() == told
        supervisor.close()
        assert supervisor.stopped.wait(DEADLINE)
        assert logs.take() == ["ERROR The supervisor is gone: this worker ends, too"]

    def test_told(self, supervisor: Supervisor, logs: Logs) -> None:
        """It is asked for its figures, and relieved by another one, also in one breath."""
        asked = threading.Event()
        supervisor.line.on_question = asked.set
        supervisor.line.ready(Config())
        supervisor.socket.sendall(QUESTION + RELIEF)
        assert asked.wait(DEADLINE)
        assert supervisor.relieved.wait(DEADLINE)
        assert not supervisor.stopped.is_set()
        supervisor.close()
        assert supervisor.stopped.wait(DEADLINE)
        logs.take()

    def test_others(self, supervisor: Supervisor) -> None:
        """It says that it lives, and why it wants to be replaced."""
        supervisor.line.beat()
        supervisor.line.ask_for_successor("it is old")
        assert supervisor.heard() == {"say": "beat"}
        assert supervisor.heard() == {"say": "replace", "why": "it is old"}

    def test_deaf_supervisor(self, supervisor: Supervisor) -> None:
        """A supervisor that does not listen keeps nobody waiting, and misses no half message."""
        line = supervisor.line
        while not line._unsent:
            line.ask_for_successor("x" * 1000)
        unsent = line._unsent
        line.beat()
        line.ask_for_successor("y")
        assert line._unsent == unsent
        while supervisor.heard() != json.loads(unsent.splitlines()[-1]) or line._unsent:
            line._tell({"say": "beat"})
        supervisor.close()
        line.beat()


class TestPulse:
    """What a worker does again and again."""

    @pytest.fixture(autouse=True)
    def fast(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """More often than usual."""
        monkeypatch.setattr(assignment_module, "BEAT", 0.01)

    @staticmethod
    def pulse(supervisor: Supervisor, **options: Any) -> Pulse:
        """That of a worker which has served seven requests."""
        config = Config(**options)
        return Pulse(supervisor.line, config, Recycling(config, 0.0), lambda: 7)

    async def test_beats(self, supervisor: Supervisor) -> None:
        """It lives for as long as its event loop runs."""
        self.pulse(supervisor).start()
        for _ in range(3):
            assert await asyncio.to_thread(supervisor.heard) == {"say": "beat"}

    async def test_replacement(self, supervisor: Supervisor) -> None:
        """It asks to be replaced until it is."""
        self.pulse(supervisor, worker_timeout=0.0, worker_max_requests=7).start()
        for _ in range(3):
            assert await asyncio.to_thread(supervisor.heard) == {
                "say": "replace",
                "why": "it has served 7 requests (worker_max_requests: 7)",
            }

    async def test_nothing(self, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without any limit there is nothing to do."""
        timers: list[object] = []
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "call_later", lambda *arguments: timers.append(arguments))
        self.pulse(supervisor, worker_timeout=0.0).start()
        assert timers == []
