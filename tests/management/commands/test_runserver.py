"""``manage.py runserver``, as a process and piece by piece."""

import logging
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.management.base import CommandError
from django.utils import autoreload
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from fairway import __version__
from fairway._types import Receive, Scope, Send
from fairway.management.commands import runserver
from fairway.management.commands.runserver import Command
from fairway.server import Config
from tests.management.commands.project import Project

#: What is told of a request, with its status.
DETAILS = {
    "path": "/x%20y",
    "client": "127.0.0.1:5000",
    "method": "GET",
    "time_taken": 0.0125,
    "size": 0,
}

# pytest-django's `settings` fixture; its attributes are any setting.
Settings = Any


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """What ``ASGI_APPLICATION`` names in these tests."""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def get(port: int, path: str, host: str = "127.0.0.1") -> httpx.Response:
    return httpx.get(f"http://{host}:{port}{path}", trust_env=False)


class TestProcess:
    @pytest.mark.row("2.6 log lines", "2.6 static files")
    def test_it_serves_pages_static_files_and_websockets(self, project: Project) -> None:
        """One port answers all three, in Django's manner, until Ctrl-C."""
        with project.manage("runserver", "127.0.0.1:0", "--noreload") as process:
            port = process.port()
            assert get(port, "/").text == "hello"
            assert get(port, "/static/style.css").text == "body {}\n"
            assert get(port, "/no%20page?a=1").status_code == 404
            with connect(f"ws://127.0.0.1:{port}/echo?room=1", proxy=None) as websocket:
                websocket.send("hello")
                assert websocket.recv() == "hello"
                process.interrupt()
                with pytest.raises(ConnectionClosed) as caught:
                    websocket.recv(timeout=10)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1012
            assert process.finish() == 0
        client = r"\[127\.0\.0\.1:\d+\]"
        expected = [
            r"Performing system checks\.\.\.",
            r"System check identified no issues \(0 silenced\)\.",
            r"You have \d+ unapplied migration\(s\)\. .*",
            r"Django version \S+, using settings 'settings'",
            (
                rf"Starting ASGI/Fairway version {re.escape(__version__)} development server at "
                rf"http://127\.0\.0\.1:{port}/"
            ),
            r"Quit the server with CONTROL-C\.",
            r"HTTP GET / 200 \[\d\.\d\d, 127\.0\.0\.1:\d+\]",
            r"HTTP GET /static/style\.css 200 \[\d\.\d\d, 127\.0\.0\.1:\d+\]",
            r"HTTP GET /no%20page\?a=1 404 \[\d\.\d\d, 127\.0\.0\.1:\d+\]",
            rf"WebSocket HANDSHAKING /echo\?room=1 {client}",
            rf"WebSocket CONNECT /echo\?room=1 {client}",
            rf"WebSocket DISCONNECT /echo\?room=1 {client}",
            r"disconnected with 1012",
        ]
        lines = iter(process.seen)
        for pattern in expected:
            assert any(re.fullmatch(pattern, line) for line in lines), (pattern, process.seen)

    def test_it_reloads_and_survives_an_application_that_does_not_import(
        self, project: Project
    ) -> None:
        """A broken file shows its traceback, and saving it again brings the server back."""
        good = project.read("asgi.py")
        with project.manage("runserver", "127.0.0.1:0") as process:
            with connect(f"ws://127.0.0.1:{process.port()}/", proxy=None) as websocket:
                change(project, process, "import not_there\n" + good)
                with pytest.raises(ConnectionClosed):
                    websocket.recv(timeout=10)
            process.wait_for(r"disconnected with 1012")
            process.wait_for(r"^ModuleNotFoundError: No module named 'not_there'$")
            change(project, process, good)
            assert get(process.port(), "/").text == "hello"
            process.interrupt()
            assert process.finish() == 0
        assert any("asgi.py" in line and "line 1" in line for line in process.seen)

    def test_a_call_that_blocks_everybody_is_shown(self, project: Project) -> None:
        """Where an application holds the event loop up, the log shows the line, while it does."""
        project.write(
            "asgi.py",
            """
            import pathlib
            import time

            async def application(scope, receive, send):
                assert scope["type"] == "http"
                while not pathlib.Path("go").exists():
                    time.sleep(0.01)
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"at last"})
            """,
        )
        with project.manage("runserver", "127.0.0.1:0", "--noreload") as process:
            port = process.port()
            with ThreadPoolExecutor(1) as pool:
                answer = pool.submit(get, port, "/")
                process.wait_for(r"^Nobody has been served for 2 s")
                process.wait_for(r"asgi\.py\", line \d+, in application$")
                project.write("go", "on")
                assert answer.result().text == "at last"
            process.interrupt()
            assert process.finish() == 0

    def test_a_port_in_use_is_one_line(self, project: Project) -> None:
        """Django's words, no traceback, and a failing exit status."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = f"127.0.0.1:{other.getsockname()[1]}"
            with project.manage("runserver", address, "--noreload") as process:
                assert process.finish() == 1
        assert process.seen[-1] == "Error: That port is already in use."
        assert not any("Traceback" in line for line in process.seen)

    def test_system_checks_stop_it(self, project: Project) -> None:
        """A mistake that a check finds is told, and nothing is served."""
        project.write("asgi.py", "application = 42")
        with project.manage("runserver", "127.0.0.1:0", "--noreload") as process:
            assert process.finish() == 1
        assert any(
            "(fairway.E005)" in line and "which is of type int and cannot be called." in line
            for line in process.seen
        )

    def test_log_action_may_be_overridden(self, project: Project) -> None:
        """A project's own command is told of each action in Daphne's words."""
        for package in ("quiet", "quiet/management", "quiet/management/commands"):
            project.write(f"{package}/__init__.py", "# a package")
        project.write(
            "quiet/management/commands/quietserver.py",
            """
            from fairway.management.commands.runserver import Command as RunserverCommand

            class Command(RunserverCommand):
                def log_action(self, protocol, action, details):
                    self.stdout.write(f"{protocol} {action} {details['path']}")
            """,
        )
        project.write(
            "settings.py", project.read("settings.py").replace('["fairway"', '["quiet", "fairway"')
        )
        with project.manage("quietserver", "127.0.0.1:0", "--noreload") as process:
            port = process.port()
            assert get(port, "/").text == "hello"
            with connect(f"ws://127.0.0.1:{port}/echo", proxy=None) as websocket:
                websocket.send("hello")
                assert websocket.recv() == "hello"
            process.wait_for(r"^websocket disconnected /echo$")
            process.interrupt()
            assert process.finish() == 0
        said = [line for line in process.seen if line.startswith(("http ", "websocket "))]
        assert said == [
            "http complete /",
            "websocket connecting /echo",
            "websocket connected /echo",
            "websocket disconnected /echo",
        ]

    @pytest.mark.row("2.6 runserver flags")
    def test_noasgi_is_djangos_own_server(self, project: Project) -> None:
        """``--noasgi`` serves pages and static files over WSGI."""
        with project.manage("runserver", "127.0.0.1:0", "--noreload", "--noasgi") as process:
            port = process.port()
            assert get(port, "/").text == "hello"
            assert get(port, "/static/style.css").text == "body {}\n"
            process.interrupt()
            assert process.finish() == 0
        (banner,) = (
            line for line in process.seen if f" server at http://127.0.0.1:{port}/" in line
        )
        assert "Fairway" not in banner

    @pytest.mark.parametrize("address", [("[::1]:0",), ("-6", "0"), ("--ipv6", "localhost:0")])
    def test_ipv6(self, project: Project, address: tuple[str, ...]) -> None:
        """Addresses of IPv6 are listened on, and shown as one clicks on them."""
        host = "localhost" if "localhost:0" in address else "::1"
        if not _has_ipv6(host):
            pytest.skip(f"{host} has no IPv6 address on this machine")
        with project.manage("runserver", *address, "--noreload") as process:
            assert get(process.port(), "/", host="[::1]").text == "hello"
        shown = host if host == "localhost" else r"\[::1\]"
        assert any(re.search(rf"server at http://{shown}:\d+/$", line) for line in process.seen)


def change(project: Project, process: Any, text: str) -> None:
    """Save ``asgi.py`` until the autoreloader, which may only just have begun to look, sees it."""
    while True:
        project.write("asgi.py", text)
        try:
            process.wait_for(r"asgi\.py changed, reloading\.$", seconds=2)
        except TimeoutError:
            continue
        return


def _has_ipv6(host: str) -> bool:
    try:
        socket.create_server((host, 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


class Parsed(Command):
    """A command that stops where it would begin to serve."""

    options: dict[str, Any]

    def run(self, **options: Any) -> None:
        """Keep the options."""
        self.options = options


def parse(*arguments: str) -> Parsed:
    command = Parsed(no_color=True)
    options = vars(command.create_parser("manage.py", "runserver").parse_args(arguments))
    command.handle(**options)
    return command


@pytest.fixture
def _asgi(settings: Settings) -> None:
    settings.ASGI_APPLICATION = f"{__name__}.application"


@pytest.mark.usefixtures("_asgi")
class TestOptions:
    def config(self, *arguments: str) -> Config:
        command = parse(*arguments)
        return command.get_config(command.options)

    def test_defaults(self) -> None:
        """Without arguments it is the server's own configuration at Django's address."""
        assert self.config() == Config(
            host="127.0.0.1", port=8000, graceful_timeout=1.0, websocket_retry_window=0.0
        )

    @pytest.mark.row("2.6 runserver flags")
    def test_flags(self) -> None:
        """Each flag is a field of the configuration."""
        config = self.config(
            "0.0.0.0:9000",
            *("--http_timeout", "30"),
            *("--websocket_handshake_timeout", "2.5"),
            *("--websocket-max-message-size", "0"),
            *("--websocket-max-frame-size", "65536"),
        )
        assert config == Config(
            host="0.0.0.0",
            port=9000,
            http_timeout=30,
            websocket_connect_timeout=2.5,
            websocket_max_message_size=0,
            websocket_max_frame_size=65536,
            graceful_timeout=1.0,
            websocket_retry_window=0.0,
        )

    def test_the_setting(self, settings: Settings) -> None:
        """``FAIRWAY`` applies, but for where to listen and for how to end with many clients."""
        settings.FAIRWAY = {
            "ping_interval": 5,
            "websocket_retry_window": 2.0,
            "host": "10.1.2.3",
            "unix_socket": "/run/x.sock",
            "proxy_protocol": True,
            "drain_delay": 10.0,
            "drain_window": 10.0,
        }
        assert self.config() == Config(
            host="127.0.0.1",
            port=8000,
            ping_interval=5,
            graceful_timeout=1.0,
            websocket_retry_window=2.0,
        )

    def test_flags_before_settings_before_what_daphne_was_told(self, settings: Settings) -> None:
        """The nearest word counts."""
        settings.DAPHNE_WEBSOCKET_MAX_MESSAGE_SIZE = 1
        settings.DAPHNE_WEBSOCKET_MAX_FRAME_SIZE = 2
        config = self.config()
        assert (config.websocket_max_message_size, config.websocket_max_frame_size) == (1, 2)
        settings.FAIRWAY = {"websocket_max_message_size": 3, "websocket_max_frame_size": 4}
        config = self.config("--websocket-max-frame-size", "5")
        assert (config.websocket_max_message_size, config.websocket_max_frame_size) == (3, 5)

    @pytest.mark.row("2.6 root path")
    def test_the_script_name(self, settings: Settings) -> None:
        """``FORCE_SCRIPT_NAME`` is the root path."""
        settings.FORCE_SCRIPT_NAME = "/app"
        assert self.config().root_path == "/app"

    def test_a_wrong_setting(self, settings: Settings) -> None:
        """What the checks would say is said without them, too."""
        settings.FAIRWAY = {"threads": 0}
        with pytest.raises(CommandError) as caught:
            self.config()
        assert str(caught.value) == (
            "In the flags or the setting FAIRWAY: threads must be at least 1, not 0."
        )

    @pytest.mark.parametrize("value", [None, ""])
    @pytest.mark.row("2.6 missing ASGI_APPLICATION")
    def test_no_application(self, settings: Settings, value: str | None) -> None:
        """Without ``ASGI_APPLICATION`` there is nothing to start, but Django's own server."""
        settings.ASGI_APPLICATION = value
        with pytest.raises(CommandError) as caught:
            parse()
        assert str(caught.value) == (
            "You have not set ASGI_APPLICATION, which is needed to run the server. Write "
            'ASGI_APPLICATION = "mysite.asgi.application" into your settings, with the name of '
            "your project, or start with --noasgi."
        )
        assert parse("--noasgi").options["use_asgi"] is False

    @pytest.mark.parametrize("address", ["nonsense:x", "127.0.0.1:", "-6 127.0.0.1:8000"])
    def test_addresses_are_djangos(self, address: str) -> None:
        """What is no address is refused as Django does."""
        with pytest.raises(CommandError, match="is not a valid"):
            parse(*address.split())


@pytest.mark.usefixtures("_asgi")
@pytest.mark.row("2.6 static files")
class TestStaticFiles:
    @pytest.mark.parametrize(
        ("debug", "flags", "wrapped"),
        [
            (True, (), True),
            (True, ("--nostatic",), False),
            (False, (), False),
            (False, ("--insecure",), True),
            (False, ("--insecure", "--nostatic"), False),
        ],
    )
    def test_when_they_are_served(
        self, settings: Settings, debug: bool, flags: tuple[str, ...], wrapped: bool
    ) -> None:
        """With ``DEBUG`` or ``--insecure``, unless ``--nostatic``."""
        settings.DEBUG = debug
        command = parse(*flags)
        served = command.get_application(command.options)
        assert isinstance(served, ASGIStaticFilesHandler) is wrapped
        assert wrapped or served is application


@pytest.mark.row("2.6 log lines")
class TestLog:
    @pytest.mark.parametrize(
        ("status", "level", "style"),
        [
            (101, logging.INFO, "HTTP_INFO"),
            (200, logging.INFO, "HTTP_SUCCESS"),
            (302, logging.INFO, "HTTP_REDIRECT"),
            (304, logging.INFO, "HTTP_NOT_MODIFIED"),
            (403, logging.WARNING, "HTTP_BAD_REQUEST"),
            (404, logging.WARNING, "HTTP_NOT_FOUND"),
            (500, logging.ERROR, "HTTP_SERVER_ERROR"),
            (599, logging.ERROR, "HTTP_SERVER_ERROR"),
        ],
    )
    def test_requests_by_status(
        self, caplog: pytest.LogCaptureFixture, status: int, level: int, style: str
    ) -> None:
        """The status gives the level and the colour, as with Django's own server."""
        caplog.set_level(logging.INFO, logger="django.channels.server")
        command = Command(force_color=True)
        setattr(command.style, style, lambda text: f"<{style}>{text}")
        command.log_action("http", "complete", {**DETAILS, "status": status})
        expected = f"<{style}>HTTP GET /x%20y {status} [0.01, 127.0.0.1:5000]"
        assert [(r.levelno, r.getMessage()) for r in caplog.records] == [(level, expected)]

    def test_websockets(self, caplog: pytest.LogCaptureFixture) -> None:
        """The steps of a WebSocket are named in Daphne's words."""
        caplog.set_level(logging.INFO, logger="django.channels.server")
        for action in ("connecting", "connected", "disconnected", "rejected"):
            Command(no_color=True).log_action(
                "websocket", action, {"path": "/ws/", "client": "127.0.0.1:5000"}
            )
        assert caplog.messages == [
            f"WebSocket {word} /ws/ [127.0.0.1:5000]"
            for word in ("HANDSHAKING", "CONNECT", "DISCONNECT", "REJECT")
        ]


def test_reloader_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking takes a tenth of a processor; the first look and other threads do not count."""
    clock = iter([0.0, 9.0, 9.0, 9.01, 9.01, 9.51])
    monkeypatch.setattr("time.thread_time", lambda: next(clock))
    monkeypatch.setattr(autoreload.StatReloader, "watched_files", lambda self: [])
    reloader = runserver.Reloader()
    breaks = []
    for _ in range(3):
        assert list(reloader.snapshot_files()) == []
        breaks.append(round(reloader.SLEEP_TIME, 2))
    assert breaks == [0.15, 0.15, 5.0]
