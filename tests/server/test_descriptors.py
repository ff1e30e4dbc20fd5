"""How many files and sockets a process may have open."""

from pathlib import Path

import pytest

from fairway.server import descriptors
from fairway.server.config import Config
from fairway.server.descriptors import BESIDE, NEEDED, advise, limit, prepare
from tests.server.process import Ended, connected, launched, with_application
from tests.server.running import Logs

resource = pytest.importorskip("resource")

#: Runs the command line with a soft and a hard limit, as ``ulimit -n`` sets them.
LIMITED = (
    "import os, resource, sys; limits = tuple(map(int, sys.argv[1].split(','))); "
    "resource.setrlimit(resource.RLIMIT_NOFILE, limits); "
    "os.execv(sys.executable, [sys.executable, '-P', '-m', 'fairway', *sys.argv[2:]])"
)
#: An application that answers with the limit, and with that of a process that it starts.
ANSWERS = """
import resource, subprocess, sys

CODE = "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"

async def application(scope, receive, send):
    own = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    child = int(subprocess.check_output([sys.executable, "-c", CODE]))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{own} {child}".encode()})
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The working directory of the processes."""
    (tmp_path / "limits.py").write_text(ANSWERS)
    return with_application(tmp_path.resolve())


@pytest.mark.parametrize(
    ("arguments", "soft", "raised"),
    [((), 300, 400), (("-w", "1"), 300, 400), (("--no-raise-open-files",), 300, 300)],
)
async def test_raised(here: Path, arguments: tuple[str, ...], soft: int, raised: int) -> None:
    """A server and what it starts may have what the system allows, unless nobody wants that."""
    command = (f"{soft},400", *arguments, "-p", "0", "limits:application")
    async with launched(*command, directory=here, python=("-c", LIMITED)) as process:
        async with connected(await process.address()) as client:
            assert (await client.fetch("/")).body == b"%d %d" % (raised, raised)
        ended = await process.stop()
    line = "INFO     The limit of open files is raised from 300 to 400\n"
    assert ended.code == 0
    assert ended.stderr.count(line) == (raised > soft)


@pytest.mark.parametrize("arguments", [(), ("-w", "2")])
async def test_too_few(here: Path, arguments: tuple[str, ...]) -> None:
    """What cannot serve anybody does not start, and a line says why."""
    command = ("12,12", *arguments, "-p", "0", "app:path")
    async with launched(*command, directory=here, python=("-c", LIMITED)) as process:
        ended = await process.ended()
    message = (
        "fairway: This process may have only 12 files and sockets open at once, and needs 32 "
        "before the first client comes. Raise the limit: ulimit -n, or LimitNOFILE= of a "
        "systemd unit.\n"
    )
    assert ended == Ended(1, "", message)


async def test_just_enough(here: Path) -> None:
    """With what it says that it needs, it serves."""
    command = (f"{NEEDED},{NEEDED}", "-w", "2", "-p", "0", "app:path")
    async with launched(*command, directory=here, python=("-c", LIMITED)) as process:
        async with connected(await process.address()) as client:
            assert (await client.fetch("/")).body == b"|/"
        assert (await process.stop()).code == 0


def test_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that agrees to a higher limit and does not raise it is not asked again."""
    asked = iter([None])

    def agree(kind: int, limits: tuple[int, int]) -> None:
        next(asked)

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (300, 400))
    monkeypatch.setattr(resource, "setrlimit", agree)
    assert prepare(Config()) == ""


class TestAdvise:
    """Fewer than a project wants to let in."""

    def test_fewer(self, logs: Logs) -> None:
        """Who names a number of connections is told if it cannot be reached."""
        now = limit()
        advise(Config(max_connections=now))
        (line,) = logs.take()
        assert line == (
            f"WARNING max_connections is {now}, but this process may have only {now} files and "
            "sockets open, its own among them: who comes when they are used up gets a 503. "
            f"Raise the limit (ulimit -n, or LimitNOFILE= of a systemd unit) to {now + BESIDE} or "
            "more, or start more workers."
        )

    @pytest.mark.parametrize("options", [{}, {"max_connections": 0}, {"max_connections": 10}])
    def test_enough(self, logs: Logs, options: dict[str, int]) -> None:
        """Nothing is said of a number that fits, of no limit, and of the default."""
        advise(Config.from_mapping(options))
        assert logs.take() == []

    def test_unknown(self, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is said where the system does not say how many there are."""
        monkeypatch.setattr(descriptors, "limit", lambda: 0)
        advise(Config(max_connections=10_000_000))
        assert logs.take() == []
