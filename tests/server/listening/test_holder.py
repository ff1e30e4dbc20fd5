"""Who listens on an address already."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fairway.server.listening import holder
from fairway.server.listening.holder import path_holder, port_holder

pytestmark = pytest.mark.skipif(
    not Path("/proc/net/tcp").exists(), reason="this system does not tell who listens"
)


def this_process() -> str:
    """How the process of the test is called."""
    return f"process {os.getpid()}, {Path('/proc/self/comm').read_text().strip()}"


class TestPort:
    """TCP."""

    @pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
    def test_named(self, family: int) -> None:
        """The process is found by its port, on the same address or on every one."""
        host = "127.0.0.1" if family == socket.AF_INET else "::1"
        with socket.socket(family) as sock:
            try:
                sock.bind((host, 0))
            except OSError:
                pytest.skip("this machine has no IPv6")
            sock.listen()
            port = sock.getsockname()[1]
            for wanted in (host, "0.0.0.0", "::"):
                assert port_holder(wanted, port) == this_process()
            assert port_holder("127.0.0.9", port) == ""

    def test_bound_only(self) -> None:
        """Who is bound and does not listen is not named."""
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            assert port_holder("127.0.0.1", sock.getsockname()[1]) == ""

    def test_nobody(self) -> None:
        """Neither is anybody on a port that is free."""
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        assert port_holder("127.0.0.1", port) == ""

    def test_oldest(self) -> None:
        """Of several processes that share a socket, the oldest is named."""
        with socket.create_server(("127.0.0.1", 0)) as sock:
            command = [sys.executable, "-c", "input()"]
            pipe = subprocess.PIPE
            with subprocess.Popen(command, pass_fds=[sock.fileno()], stdin=pipe) as child:
                assert port_holder("127.0.0.1", sock.getsockname()[1]) == this_process()
                child.communicate(b"\n")


class TestPath:
    """Unix sockets."""

    def test_named(self, tmp_path: Path) -> None:
        """The process is found by the path that it has bound."""
        path = str(tmp_path / "s")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
            sock.listen()
            assert path_holder(path) == this_process()
            assert path_holder(f"{path}2") == ""


def test_other_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A system that does not tell is asked for nothing more."""
    monkeypatch.setattr(holder, "_PROC", str(tmp_path))
    assert port_holder("127.0.0.1", 80) == ""
    assert path_holder("s") == ""
