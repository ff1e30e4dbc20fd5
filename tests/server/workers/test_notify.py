"""What systemd is told, against a socket such as it listens on."""

import asyncio
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairway.server.workers import notify as notify_module
from fairway.server.workers.notify import Notify
from tests.server.process import launched, with_application
from tests.server.running import DEADLINE, Logs


class Manager:
    """Stands for systemd.

    Attributes:
        address: What stands in ``NOTIFY_SOCKET``.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self._socket.settimeout(DEADLINE)

    def told(self) -> dict[str, str]:
        """The next message."""
        lines = self._socket.recv(65536).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    async def told_later(self, key: str) -> dict[str, str]:
        """The next message that has such an assignment."""
        while key not in (message := await asyncio.to_thread(self.told)):
            pass
        return message

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """One that listens at a path, and one with a name that is none."""
    abstract = f"@fairway-{os.getpid()}-{time.monotonic_ns()}"
    manager = Manager(str(tmp_path / "notify") if request.param == "path" else abstract)
    yield manager
    manager.close()


class TestMessages:
    """Each of them."""

    async def test_messages(self, manager: Manager) -> None:
        """The state, with a status for people."""
        notify = Notify(manager.address)
        notify.ready("Serving\neverything")
        assert manager.told() == {"READY": "1", "STATUS": "Serving everything"}
        notify.status("Busy")
        assert manager.told() == {"STATUS": "Busy"}
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        notify.reloading("Replacing")
        told = manager.told()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert before <= int(told.pop("MONOTONIC_USEC")) <= after
        assert told == {"RELOADING": "1", "STATUS": "Replacing"}
        notify.extend(1.5)
        assert manager.told() == {"EXTEND_TIMEOUT_USEC": "1500000"}
        notify.stopping("Stopping", 25.0)
        assert manager.told() == {"STOPPING": "1", "STATUS": "Stopping"}
        assert manager.told() == {"EXTEND_TIMEOUT_USEC": "25000000"}

    async def test_an_end_without_limit(
        self, manager: Manager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An end that may take as long as it likes asks for more time again and again."""
        monkeypatch.setattr(notify_module, "STEP", 0.01)
        Notify(manager.address).stopping("Stopping", 0.0)
        assert await manager.told_later("STOPPING")
        for _ in range(3):
            assert await manager.told_later("EXTEND_TIMEOUT_USEC") == {
                "EXTEND_TIMEOUT_USEC": "30000000"
            }

    async def test_watchdog(self, manager: Manager) -> None:
        """A sign of life comes for as long as the loop runs."""
        notify = Notify(manager.address, watchdog=0.02)
        notify.keep_alive()
        for _ in range(3):
            assert await manager.told_later("WATCHDOG") == {"WATCHDOG": "1"}

    async def test_no_watchdog(self, manager: Manager) -> None:
        """Unless it is asked for, there is none."""
        notify = Notify(manager.address)
        notify.keep_alive()
        notify.status("First")
        assert manager.told() == {"STATUS": "First"}

    async def test_nobody(self) -> None:
        """Where nobody listens, nothing happens."""
        notify = Notify()
        notify.ready("Serving")
        notify.keep_alive()
        notify.stopping("Stopping", 0.0)

    async def test_gone(self, tmp_path: Path, logs: Logs) -> None:
        """A manager that cannot be reached is mentioned once, and harms nothing."""
        path = str(tmp_path / "nobody")
        notify = Notify(path)
        notify.ready("Serving")
        notify.ready("Serving")
        (message,) = logs.take()
        assert message == (
            f"WARNING Cannot tell the service manager at {path}: "
            "[Errno 2] No such file or directory"
        )


class TestEnvironment:
    """What systemd sets."""

    def test_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is taken from the environment, so that no other process speaks for this one."""
        monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
        monkeypatch.setenv("WATCHDOG_USEC", "3000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        assert Notify.of_this_process().watchdog == 3.0
        assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys()
        assert Notify.of_this_process().watchdog == 0.0

    @pytest.mark.parametrize(
        ("period", "whose"), [("3000000", "1"), ("never", ""), ("", ""), ("-3", "")]
    )
    def test_no_watchdog(self, monkeypatch: pytest.MonkeyPatch, period: str, whose: str) -> None:
        """A watchdog that is another process's, or no number, is none."""
        monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
        monkeypatch.setenv("WATCHDOG_USEC", period)
        monkeypatch.setenv("WATCHDOG_PID", whose)
        assert Notify.of_this_process().watchdog == 0.0

    def test_no_unix_socket(self, monkeypatch: pytest.MonkeyPatch, logs: Logs) -> None:
        """Other kinds of addresses, which virtual machines have, are not understood."""
        monkeypatch.setenv("NOTIFY_SOCKET", "vsock:2:1234")
        monkeypatch.setenv("WATCHDOG_USEC", "3000000")
        assert Notify.of_this_process().watchdog == 0.0
        assert logs.take() == [
            "WARNING NOTIFY_SOCKET is 'vsock:2:1234', which is no Unix socket: nobody is told"
        ]


class TestService:
    """A whole life, as systemd hears of it."""

    @staticmethod
    def environment(manager: Manager) -> dict[str, str]:
        """What systemd sets for a service with WatchdogSec=2."""
        return {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "2000000"}

    async def test_alone(self, manager: Manager, tmp_path: Path) -> None:
        """A server without workers is ready when it serves, lives, and says that it ends."""
        here = with_application(tmp_path)
        async with launched(
            "-p", "0", "app:path", directory=here, environment=self.environment(manager)
        ) as process:
            assert manager.told() == {"WATCHDOG": "1"}
            ready = await manager.told_later("READY")
            address = await process.address()
            assert ready == {"READY": "1", "STATUS": f"Serving {address}"}
            assert await manager.told_later("WATCHDOG")
            process.signal(signal.SIGTERM)
            assert await manager.told_later("STOPPING") == {"STOPPING": "1", "STATUS": "Stopping"}
            assert await manager.told_later("EXTEND_TIMEOUT_USEC") == {
                "EXTEND_TIMEOUT_USEC": "25000000"
            }
            assert (await process.ended()).code == 0

    async def test_workers(self, manager: Manager, tmp_path: Path) -> None:
        """With workers it is ready when all of them serve; a restart is a reload."""
        here = with_application(tmp_path)
        async with launched(
            *("-w", "2", "-p", "0", "app:path"),
            directory=here,
            environment=self.environment(manager),
        ) as process:
            assert await manager.told_later("READY") == {
                "READY": "1",
                "STATUS": "2 workers serve",
            }
            assert await manager.told_later("WATCHDOG")
            process.signal(signal.SIGHUP)
            reloading = await manager.told_later("RELOADING")
            assert reloading["STATUS"] == "Replacing 2 workers"
            assert re.fullmatch(r"\d+", reloading["MONOTONIC_USEC"])
            statuses = [await manager.told_later("STATUS") for _ in range(3)]
            assert statuses == [
                {"STATUS": "Replacing 2 workers: 0 are replaced"},
                {"STATUS": "Replacing 2 workers: 1 are replaced"},
                {"READY": "1", "STATUS": "2 workers serve"},
            ]
            process.signal(signal.SIGTERM)
            assert await manager.told_later("STOPPING") == {
                "STOPPING": "1",
                "STATUS": "Stopping 2 workers",
            }
            assert (await process.ended()).code == 0
