"""What one process does ends the connections of another."""

import asyncio
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.management.commands.project import Project
from tests.server.running import DEADLINE

SETTINGS = """
    SECRET_KEY = "a-key-for-tests-only"
    DEBUG = True
    ALLOWED_HOSTS = ["*"]
    ROOT_URLCONF = "urls"
    ASGI_APPLICATION = "asgi.application"
    INSTALLED_APPS = [
        "fairway",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
    ]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    USE_TZ = True
    """

ASGI = """
    from fairway.http import get_asgi_application

    django_application = get_asgi_application()

    from fairway.auth import AuthMiddlewareStack
    from fairway.generic.websocket import AsyncWebsocketConsumer
    from fairway.routing import ProtocolTypeRouter

    class Consumer(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            await self.send(self.scope["user"].get_username())

        async def disconnect(self, code):
            print("disconnected with", code, flush=True)

    application = ProtocolTypeRouter({
        "http": django_application,
        "websocket": AuthMiddlewareStack(Consumer.as_asgi(), revalidate=True),
    })
    """

LOG_IN = """
    import os, django
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()
    from django.contrib.auth.models import User
    from django.test import Client
    client = Client()
    client.force_login(User.objects.create_user("ada", password="secret"))
    print("session", client.session.session_key)
    """

DEACTIVATE = (
    "from django.contrib.auth.models import User; "
    "user = User.objects.get(); user.is_active = False; user.save()"
)


def run(project: Project, *arguments: str, pattern: str = "") -> str:
    """Run a command to its end; return what the pattern finds in its output."""
    with project.manage(*arguments) as process:
        found = process.wait_for(pattern)[1] if pattern else ""
        assert process.finish() == 0, process.seen
    return found


@pytest.mark.pain(15)
async def test_deactivated_in_a_command(tmp_path: Path) -> None:
    """A command without event loop closes the socket that the server holds."""
    project = Project(tmp_path)
    project.write("settings.py", SETTINGS)
    project.write("asgi.py", ASGI)
    project.write("log_in.py", LOG_IN)
    run(project, "migrate", "--verbosity=0")
    key = run(project, "shell", "-c", "import log_in", pattern=r"^session (\w+)$")
    with project.manage("runserver", "127.0.0.1:0", "--noreload") as server:
        port = await asyncio.to_thread(server.port)
        headers = {"Cookie": f"sessionid={key}"}
        async with connect(f"ws://127.0.0.1:{port}/", additional_headers=headers) as client:
            await client.send("?")
            assert await client.recv() == "ada"
            await asyncio.to_thread(run, project, "shell", "-c", DEACTIVATE)
            async with asyncio.timeout(DEADLINE):
                await client.wait_closed()
            assert (client.close_code, client.close_reason) == (4401, "Access was revoked.")
        await asyncio.to_thread(server.wait_for, "^disconnected with 4401$")
