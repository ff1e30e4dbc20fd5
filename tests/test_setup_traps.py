"""What newcomers trip over, done to a project of their kind: it works, or says what to write."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.commands import PATIENCE, environment
from tests.docs.story import serving
from tests.management.commands.project import Project

pytestmark = pytest.mark.pain(24)

#: A formatter puts the imports at the top, and so models before get_asgi_application().
SORTED_BY_A_FORMATTER = """
    import os

    from chat import routing

    from fairway.http import get_asgi_application
    from fairway.routing import ProtocolTypeRouter, URLRouter

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

    application = ProtocolTypeRouter(
        {
            "http": get_asgi_application(),
            "websocket": URLRouter(routing.websocket_urlpatterns),
        }
    )
    """

#: With the path of the routes, the order of imports does not matter.
IN_ANY_ORDER = """
    import os

    from fairway.auth import AuthMiddlewareStack
    from fairway.generic.websocket import AsyncWebsocketConsumer
    from fairway.http import get_asgi_application
    from fairway.routing import ProtocolTypeRouter, URLRouter

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

    application = ProtocolTypeRouter(
        {
            "websocket": AuthMiddlewareStack(URLRouter("chat.routing")),
            "http": get_asgi_application(),
        }
    )
    """

MOVE_IT = (
    "Move that line below get_asgi_application(), or give the router the path of the routes: "
    'URLRouter("myapp.routing") imports them when Django is ready.'
)

NAME_IT = (
    'Above it, write os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings") as startproject '
    "does, or set that variable where the server is started."
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose consumers use models."""
    project = Project(tmp_path)
    for name, text in {
        "chat/__init__.py": '"""The app."""',
        "chat/routing.py": """
            from chat import consumers
            from django.urls import path

            websocket_urlpatterns = [path("ws/chat/", consumers.Chat.as_asgi(), name="chat")]
            """,
        "chat/consumers.py": """
            from django.contrib.auth.models import User
            from fairway.generic.websocket import AsyncWebsocketConsumer

            class Chat(AsyncWebsocketConsumer):
                async def receive(self, text_data=None, bytes_data=None):
                    await self.send(f"{User.__name__} said {text_data}")
            """,
        "asgi.py": SORTED_BY_A_FORMATTER,
    }.items():
        project.write(name, text)
    settings = project.read("settings.py")
    # Sessions in cookies: the database of this project has no tables.
    project.write(
        "settings.py",
        settings.replace('"fairway", ', '"fairway", "django.contrib.auth", ')
        + 'SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"\n',
    )
    return project


def chats(port: int) -> None:
    """The chat answers."""
    with connect(f"ws://127.0.0.1:{port}/ws/chat/", proxy=None) as websocket:
        websocket.send("hello")
        assert websocket.recv(PATIENCE) == "User said hello"


SERVERS = {
    "fairway": ["fairway", "asgi:application", "--port", "0"],
    "uvicorn": ["uvicorn", "asgi:application", "--port", "0"],
}


def served(project: Project, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What became of a server that cannot start."""
    return subprocess.run(
        [sys.executable, "-m", *SERVERS["fairway"]],
        cwd=project.directory,
        env=environment() | variables,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


class TestImportOrder:
    """Consumers, and so models, imported before Django is set up."""

    def test_runserver(self, project: Project) -> None:
        """While developing it works: manage.py sets Django up first."""
        with project.manage("runserver", "127.0.0.1:0", "--noreload") as process:
            chats(process.port())

    @pytest.mark.parametrize("settings_module", [{}, {"DJANGO_SETTINGS_MODULE": "settings"}])
    def test_a_server_names_the_line(
        self, project: Project, settings_module: dict[str, str]
    ) -> None:
        """The server says which line to move, and where to."""
        done = served(project, settings_module)
        assert done.returncode == 1
        lines = done.stderr.strip().splitlines()
        assert "AppRegistryNotReady" in done.stderr or "settings are not configured" in done.stderr
        assert lines[-3:] == [
            f"{project.directory / 'asgi.py'}:3 imports models before Django is set up:",
            "    from chat import routing",
            MOVE_IT,
        ]

    def test_nothing_names_the_settings(self, project: Project) -> None:
        """An ``asgi.py`` without Django's line for the settings is told which one, and where."""
        project.write(
            "asgi.py",
            "from fairway.http import get_asgi_application\napplication = get_asgi_application()\n",
        )
        done = served(project, {})
        assert done.returncode == 1
        place = f"{project.directory / 'asgi.py'}:2"
        assert done.stderr.strip().splitlines()[-3:] == [
            f"{place} sets Django up, and nothing says with which settings:",
            "    application = get_asgi_application()",
            NAME_IT,
        ]

    def test_an_app_is_not_ready(self, project: Project) -> None:
        """Models that an app imports too early are not told as a line of ``asgi.py`` to move."""
        project.write(
            "asgi.py",
            "from fairway.http import get_asgi_application\napplication = get_asgi_application()\n",
        )
        project.write("early/__init__.py", "from django.contrib.auth.models import User")
        installed(project, "early", "django.contrib.auth", "django.contrib.contenttypes")
        done = served(project, {"DJANGO_SETTINGS_MODULE": "settings"})
        assert done.returncode == 1
        assert done.stderr.strip().splitlines()[-1] == (
            "django.core.exceptions.AppRegistryNotReady: Apps aren't loaded yet."
        )

    def test_check_deploy_names_the_line(self, project: Project) -> None:
        """``check --deploy`` finds it before the server does."""
        with project.manage("check", "--deploy", "--tag", "fairway") as process:
            assert process.finish() == 0
        said = "\n".join(process.seen)
        assert "(fairway.W008) A server cannot import 'asgi', although manage.py can: " in said
        assert f"{project.directory / 'asgi.py'}:3 imports models" in said

    @pytest.mark.parametrize("server", SERVERS)
    def test_routes_by_their_path(self, project: Project, server: str) -> None:
        """With ``URLRouter("chat.routing")`` every server starts, in whatever order imports are."""
        project.write("asgi.py", IN_ANY_ORDER)
        with serving(SERVERS[server], project.directory, environment()) as running:
            chats(int(running.address.rpartition(":")[2]))

    def test_routes_by_their_path_are_checked(self, project: Project) -> None:
        """A path that leads nowhere is told by ``runserver``, before anybody connects."""
        project.write("asgi.py", IN_ANY_ORDER.replace("chat.routing", "chat.rooting"))
        with project.manage("runserver", "127.0.0.1:0", "--noreload") as process:
            assert process.finish() == 1
        assert any("module 'chat' has no 'rooting'" in line for line in process.seen)


def installed(project: Project, *names: str) -> None:
    """Set ``INSTALLED_APPS``."""
    project.write(
        "settings.py", project.read("settings.py") + f"INSTALLED_APPS = {json.dumps(names)}\n"
    )


class TestRunserver:
    """A ``runserver`` that is not ours, or has nothing to serve."""

    @pytest.mark.parametrize("other", ["django.contrib.staticfiles", "other"])
    def test_another_apps_runserver(self, project: Project, other: str) -> None:
        """An app before ours whose ``runserver`` serves no sockets is told."""
        for name in ("__init__", "management/__init__", "management/commands/__init__"):
            project.write(f"other/{name}.py", '"""An app."""')
        project.write(
            "other/management/commands/runserver.py",
            "from django.core.management.commands.runserver import Command",
        )
        installed(project, other, "fairway", "django.contrib.auth", "django.contrib.contenttypes")
        with project.manage("runserver", "127.0.0.1:0", "--noreload") as process:
            assert process.finish() == 1
        said = "\n".join(process.seen)
        assert (
            f"(fairway.E011) manage.py runserver is that of {other!r}, which does not serve "
            f'WebSockets.\n\tHINT: Put "fairway" before {other!r} in INSTALLED_APPS.'
        ) in said

    def test_no_application(self, project: Project) -> None:
        """A missing setting is named with what to write."""
        project.write("settings.py", project.read("settings.py") + "ASGI_APPLICATION = None\n")
        with project.manage("runserver", "127.0.0.1:0", "--noreload") as process:
            assert process.finish() == 1
        assert "You have not set ASGI_APPLICATION, which is needed to run" in process.seen[-1]

    def test_sockets_over_wsgi(self, project: Project) -> None:
        """Where only pages are served, "Not Found: /ws/chat/" says so."""
        with project.manage("runserver", "127.0.0.1:0", "--noreload", "--noasgi") as process:
            port = process.port()
            response = httpx.get(
                f"http://127.0.0.1:{port}/ws/chat/",
                headers={"Upgrade": "websocket", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="},
                trust_env=False,
            )
            assert response.status_code == 404
            process.wait_for(
                r"^Not Found: /ws/chat/\. This is the opening handshake of a WebSocket, and WSGI "
                r"serves none: start manage\.py runserver without --noasgi, with \"fairway\" "
                r"before other apps that bring one, or the fairway command\.$"
            )

    def test_unknown_path(self, project: Project) -> None:
        """A path without a route is one line, and no traceback."""
        with project.manage("runserver", "127.0.0.1:0", "--noreload") as process:
            response = httpx.get(
                f"http://127.0.0.1:{process.port()}/ws/chta/",
                headers={
                    "Upgrade": "websocket",
                    "Connection": "Upgrade",
                    "Sec-WebSocket-Version": "13",
                    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                },
                trust_env=False,
            )
            assert response.status_code == 404
            process.wait_for(r"^Not Found: no route for the websocket path '/ws/chta/'$")
        assert not any("Traceback" in line for line in process.seen)


def test_workers_that_share_no_groups(project: Project) -> None:
    """The layer in memory under two workers loses half of the messages, and one line says so."""
    project.write("asgi.py", IN_ANY_ORDER)
    project.write(
        "settings.py",
        project.read("settings.py")
        + 'CHANNEL_LAYERS = {"default": {"BACKEND": "fairway.layers.InMemoryChannelLayer"}}\n',
    )
    with serving([*SERVERS["fairway"], "-w", "2"], project.directory, environment()) as running:
        told = [line for line in running.output if "in-memory layer" in line]
    (line,) = told
    assert line.rstrip().endswith(
        "CHANNEL_LAYERS['default'] is the in-memory layer, so a message reaches only the sockets "
        "of the worker that sends it, one of 2. Without this setting, all processes of this "
        "machine are reached."
    )
