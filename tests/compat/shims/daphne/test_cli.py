"""``daphne.cli``."""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fairway._types import ASGIApplication, Receive, Scope, Send
from fairway.compat.shims.daphne.access import AccessLogGenerator
from fairway.compat.shims.daphne.cli import CommandLineInterface
from fairway.compat.shims.daphne.server import Server

APPLICATION = "tests.compat.shims.daphne.test_cli:app"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """An application."""


class Legacy:
    """An application of ASGI 2: called with a scope, it returns what is awaited."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, receive: Receive, send: Send) -> None:
        """Tell what was asked."""
        await send({"type": self.scope["type"]})


class Recorded(Server):
    """A server that keeps its arguments and does not serve."""

    arguments: dict[str, Any]

    def __init__(self, application: ASGIApplication, **arguments: Any) -> None:
        super().__init__(application, **arguments)
        self.arguments = arguments

    def run(self) -> None:
        """Check the arguments only."""
        self.get_config()


class Recording(CommandLineInterface):
    """The command line with that server."""

    server_class = Recorded


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command line changes is as it was."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr("logging.basicConfig", lambda **options: None)


def run(*args: str) -> dict[str, Any]:
    """The arguments of the server for a command line."""
    interface = Recording()
    interface.run([*args, APPLICATION])
    assert isinstance(interface.server, Recorded)
    assert interface.server.application is app
    return interface.server.arguments


class TestEndpoints:
    """Where it listens."""

    @pytest.mark.row("2.1 --bind", "2.1 --unix-socket", "2.1 --fd", "2.1 --endpoint")
    @pytest.mark.parametrize(
        ("args", "endpoints"),
        [
            ([], ["tcp:port=8000:interface=127.0.0.1"]),
            (["-p", "123"], ["tcp:port=123:interface=127.0.0.1"]),
            (["-b", "10.0.0.1"], ["tcp:port=8000:interface=10.0.0.1"]),
            (["--port", "8", "--bind", "::1"], [r"tcp:port=8:interface=\:\:1"]),
            (["-u", "/s"], ["unix:/s"]),
            (["--unix-socket", "/s", "-p", "5"], ["tcp:port=5:interface=127.0.0.1", "unix:/s"]),
            (["--fd", "5"], ["fd:fileno=5"]),
            (["-e", "tcp:80"], ["tcp:80"]),
            (
                ["-e", "ssl:443", "-e", "unix:/s", "-p", "80"],
                ["ssl:443", "tcp:port=80:interface=127.0.0.1", "unix:/s"],
            ),
        ],
    )
    def test_endpoints(self, args: list[str], endpoints: list[str]) -> None:
        """The default is there only if nothing else is named; one of host and port implies both."""
        assert run(*args)["endpoints"] == endpoints


class TestOptions:
    """What else can be said."""

    @pytest.mark.row(
        "2.1 --websocket_timeout",
        "2.1 --websocket_connect_timeout",
        "2.1 --http-timeout",
        "2.1 --ping-interval",
        "2.1 --websocket-max-message-size",
        "2.1 --application-close-timeout",
        "2.1 --root-path",
        "2.1 --server-name",
    )
    @pytest.mark.parametrize(
        ("args", "expected"),
        [
            (
                [],
                {
                    "websocket_timeout": 86400,
                    "websocket_connect_timeout": 5,
                    "http_timeout": None,
                    "ping_interval": 20,
                    "ping_timeout": 30,
                    "websocket_max_message_size": 1048576,
                    "websocket_max_frame_size": 1048576,
                    "application_close_timeout": 10,
                    "root_path": "",
                    "server_name": "daphne",
                },
            ),
            (["--websocket_timeout", "-1"], {"websocket_timeout": -1}),
            (["--websocket_connect_timeout", "7"], {"websocket_handshake_timeout": 7}),
            (["-t", "9"], {"http_timeout": 9}),
            (["--ping-interval", "3"], {"ping_interval": 3}),
            (["--ping-timeout", "4"], {"ping_timeout": 4}),
            (["--websocket-max-message-size", "0"], {"websocket_max_message_size": 0}),
            (["--websocket-max-frame-size", "9"], {"websocket_max_frame_size": 9}),
            (["--application-close-timeout", "3"], {"application_close_timeout": 3}),
            (["--root-path", "/a"], {"root_path": "/a"}),
            (["-s", "mine"], {"server_name": "mine"}),
            (["--no-server-name"], {"server_name": ""}),
        ],
    )
    def test_values(self, args: list[str], expected: dict[str, Any]) -> None:
        """Each flag is an argument of the server."""
        found = run(*args)
        assert {name: found[name] for name in expected} == expected

    @pytest.mark.row("2.1 --proxy-headers")
    def test_proxy_headers(self) -> None:
        """The usual headers are meant unless others are named."""
        found = run("--proxy-headers")
        assert found["proxy_forwarded_address_header"] == "X-Forwarded-For"
        assert found["proxy_forwarded_port_header"] == "X-Forwarded-Port"
        assert found["proxy_forwarded_proto_header"] == "X-Forwarded-Proto"
        found = run("--proxy-headers", "--proxy-headers-host", "X-A", "--proxy-headers-port", "X-B")
        assert found["proxy_forwarded_address_header"] == "X-A"
        assert found["proxy_forwarded_port_header"] == "X-B"
        found = run()
        assert found["proxy_forwarded_address_header"] is None
        assert found["proxy_forwarded_port_header"] is None
        assert found["proxy_forwarded_proto_header"] is None

    def test_a_server_class_of_ones_own(self) -> None:
        """It has to take the arguments and to run, as with Daphne 4.1."""

        class Least:
            def __init__(self, **arguments: Any) -> None:
                self.arguments = arguments

            def run(self) -> None:
                served.append(self.arguments["endpoints"])

        class Command(CommandLineInterface):
            server_class = Least  # type: ignore[assignment]  # as a stranger writes it

        served: list[list[str]] = []
        Command().run([APPLICATION])
        assert served == [["tcp:port=8000:interface=127.0.0.1"]]

    @pytest.mark.row("2.1 --proxy-headers")
    @pytest.mark.parametrize("flag", ["--proxy-headers-host", "--proxy-headers-port"])
    def test_proxy_headers_alone(self, flag: str) -> None:
        """A header is not named without the switch."""
        with pytest.raises(argparse.ArgumentError) as caught:
            run(flag, "X")
        assert str(caught.value) == (
            f"argument {flag}: --proxy-headers has to be passed for this parameter."
        )

    @pytest.mark.row("2.1 --access-log")
    @pytest.mark.parametrize(
        ("args", "stream"),
        [
            ([], "stdout"),
            (["--access-log", "-"], "stdout"),
            (["-v", "0"], None),
            (["-v", "0", "--access-log", "-"], "stdout"),
        ],
    )
    def test_access_log(self, args: list[str], stream: str | None) -> None:
        """It goes to standard output, unless nothing is to be said."""
        log = run(*args)["action_logger"]
        assert log is None if stream is None else log.stream is sys.stdout

    @pytest.mark.row("2.1 --access-log")
    def test_access_log_file(self, tmp_path: Path) -> None:
        """Or it is added to a file, line by line."""
        (tmp_path / "log").write_text("before\n")
        log = run("--access-log", str(tmp_path / "log"))["action_logger"]
        assert isinstance(log, AccessLogGenerator)
        log("websocket", "connected", {"path": "/", "client": "a"})
        assert len((tmp_path / "log").read_text().splitlines()) == 2
        log.stream.close()

    @pytest.mark.row("2.1 --verbosity", "2.1 --log-fmt")
    def test_logging(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Verbosity and format are those of the log."""
        told: list[dict[str, Any]] = []
        monkeypatch.setattr("logging.basicConfig", lambda **options: told.append(options))
        for verbosity in "0123":
            run("-v", verbosity, "--log-fmt", "%(message)s")
        assert [options["level"] for options in told] == [30, 20, 10, 10]
        assert {options["format"] for options in told} == {"%(message)s"}

    @pytest.mark.row("2.1 --verbosity")
    def test_verbosity(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Other numbers are refused."""
        with pytest.raises(SystemExit):
            run("-v", "4")
        assert "argument -v/--verbosity: invalid choice: 4 (choose from" in capsys.readouterr().err


async def test_legacy_application() -> None:
    """An application of ASGI 2 is served, too."""
    application = CommandLineInterface().load_asgi_app(APPLICATION.replace(":app", ":Legacy"))
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def receive() -> Any:
        raise AssertionError

    await application({"type": "http"}, receive, send)
    assert sent == [{"type": "http"}]


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C before the server listens for it, or once more at its end, leaves no traceback."""

    def run(self: CommandLineInterface, args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(CommandLineInterface, "run", run)
    with pytest.raises(SystemExit) as caught:
        CommandLineInterface.entrypoint()
    assert caught.value.code == 130


def test_cannot_listen() -> None:
    """The exit code is 1."""
    with pytest.raises(SystemExit) as caught:
        CommandLineInterface().run(["-u", "/no/such/directory/s", APPLICATION])
    assert caught.value.code == 1


def test_module() -> None:
    """``python -m daphne`` works where the alias is installed, and says what it can."""
    program = (
        "import runpy, sys; import fairway.compat; fairway.compat.install();"
        "sys.argv = ['daphne', '--help']; runpy.run_module('daphne', run_name='__main__')"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert "Django HTTP/WebSocket server" in result.stdout
    assert "--application-close-timeout" in result.stdout
