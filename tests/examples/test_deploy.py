"""The files for deploying do what the documentation says of them."""

import asyncio
import configparser
import contextlib
import json
import os
import re
import shlex
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from fairway.server.arguments import read
from fairway.server.config import Config
from fairway.server.workers.assignment import patience
from tests.commands import PATIENCE, environment, printed
from tests.docs.snippets import ROOT
from tests.docs.story import serving
from tests.programs import program

DEPLOY = ROOT / "examples" / "deploy"
CERTIFICATES = ROOT / "tests" / "server" / "certificates"
#: What runs a proxy in front of a server: in a directory, before this address, with these files.
Proxy = Callable[[Path, str, Path], contextlib.AbstractContextManager[tuple[str, str]]]

UNITS = sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.socket")])
SERVERS = ("mysite.service", "mysite-activated.service")

SETTINGS = """
INSTALLED_APPS = ["fairway", *INSTALLED_APPS]
STATIC_ROOT = BASE_DIR / "static"
ALLOWED_HOSTS = ["*"]
"""
ASGI = """
import os

from django.urls import path

from fairway.generic.websocket import WebsocketConsumer
from fairway.http import get_asgi_application
from fairway.routing import ProtocolTypeRouter, URLRouter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")


class Echo(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        self.send(text_data)


application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter([path("ws/echo/", Echo.as_asgi())]),
    }
)
"""
URLS = """
from django.http import JsonResponse
from django.urls import path


def who(request):
    return JsonResponse(
        {
            "client": request.META["REMOTE_ADDR"],
            "host": request.get_host(),
            "secure": request.is_secure(),
        }
    )


urlpatterns = [path("who/", who)]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small site, as the files expect it."""
    printed("django-admin", "startproject", "mysite", ".", here=tmp_path)
    with (tmp_path / "mysite/settings.py").open("a") as settings:
        settings.write(SETTINGS)
    (tmp_path / "mysite/asgi.py").write_text(ASGI)
    (tmp_path / "mysite/urls.py").write_text(URLS)
    return tmp_path


def section(unit: str, name: str) -> configparser.SectionProxy:
    """A section of one of systemd's files."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as the documentation says
    parser.read(DEPLOY / unit)
    return parser[name]


def test_systemd_reads_the_units(tmp_path: Path) -> None:
    """Systemd finds nothing to complain about, but that nothing is installed."""
    systemd = program("systemd-analyze")
    for command in ("fairway", "python"):
        (tmp_path / command).write_text("#!/bin/sh\n")
        (tmp_path / command).chmod(0o755)
    copies = []
    for unit in UNITS:
        copies.append(str(tmp_path / unit.name))
        text = unit.read_text().replace("/srv/mysite/venv/bin", str(tmp_path))
        Path(copies[-1]).write_text(text)
    assert printed(systemd, "verify", *copies, here=tmp_path) == ""


@pytest.mark.parametrize("unit", SERVERS)
def test_options_of_units(unit: str) -> None:
    """The command line is one that Fairway understands, and systemd waits longer than it needs."""
    service = section(unit, "Service")
    program, *arguments = shlex.split(service["ExecStart"])
    assert program.endswith("/fairway")
    path, options = read(arguments)
    assert path == "mysite.asgi:application"
    config = Config.from_mapping(options)
    assert patience(config) < float(service["TimeoutStopSec"])
    assert service["Type"] == "notify"


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody uses."""
    with contextlib.ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in free]


def adapted(name: str, changes: dict[str, str]) -> str:
    """One of the files, with other places than those that it names."""
    text = (DEPLOY / name).read_text()
    for written, meant in changes.items():
        assert written in text
        text = text.replace(written, meant)
    return text


@contextlib.contextmanager
def running(*command: str, here: Path, output: Path) -> Iterator[None]:
    """A program that is ended by its number."""
    with output.open("w") as log:
        process = subprocess.Popen(
            command, cwd=here, stdout=log, stderr=log, env={**environment(), "HOME": str(here)}
        )
        try:
            yield
        except BaseException as error:
            error.add_note(output.read_text())
            raise
        finally:
            process.terminate()
            process.wait(PATIENCE)


@contextlib.contextmanager
def nginx(directory: Path, upstream: str, static: Path) -> Iterator[tuple[str, str]]:
    """Nginx with the file, on free ports; yields its address, and that without TLS."""
    plain, encrypted = free_ports(2)
    text = adapted(
        "nginx.conf",
        {
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "listen 443 ssl http2;": f"listen 127.0.0.1:{encrypted} ssl http2;",
            "/etc/letsencrypt/live/example.com/fullchain.pem": f"{CERTIFICATES}/whole.pem",
            "/etc/letsencrypt/live/example.com/privkey.pem": f"{CERTIFICATES}/key.pem",
            "server 127.0.0.1:8000;": f"server {upstream};",
            "/srv/mysite/static/": f"{static}/",
        },
    )
    (directory / "site.conf").write_text(text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    private = "".join(f"{kind}_temp_path {directory}/{kind}; " for kind in kinds)
    user = "user root; " if os.getuid() == 0 else ""
    (directory / "nginx.conf").write_text(
        f"{user}daemon off; pid {directory}/nginx.pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {private} include {directory}/site.conf; }}\n"
    )
    command = [program("nginx"), "-p", str(directory), "-c", str(directory / "nginx.conf")]
    printed(*command, "-t", here=directory)
    with running(*command, here=directory, output=directory / "log"):
        yield f"https://127.0.0.1:{encrypted}", f"http://127.0.0.1:{plain}"


@contextlib.contextmanager
def caddy(directory: Path, upstream: str, static: Path) -> Iterator[tuple[str, str]]:
    """Caddy with the file, on free ports; yields its address, and that without TLS."""
    plain, encrypted = free_ports(2)
    text = adapted(
        "Caddyfile",
        {
            "example.com {": f"https://127.0.0.1:{encrypted} {{\n"
            f"\ttls {CERTIFICATES}/whole.pem {CERTIFICATES}/key.pem",
            "127.0.0.1:8000": upstream,
            "/srv/mysite/static": str(static),
        },
    )
    here = f"{{\n\tadmin off\n\thttp_port {plain}\n\tdefault_bind 127.0.0.1\n}}\n"
    (directory / "Caddyfile").write_text(here + text)
    command = [program("caddy"), "run", "--config", str(directory / "Caddyfile")]
    printed(command[0], "validate", *command[2:], here=directory)
    with running(*command, here=directory, output=directory / "log"):
        yield f"https://127.0.0.1:{encrypted}", f"http://127.0.0.1:{plain}"


def trusting() -> ssl.SSLContext:
    """What a client needs that believes the certificates of the tests."""
    context = ssl.create_default_context(cafile=CERTIFICATES / "root.pem")
    context.check_hostname = False
    return context


async def answer(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """What a proxy answers once it listens."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await client.get(path)
            except httpx.ConnectError:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("proxy", [nginx, caddy])
async def test_proxy(project: Path, proxy: Proxy) -> None:
    """Pages, sockets and static files come through a proxy, and the site sees who asks."""
    printed(sys.executable, "manage.py", "collectstatic", "--no-input", here=project)
    program(proxy.__name__)
    command = ["fairway", "-w", "2", "--proxy-headers", "-p", "0", "mysite.asgi:application"]
    place = project / "proxy"
    place.mkdir()
    with serving(command, project, environment()) as server:
        upstream = server.address.removeprefix("http://")
        with proxy(place, upstream, project / "static") as (address, plain):
            async with httpx.AsyncClient(base_url=address, verify=trusting()) as client:
                page = await answer(client, "/who/")
                host = address.removeprefix("https://")
                expected = {"client": "127.0.0.1", "host": host, "secure": True}
                assert page.json() == expected
                forged = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "http"}
                page = await client.get("/who/", headers=forged)
                assert page.json() == expected
                assert (await client.get("/static/admin/css/base.css")).status_code == 200
                redirect = await client.get(f"{plain}/who/")
                assert redirect.status_code in {301, 308}
                assert redirect.headers["location"].startswith("https://127.0.0.1")
            url = address.replace("http", "ws") + "/ws/echo/"
            async with connect(url, ssl=trusting()) as echo:
                await echo.send("Ahoy")
                assert await echo.recv() == "Ahoy"


async def test_socket_activation(project: Path) -> None:
    """The command of the activated unit serves on a socket that systemd has opened."""
    systemd = program("systemd-socket-activate")
    _, *options = shlex.split(section("mysite-activated.service", "Service")["ExecStart"])
    path = project / "mysite.sock"
    variables = [f"--setenv={name}={value}" for name, value in environment().items()]
    command = [systemd, "-l", str(path), *variables, "fairway", *options]
    with running(*command, here=project, output=project / "log"):
        async with asyncio.timeout(PATIENCE):
            while not path.exists():  # noqa: ASYNC110  nothing else tells
                await asyncio.sleep(0.01)
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(
            base_url="http://example.com", transport=transport, timeout=PATIENCE
        ) as client:
            page = await client.get("/who/", headers={"X-Forwarded-For": "203.0.113.7"})
            assert page.json() == {"client": "203.0.113.7", "host": "example.com", "secure": False}


def containerfile() -> Iterator[tuple[str, str]]:
    """The instructions and what stands behind them."""
    for line in (DEPLOY / "Containerfile").read_text().splitlines():
        if match := re.fullmatch(r"([A-Z]+) (.+)", line):
            yield match[1], match[2]


async def test_container(project: Path) -> None:
    """The commands of the Containerfile run, and what it starts serves."""
    instructions = list(containerfile())
    assert instructions[0][0] == "FROM"
    commands = [text for name, text in instructions if name == "RUN"]
    installing, collecting, adding = commands
    assert installing.startswith("pip install")
    assert adding.startswith("useradd --uid 10001 ")
    printed("sh", "-c", collecting, here=project)
    assert (project / "static/admin/css/base.css").exists()
    health, command = instructions[-2:]
    assert (health[0], command[0]) == ("HEALTHCHECK", "CMD")
    words = ["127.0.0.1" if word == "0.0.0.0" else word for word in json.loads(command[1])]
    with serving([*words[:-1], "-p", "0", words[-1]], project, environment()) as server:
        async with httpx.AsyncClient(base_url=server.address) as client:
            assert (await client.get("/who/")).status_code == 200
        asking = health[1].removeprefix("CMD ").replace("http://127.0.0.1:8000", server.address)
        printed("sh", "-c", asking, here=project)


async def test_kubernetes(project: Path) -> None:
    """The options in the environment are taken, the probes are answered, and the end has time."""
    text = (DEPLOY / "kubernetes.yaml").read_text()
    (options,) = re.findall(r'name: FAIRWAY_OPTIONS\n +value: "(.+)"', text)
    (grace,) = re.findall(r"terminationGracePeriodSeconds: (\d+)", text)
    _, found = read([*shlex.split(options), "mysite.asgi:application"])
    assert patience(Config.from_mapping(found)) < int(grace)
    probes = set(re.findall(r" path: (.+)", text))
    assert probes == {"/-/health", "/-/ready"}
    command = ["fairway", "-p", "0", "mysite.asgi:application"]
    variables = {**environment(), "FAIRWAY_OPTIONS": options.replace("--log-format json", "")}
    with serving(command, project, variables) as server:
        async with httpx.AsyncClient(base_url=server.address) as client:
            for probe in probes:
                assert (await client.get(probe)).status_code == 200


def test_every_file_is_told_of() -> None:
    """The README has each of them."""
    text = (DEPLOY / "README.md").read_text()
    names = {path.name for path in DEPLOY.iterdir()} - {"README.md"}
    assert names == {name for name in names if f"`{name}`" in text}
