"""A user's project with tests of its own, and pytest on it in a process of its own."""

import sys
from pathlib import Path

from tests.commands import completed

_FILES = {
    "pytest.ini": """
[pytest]
DJANGO_SETTINGS_MODULE = settings
pythonpath = .
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
""",
    "settings.py": """
SECRET_KEY = "a-key-for-tests-only"
ROOT_URLCONF = "urls"
ASGI_APPLICATION = "asgi.application"
INSTALLED_APPS = [
    "fairway", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.staticfiles",
]
STATIC_URL = "static/"
DATABASES = {
    alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    for alias in ("default", "other")
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = True
""",
    "urls.py": """
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.urls import path

def names(request, alias):
    found = User.objects.using(alias).values_list("username", flat=True)
    return HttpResponse(",".join(sorted(found)))

urlpatterns = [path("names/<alias>/", names)]
""",
    "asgi.py": """
from fairway.http import get_asgi_application

pages = get_asgi_application()

from django.contrib.auth.models import User
from django.urls import path
from fairway.auth import AuthMiddlewareStack
from fairway.db import database_sync_to_async
from fairway.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from fairway.routing import ProtocolTypeRouter, URLRouter

def add(name, alias):
    User.objects.using(alias).create(username=name)
    return sorted(User.objects.using(alias).values_list("username", flat=True))

class SyncRoom(JsonWebsocketConsumer):
    groups = ["news"]

    def receive_json(self, content):
        self.send_json(add(*content))

    def news_item(self, message):
        self.send_json(message["title"])

class AsyncRoom(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content):
        name, alias = content
        await User.objects.using(alias).acreate(username=name)
        names = User.objects.using(alias).values_list("username", flat=True)
        await self.send_json(sorted([name async for name in names]))

class MixedRoom(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content):
        await self.send_json(await database_sync_to_async(add)(*content))

    async def disconnect(self, code):
        print("MixedRoom.disconnect", code, flush=True)

routes = [
    path("ws/sync/", SyncRoom.as_asgi()),
    path("ws/async/", AsyncRoom.as_asgi()),
    path("ws/mixed/", MixedRoom.as_asgi()),
]
application = ProtocolTypeRouter(
    {"http": pages, "websocket": AuthMiddlewareStack(URLRouter(routes))}
)
""",
}


def run_pytest(directory: Path, tests: str, *arguments: str, **files: str) -> tuple[int, str]:
    """Run pytest on a project whose one test module is ``tests``.

    Args:
        directory: Where the project comes to be.
        tests: The text of ``test_it.py``.
        arguments: For pytest.
        files: More files, or others in the place of the project's own: ``settings_py="…"``.

    Returns:
        The exit status, and what pytest printed.
    """
    given = {name.replace("_", ".", 1): text for name, text in files.items()}
    for name, text in {**_FILES, "test_it.py": tests, **given}.items():
        (directory / name).write_text(text)
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments)
    done = completed(*command, here=directory)
    return done.returncode, done.stdout


def run(directory: Path, tests: str, *arguments: str, passed: int, **files: str) -> str:
    """Run pytest on a project of a user's, where so many tests have to pass and none may fail."""
    status, output = run_pytest(directory, tests, *arguments, **files)
    assert status == 0, output
    assert f"{passed} passed in" in output, output
    return output
