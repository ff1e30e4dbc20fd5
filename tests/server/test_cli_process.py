"""The command line as a process: what it says of itself, what it refuses, where it listens."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import fairway
from fairway.server.config import options
from fairway.server.listening.holder import port_holder
from tests.server.process import Ended, connected, launched, outcome, with_application

#: A Django project around it.
ASGI = """
import os
import django
os.environ["DJANGO_SETTINGS_MODULE"] = "project_settings"
django.setup()
from app import path as application
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The working directory of the processes, which holds the module ``app``."""
    return with_application(tmp_path.resolve())


def make_project(here: Path, settings: str) -> None:
    """Put a Django project there, with ``asgi:application``."""
    (here / "project_settings.py").write_text(f"SECRET_KEY = 'a key'\n{settings}\n")
    (here / "asgi.py").write_text(ASGI)


@pytest.fixture
def inherited() -> Iterator[socket.socket]:
    """A listening socket for the process to inherit."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock


def url_of(sock: socket.socket) -> str:
    """Where a socket listens."""
    return f"http://127.0.0.1:{sock.getsockname()[1]}"


class TestHelp:
    """What it tells about itself."""

    async def test_help(self, here: Path) -> None:
        """``--help`` names each option with its flags, its default and its unit."""
        help_ = await outcome("--help", directory=here)
        assert (help_.code, help_.stderr) == (0, "")
        for option in options():
            for flag in option.flags:
                assert f"{flag}, " in help_.stdout or f"{flag} " in help_.stdout
            assert option.help in help_.stdout
            if option.type is tuple and option.default:
                assert f"{option.help} [{','.join(option.default)}]" in help_.stdout
            elif option.default not in (None, "", ()) and option.type is not bool:
                default = f"{option.default:g}" if option.type is float else option.default
                unit = f" {option.unit}" if option.unit else ""
                assert f"{option.help} [{default}{unit}]" in help_.stdout
        assert "fairway -b 0.0.0.0 -p 8001 mysite.asgi:application" in help_.stdout

    async def test_version(self, here: Path) -> None:
        """``--version`` is one line."""
        expected = Ended(0, f"fairway {fairway.__version__}\n", "")
        assert await outcome("--version", directory=here) == expected

    async def test_threads(self, here: Path) -> None:
        """The environment variable ASGI_THREADS sets the default number of threads."""
        help_ = await outcome("--help", directory=here, environment={"ASGI_THREADS": "7"})
        assert "sets the default. [7 threads]" in help_.stdout


class TestRefusals:
    """What cannot be served is said in one line."""

    @pytest.mark.parametrize("name", ["WEB_CONCURRENCY", "ASGI_THREADS"])
    async def test_environment(self, here: Path, name: str) -> None:
        """A number in the environment that is none is not just passed over."""
        ended = await outcome("app:path", directory=here, environment={name: "many"})
        message = f"fairway: The environment variable {name} is 'many', which is no number.\n"
        assert ended == Ended(1, "", message)

    async def test_too_many_workers(self, here: Path) -> None:
        """Nor is one that takes the machine with it."""
        environment = {"WEB_CONCURRENCY": "4000"}
        ended = await outcome("app:path", directory=here, environment=environment)
        message = (
            "fairway: The environment variable WEB_CONCURRENCY is '4000', and workers must be at "
            "most 1000.\n"
        )
        assert ended == Ended(1, "", message)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--prot", "1", "app:path"], "There is no option --prot. Did you mean --port?"),
            (["--prot=1", "app:path"], "There is no option --prot. Did you mean --port?"),
            (["--banana", "app:path"], "There is no option --banana."),
            (["app:path", "app:other"], "unrecognized arguments: app:other"),
            (["-p", "x", "app:path"], "argument -p/--port: invalid int value: 'x'"),
            (["-t", "x", "app:path"], "argument -t/--http-timeout: invalid float value: 'x'"),
            (["-v", "app:path"], "argument -v/--verbosity: invalid int value: 'app:path'"),
            ([], "the following arguments are required: module:application"),
        ],
    )
    async def test_command_line(self, here: Path, arguments: list[str], message: str) -> None:
        """What is no command line ends with 2, the usage and a line that says what is wrong."""
        ended = await outcome(*arguments, directory=here)
        assert (ended.code, ended.stdout) == (2, "")
        assert ended.stderr.startswith("usage: fairway [options] module:application  (")
        assert ended.stderr.splitlines()[-1] == f"fairway: error: {message}"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["-p", "70000"], "port must be at most 65535, not 70000."),
            (["--threads", "0"], "threads must be at least 1, not 0."),
            (["--ping-interval", "nan"], "ping_interval must be a number of seconds, not nan."),
            (
                ["--log-fmt", "%(nothing)s"],
                (
                    "log_fmt is no format for log records: "
                    "Formatting field not found in record: 'nothing'."
                ),
            ),
            (
                ["-p", "0", "--proxy-headers", "--trusted-proxies", "here"],
                "trusted_proxies: 'here' does not appear to be an IPv4 or IPv6 network.",
            ),
            (
                ["--access-log", "absent/log"],
                "Cannot write the access log absent/log: No such file or directory.",
            ),
            (
                ["-u", "absent/socket"],
                "Cannot listen on absent/socket: its directory does not exist.",
            ),
            (
                ["-e", "le:/certificates:tcp:443"],
                (
                    "endpoints: Cannot listen on 'le:/certificates:tcp:443': Fairway does not "
                    "fetch certificates. Let certbot, lego or the proxy in front do that, and name "
                    "the files: ssl:443:privateKey=key.pem:certKey=chain.pem."
                ),
            ),
            (["--tls-key", "a"], "tls_key needs tls_certificate beside it."),
            (
                ["--tls-certificate", "absent"],
                "Cannot read absent: no such file or directory.",
            ),
            (
                ["--chdir", "/absent/x"],
                "Cannot work in /absent/x (chdir): No such file or directory.",
            ),
            (["--chdir", "here"], "chdir must be an absolute path, not 'here'."),
            (["--fd", "0"], "Cannot listen on file descriptor 0: it is not a socket."),
        ],
    )
    async def test_value(self, here: Path, arguments: list[str], message: str) -> None:
        """A value that cannot be used ends with 1 and a line that names it."""
        expected = Ended(1, "", f"fairway: {message}\n")
        assert await outcome(*arguments, "app:path", directory=here) == expected

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            (
                "app",
                (
                    "'app' does not name an application: write module:object, "
                    "such as mysite.asgi:application."
                ),
            ),
            (
                "absent:path",
                (
                    "There is no module 'absent' here or on the Python path "
                    "(looking for 'absent:path' from {here})."
                ),
            ),
            ("app:absent", "Module 'app' has no 'absent'. Is the name right?"),
            ("app:Site.absent", "Module 'app' has no 'Site.absent'. Is the name right?"),
            (
                "app:Site.number",
                "'app:Site.number' is of type int, which is not an ASGI application.",
            ),
            (
                "app:answer",
                (
                    "'app:answer' is not an ASGI application: "
                    "it cannot be called with a scope, receive and send. "
                    "Is it for WSGI? Then name the one in asgi.py."
                ),
            ),
        ],
    )
    async def test_application(self, here: Path, path: str, message: str) -> None:
        """What is no application ends with 1 and a line that says what to write."""
        expected = Ended(1, "", f"fairway: {message.format(here=here)}\n")
        assert await outcome(path, directory=here) == expected

    async def test_broken_module(self, here: Path) -> None:
        """An exception inside the module shows where it was raised."""
        (here / "broken.py").write_text("import absent\n")
        ended = await outcome("broken:application", directory=here)
        assert (ended.code, ended.stdout) == (1, "")
        assert ended.stderr.startswith("Traceback (most recent call last):\n")
        assert f'File "{here}/broken.py", line 1, in <module>' in ended.stderr
        assert ended.stderr.endswith("\nModuleNotFoundError: No module named 'absent'\n")

    async def test_port_in_use(self, here: Path, inherited: socket.socket) -> None:
        """A port that is taken ends with 1 and a line that says what to do."""
        port = str(inherited.getsockname()[1])
        holder = port_holder("127.0.0.1", int(port))
        who = f" ({holder})" if holder else ""  # not every system tells
        assert await outcome("-p", port, "app:path", directory=here) == Ended(
            1,
            "",
            f"fairway: Cannot listen on 127.0.0.1:{port}: "
            f"another program listens there{who}; stop it or choose another port.\n",
        )

    async def test_lifespan(self, here: Path) -> None:
        """An application that cannot start ends with 1 and a line with its reason."""
        assert await outcome("-p", "0", "app:refuses", directory=here) == Ended(
            1, "", "fairway: The application cannot start: There is no database.\n"
        )


class TestListening:
    """Where it can be reached."""

    async def test_address(self, here: Path) -> None:
        """The address that is printed can be clicked; nothing else is said before the end."""
        async with launched("-p", "0", "app:Site.application", directory=here) as server:
            url = await server.address()
            async with connected(url) as client:
                response = await client.fetch("/a?b")
            ended = await server.stop()
        assert (response.status, response.body) == (200, b"|/a")
        assert response["Server"] == "fairway"
        assert url.startswith("http://127.0.0.1:")
        assert ended.code == 0
        first, *end = [line[24:] for line in ended.stderr.splitlines()]
        assert first == f"INFO     Fairway {fairway.__version__} serves {url}"
        assert len(end) == 2

    async def test_unix_socket(self, here: Path) -> None:
        """``-u`` serves on a Unix socket, which is removed at the end."""
        path = here / "s"
        async with launched("-u", "s", "app:path", directory=here) as server:
            assert await server.address() == "unix:s"
            async with connected(path) as client:
                response = await client.fetch("/a")
            assert path.is_socket()
            ended = await server.stop()
        assert response.body == b"|/a"
        assert ended.code == 0
        assert not path.exists()

    async def test_file_descriptor(self, here: Path, inherited: socket.socket) -> None:
        """``--fd`` serves on a socket that was inherited."""
        number = inherited.fileno()
        async with launched(
            "--fd", str(number), "app:path", directory=here, pass_fds=[number]
        ) as server:
            assert await server.address() == url_of(inherited)
            async with connected(url_of(inherited)) as client:
                response = await client.fetch("/a")
            ended = await server.stop()
        assert response.body == b"|/a"
        assert ended.code == 0

    async def test_ipv6(self, here: Path) -> None:
        """``-b ::1`` serves over IPv6, and the address has its brackets."""
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("this machine has no IPv6")
        async with launched("-b", "::1", "-p", "0", "app:path", directory=here) as server:
            url = await server.address()
            async with connected(url) as client:
                response = await client.fetch("/a")
            await server.stop()
        assert url.startswith("http://[::1]:")
        assert response.body == b"|/a"


class TestSettings:
    """The ``FAIRWAY`` setting of a Django project."""

    async def test_picked_up(self, here: Path) -> None:
        """The setting applies, and what the command line says wins."""
        make_project(
            here,
            "FAIRWAY = {'port': 0, 'server_name': 'named', 'root_path': '/app', "
            "'log_fmt': '%(levelname)s: %(message)s'}",
        )
        typed = ("--server-name", "typed", "--no-raise-open-files", "asgi:application")
        async with launched(*typed, directory=here) as server:
            url = await server.address()
            async with connected(url) as client:
                response = await client.fetch("/a")
            ended = await server.stop()
        assert (response.body, response["Server"]) == (b"/app|/a", "typed")
        first, *end = ended.stderr.splitlines()
        assert first == f"INFO: Fairway {fairway.__version__} serves {url}"
        assert [line.startswith("INFO: Fairway ") for line in end] == [True, True]

    async def test_misspelt(self, here: Path) -> None:
        """A key that does not exist ends with 1 and a line with the nearest that does."""
        make_project(here, "FAIRWAY = {'ping_intervall': 5}")
        assert await outcome("asgi:application", directory=here) == Ended(
            1,
            "",
            "fairway: In the setting FAIRWAY: There is no option 'ping_intervall'. "
            "Did you mean 'ping_interval'?\n",
        )

    async def test_logging(self, here: Path) -> None:
        """A project whose LOGGING disables the loggers that it does not name still hears of us."""
        make_project(here, "LOGGING = {'version': 1}")
        async with launched("-p", "0", "asgi:application", directory=here) as server:
            assert (await server.address()).startswith("http://127.0.0.1:")
            ended = await server.stop()
        assert ended.code == 0
