"""The parts of the command line that need no process of their own."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import fairway
from fairway._types import Receive, Scope, Send
from fairway.server import Config
from fairway.server.application.lifespan import LifespanFailed
from fairway.server.cli import (
    configure_logging,
    main,
    open_access_log,
    run,
    serve,
)
from fairway.server.config import ConfigError


@contextmanager
def bare_root() -> Iterator[logging.Logger]:
    """The root logger without handlers, pytest's neither; all is as before afterwards."""
    root, asyncio_logger = logging.getLogger(), logging.getLogger("asyncio")
    before = root.handlers, root.level, asyncio_logger.level
    root.handlers = []
    try:
        yield root
    finally:
        root.handlers = before[0]
        root.setLevel(before[1])
        asyncio_logger.setLevel(before[2])


class TestConfigureLogging:
    """Records on standard error."""

    @pytest.mark.parametrize(
        ("verbosity", "level", "asyncio_level"),
        [(0, 30, 30), (1, 20, 30), (2, 10, 30), (3, 10, 10), (9, 10, 10)],
    )
    def test_levels(self, verbosity: int, level: int, asyncio_level: int) -> None:
        """Verbosity is the level of all loggers, but asyncio's details need one more."""
        with bare_root() as root:
            configure_logging(Config(verbosity=verbosity))
            assert (root.level, logging.getLogger("asyncio").level) == (level, asyncio_level)

    def test_format(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Records go to standard error in the format; a second call replaces the first."""
        with bare_root() as root:
            configure_logging(Config())
            configure_logging(Config(log_fmt="%(levelname)s <%(message)s>"))
            logging.getLogger("fairway.server").info("hello")
            assert len(root.handlers) == 1
        assert capsys.readouterr() == ("", "INFO <hello>\n")

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Or as JSON, an object on each line."""
        with bare_root():
            configure_logging(Config(log_format="json"))
            logging.getLogger("fairway.server").info("hello\nthere")
        (line,) = capsys.readouterr().err.splitlines()
        found = json.loads(line)
        assert (found["level"], found["message"]) == ("INFO", "hello\nthere")

    @pytest.mark.parametrize(
        ("log_fmt", "why"),
        [
            ("message", "Invalid format 'message' for '%' style"),
            ("%(nothing)s", "Formatting field not found in record: 'nothing'"),
            ("%(message)d", "%d format: a real number is required, not str"),
        ],
    )
    def test_no_format(self, log_fmt: str, why: str) -> None:
        """What is no format is refused before anything is changed."""
        root = logging.getLogger()
        before = root.handlers.copy(), root.level
        with pytest.raises(ConfigError) as caught:
            configure_logging(Config(log_fmt=log_fmt))
        assert str(caught.value) == f"log_fmt is no format for log records: {why}."
        assert (root.handlers, root.level) == before


class TestOpenAccessLog:
    """Where the access log goes."""

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, True),
            ({"verbosity": 0}, False),
            ({"access_log": "-"}, True),
            ({"access_log": "-", "verbosity": 0}, True),
        ],
    )
    def test_standard_output(self, options: dict[str, Any], expected: bool) -> None:
        """To standard output, unless verbosity is 0 and nobody asks for it."""
        assert open_access_log(Config(**options)) is (sys.stdout if expected else None)

    def test_file(self, tmp_path: Path) -> None:
        """Lines are added to a file, each at once, whatever script they are in."""
        path = tmp_path / "log"
        path.write_text("before\n")
        stream = open_access_log(Config(access_log=str(path), verbosity=0))
        assert stream is not None
        with closing(stream):
            stream.write("/é\n")
            assert path.read_text(encoding="utf-8") == "before\n/é\n"

    def test_no_file(self, tmp_path: Path) -> None:
        """What cannot be written is refused with the reason."""
        with pytest.raises(ConfigError) as caught:
            open_access_log(Config(access_log=str(tmp_path)))
        assert str(caught.value) == f"Cannot write the access log {tmp_path}: Is a directory."


class TestRun:
    """The whole, as far as it comes without serving."""

    @pytest.fixture(autouse=True)
    def path(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What it adds to the module path is taken away again."""
        monkeypatch.setattr(sys, "path", sys.path.copy())

    def test_code(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What cannot be served gives 1 and a line; the working directory is searched first."""
        with bare_root():
            assert run(["absent_site:a"]) == 1
        assert sys.path[0] == "."
        assert capsys.readouterr().err.startswith("fairway: There is no module 'absent_site' here")

    def test_values_before_the_module(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What was typed is complained about before anything is loaded."""
        assert run(["--port", "-1", "absent_site:a"]) == 1
        assert capsys.readouterr() == ("", "fairway: port must be at least 0, not -1.\n")

    def test_main(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Without arguments, ``main()`` takes those of the process, and ends it."""
        monkeypatch.setattr(sys, "argv", ["fairway", "--version"])
        with pytest.raises(SystemExit, match=r"^0$"):
            main()
        assert capsys.readouterr().out == f"fairway {fairway.__version__}\n"


def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C while the application is still imported ends the process, without a traceback."""
    (tmp_path / "slow_site.py").write_text("raise KeyboardInterrupt")
    ended = subprocess.run(
        [sys.executable, "-m", "fairway", "-p", "0", "slow_site:application"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps the server from starting is raised, and standard output stays open."""

    async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    monkeypatch.setattr(sys, "stdout", stream := io.StringIO())
    with pytest.raises(LifespanFailed, match=r"^no$"):
        serve(refuses, Config(port=0, loop="asyncio"))
    assert not stream.closed
