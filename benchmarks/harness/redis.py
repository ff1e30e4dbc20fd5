"""A Redis server for those contenders whose layer needs one, and what it is asked."""

import contextlib
import re
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator

from harness.build import BuildError
from harness.processes import Server, serving

PATIENCE = 20.0  #: seconds that an answer may take

#: A line of MONITOR: ``+<time> [0 <who>] "<command>" …``; ``lua`` stands for scripts.
_MONITORED = re.compile(rb'^\+[0-9.]+ \[\d+ ([^\]]*)\] "([^"]*)"')


@contextlib.contextmanager
def redis_server(processor: int) -> Iterator[Server]:
    """Runs a Redis that stores nothing on the disk, for the length of the block.

    Raises:
        BuildError: There is none on this machine.
        ServerError: It did not start.
    """
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise BuildError("redis-server (or valkey-server) is needed")
    with tempfile.TemporaryDirectory(prefix="fairway-bench-") as directory:

        def command(port: int) -> list[str]:
            options = f"--bind 127.0.0.1 --port {port} --dir {directory} --appendonly no --save"
            return [program, *options.split(), ""]

        with serving(command, {}, processor, serves=False) as server:
            yield server


def used_memory(server: Server) -> int:
    """Bytes that it has allocated."""
    with _connected(server) as sock, sock.makefile("rb") as answer:
        sock.sendall(b"INFO memory\r\n")
        size = int(answer.readline()[1:])
        lines = answer.read(size).decode().splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(facts["used_memory"])


class Monitor:
    """Counts the commands that a server executes, from its making until :meth:`stop`.

    Unlike ``INFO commandstats``, ``MONITOR`` tells what clients send from what scripts call.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._sock = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
        self._lines = self._sock.makefile("rb")
        self._sock.sendall(b"MONITOR\r\n")
        self._lines.readline()

    def stop(self) -> tuple[Counter[str], Counter[str]]:
        """Returns the commands that clients sent, and those that their scripts called."""
        sent: Counter[str] = Counter()
        called: Counter[str] = Counter()
        end = b"the-end"
        with _connected(self._server) as sock:
            sock.sendall(b"PING " + end + b"\r\n")
            sock.recv(64)
        for line in self._lines:
            if end in line:
                break
            found = _MONITORED.match(line)
            assert found, line
            counter = called if found[1] == b"lua" else sent
            counter[found[2].decode().upper()] += 1
        self._lines.close()
        self._sock.close()
        return sent, called


@contextlib.contextmanager
def _connected(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as sock:
        yield sock
