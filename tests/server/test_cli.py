"""The parts of the command line that need no process of their own."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
    make_parser,
    open_access_log,
    run,
    serve,
)
from fairway.server.config import ConfigError, Option, options


def parse(*arguments: str) -> dict[str, Any]:
    """What was typed, without the application, which is ``app:path``."""
    found = vars(make_parser().parse_args([*arguments, "app:path"]))
    assert found.pop("application") == "app:path"
    return found


def example(option: Option) -> tuple[str, object]:
    """A value of an option as it is typed, and as it is configured."""
    if option.choices:
        return option.choices[-1], option.choices[-1]
    if option.name == "endpoints":
        return "unix:a", ("unix:a",)
    if option.name == "unix_socket_mode":
        return "660", "660"
    if option.name == "metrics":
        return "unix:a", "unix:a"
    if option.name == "health_path":
        return "/-", "/-"
    if option.type is int and option.minimum is not None and option.minimum > 3:
        return f"{option.minimum:g}", option.minimum
    values = {"int": ("3", 3), "float": ("1.5", 1.5), "str": ("a", "a"), "tuple": ("a", ("a",))}
    return values[option.type.__name__]


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


class TestParser:
    """The parser that is made from the options."""

    def test_nothing_typed(self) -> None:
        """Only what was typed is there, so that settings can fill in the rest."""
        assert parse() == {"no_server_name": False}

    @pytest.mark.parametrize(
        ("flag", "option"),
        [
            (flag, option)
            for option in options()
            if option.type is not bool
            for flag in option.flags
        ],
    )
    def test_each_option(self, flag: str, option: Option) -> None:
        """Each spelling of each option gives a value that the configuration takes."""
        typed, value = example(option)
        found = parse(flag, typed)
        assert found.pop("no_server_name") is False
        assert found == {option.name: value}
        assert getattr(Config.from_mapping(found), option.name) == value

    @pytest.mark.row("2.1 --endpoint")
    def test_repeated(self) -> None:
        """Endpoints are named one by one, as a colon or a comma may be part of them."""
        found = parse("-e", "tcp:80", "--endpoint", "unix:a,b")
        assert found["endpoints"] == ("tcp:80", "unix:a,b")

    def test_daphne_spellings(self) -> None:
        """Daphne's two flags with underscores are taken."""
        found = parse("--websocket_timeout", "5", "--websocket_connect_timeout", "6")
        assert (found["websocket_timeout"], found["websocket_connect_timeout"]) == (5.0, 6.0)

    def test_switch(self) -> None:
        """A switch can be put either way: what is typed must win over a setting that is on."""
        assert parse("--proxy-headers")["proxy_headers"] is True
        assert parse("--no-proxy-headers")["proxy_headers"] is False

    @pytest.mark.parametrize(
        ("typed", "networks"),
        [("10.0.0.0/8, ::1", ("10.0.0.0/8", "::1")), ("*", ("*",)), ("", ()), (",", ())],
    )
    def test_list(self, typed: str, networks: tuple[str, ...]) -> None:
        """A list is separated by commas, and may be empty."""
        assert parse("--trusted-proxies", typed)["trusted_proxies"] == networks

    def test_choices(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A value that is no choice is refused with the choices."""
        with pytest.raises(SystemExit, match=r"^2$"):
            parse("--lifespan", "never")
        message = capsys.readouterr().err
        assert "argument --lifespan: invalid choice: 'never' (choose from" in message


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
        with stream:
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
