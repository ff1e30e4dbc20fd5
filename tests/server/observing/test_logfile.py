"""A log file that is moved, or whose disk is full."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fairway.server.observing import logfile
from fairway.server.observing.logfile import LogFile
from tests.server.process import connected, launched, with_application
from tests.server.running import Logs


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the log is, in a directory of its own."""
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "access.log"


@pytest.fixture
def log(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LogFile]:
    """A log that looks each time whether its file is there."""
    monkeypatch.setattr(logfile, "LOOK", 0.0)
    with closing(LogFile(str(path))) as log:
        yield log


def test_added(path: Path) -> None:
    """Each line is there at once, behind what was there, whatever it consists of."""
    path.write_text("before\n")
    with closing(LogFile(str(path))) as log:
        log.write("/é\ud800\n")
        log.flush()
        assert path.read_bytes() == b"before\n/\xc3\xa9\\ud800\n"


def test_shared(path: Path) -> None:
    """Several processes may add to one file."""
    with closing(LogFile(str(path))) as one, closing(LogFile(str(path))) as other:
        one.write("1\n")
        other.write("2\n")
        one.write("3\n")
    assert path.read_text() == "1\n2\n3\n"


def test_moved(path: Path, log: LogFile) -> None:
    """When it is moved away, the next line begins a new one."""
    log.write("old\n")
    moved = path.rename(path.with_name("access.log.1"))
    log.write("new\n")
    assert (moved.read_text(), path.read_text()) == ("old\n", "new\n")


def test_replaced(path: Path, log: LogFile) -> None:
    """When there is another one already, lines go there."""
    moved = path.rename(path.with_name("access.log.1"))
    path.write_text("of logrotate\n")
    log.write("new\n")
    assert (moved.read_text(), path.read_text()) == ("", "of logrotate\nnew\n")


def test_looked_for_now_and_then(path: Path) -> None:
    """It is not looked for at each line."""
    with closing(LogFile(str(path))) as log:
        moved = path.rename(path.with_name("access.log.1"))
        log._look_at = float("inf")
        log.write("line\n")
    assert moved.read_text() == "line\n"


def test_cannot_be_made(path: Path, log: LogFile, logs: Logs) -> None:
    """If there can be no new one, the old one is better than none; that is said once."""
    moved = path.parent.rename(path.parent.with_name("moved")) / "access.log"
    log.write("1\n")
    log.write("2\n")
    assert moved.read_text() == "1\n2\n"
    why = "No such file or directory"
    (line,) = logs.take()
    assert line == (
        f"WARNING {path} was moved, and cannot be made anew ({why}): what was moved is written on"
    )
    path.parent.mkdir()
    log.write("3\n")
    assert path.read_text() == "3\n"


def test_another_directory(path: Path, log: LogFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the application works later is of no account."""
    monkeypatch.chdir(path.parent)
    with closing(LogFile("other.log")) as other:
        monkeypatch.chdir(path.parent.parent)
        (path.parent / "other.log").unlink()
        other.write("line\n")
    assert (path.parent / "other.log").read_text() == "line\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is full")
async def test_full_disk(tmp_path: Path) -> None:
    """A server whose access log has no room serves, says so once, and ends with 0."""
    here = with_application(tmp_path)
    arguments = ("-p", "0", "--access-log", "/dev/full", "app:path")
    async with launched(*arguments, directory=here) as process:
        async with connected(await process.address()) as client:
            for _ in range(3):
                assert (await client.fetch("/")).status == 200
        ended = await process.stop()
    assert ended.code == 0
    assert ended.stderr.count("The access log cannot be written; the server goes on without") == 1
