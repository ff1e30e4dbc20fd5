"""The files for deploying do what the documentation says of them."""

import asyncio
import configparser
import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from fairway.server.cli import make_parser
from fairway.server.config import Config
from fairway.server.workers.supervisor import PATIENCE as SUPERVISORS_PATIENCE
from tests.docs.snippets import ROOT
from tests.docs.story import PATIENCE, environment, serving

DEPLOY = ROOT / "examples" / "deploy"
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
    return JsonResponse({"client": request.META["REMOTE_ADDR"], "host": request.get_host()})


urlpatterns = [path("who/", who)]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small site, as the files expect it."""
    run("django-admin", "startproject", "mysite", ".", here=tmp_path)
    with (tmp_path / "mysite/settings.py").open("a") as settings:
        settings.write(SETTINGS)
    (tmp_path / "mysite/asgi.py").write_text(ASGI)
    (tmp_path / "mysite/urls.py").write_text(URLS)
    return tmp_path


def run(*command: str, here: Path) -> str:
    """What a command prints; it has to succeed."""
    done = subprocess.run(
        command,
        cwd=here,
        env=environment(),
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def program(name: str) -> str:
    """The path of a program, which a machine need not have."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"This machine has no {name}.")
    return found


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
    assert run(systemd, "verify", *copies, here=tmp_path) == ""


@pytest.mark.parametrize("unit", SERVERS)
def test_options_of_units(unit: str) -> None:
    """The command line is one that Fairway understands, and systemd waits longer than it needs."""
    service = section(unit, "Service")
    program, *arguments = shlex.split(service["ExecStart"])
    assert program.endswith("/fairway")
    options = vars(make_parser().parse_args(arguments))
    assert options.pop("application") == "mysite.asgi:application"
    options.pop("no_server_name")
    config = Config.from_mapping(options)
    assert config.graceful_timeout + SUPERVISORS_PATIENCE < float(service["TimeoutStopSec"])


@contextlib.contextmanager
def nginx(directory: Path, upstream: str, static: Path) -> Iterator[str]:
    """Nginx with the file, on a free port of this machine; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = (DEPLOY / "nginx.conf").read_text()
    for written, meant in (
        ("listen 80;", f"listen 127.0.0.1:{port};"),
        ("server 127.0.0.1:8000;", f"server {upstream};"),
        ("/srv/mysite/static/", f"{static}/"),
    ):
        assert written in text
        text = text.replace(written, meant)
    (directory / "site.conf").write_text(text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    private = "".join(f"{kind}_temp_path {directory}/{kind}; " for kind in kinds)
    user = "user root; " if os.getuid() == 0 else ""
    (directory / "nginx.conf").write_text(
        f"{user}daemon off; pid {directory}/nginx.pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {private} include {directory}/site.conf; }}\n"
    )
    command = [program("nginx"), "-p", str(directory), "-c", str(directory / "nginx.conf")]
    run(*command, "-t", here=directory)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


async def answer(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """What nginx answers once it listens."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await client.get(path)
            except httpx.ConnectError:
                await asyncio.sleep(0.01)


async def test_nginx(project: Path) -> None:
    """Pages, sockets and static files come through nginx, and the site sees who asks."""
    run(sys.executable, "manage.py", "collectstatic", "--no-input", here=project)
    command = ["fairway", "-w", "2", "--proxy-headers", "-p", "0", "mysite.asgi:application"]
    place = project / "nginx"
    place.mkdir()
    with serving(command, project, environment()) as server:
        upstream = server.address.removeprefix("http://")
        with nginx(place, upstream, project / "static") as address:
            async with httpx.AsyncClient(base_url=address) as client:
                page = await answer(client, "/who/")
                assert page.json() == {"client": "127.0.0.1", "host": address[len("http://") :]}
                forged = {"X-Forwarded-For": "203.0.113.7"}
                page = await client.get("/who/", headers=forged)
                assert page.json()["client"] == "127.0.0.1"
                assert (await client.get("/static/admin/css/base.css")).status_code == 200
            async with connect(address.replace("http", "ws") + "/ws/echo/") as echo:
                await echo.send("Ahoy")
                assert await echo.recv() == "Ahoy"


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
    run("sh", "-c", collecting, here=project)
    assert (project / "static/admin/css/base.css").exists()
    ((_, command),) = [each for each in instructions if each[0] == "CMD"]
    words = ["127.0.0.1" if word == "0.0.0.0" else word for word in json.loads(command)]
    with serving([*words[:-1], "-p", "0", words[-1]], project, environment()) as server:
        async with httpx.AsyncClient(base_url=server.address) as client:
            assert (await client.get("/who/")).status_code == 200


def test_every_file_is_told_of() -> None:
    """The README has each of them."""
    text = (DEPLOY / "README.md").read_text()
    names = {path.name for path in DEPLOY.iterdir()} - {"README.md"}
    assert names == {name for name in names if f"`{name}`" in text}
