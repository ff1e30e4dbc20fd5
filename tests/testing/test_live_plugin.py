"""The fixture ``live_server``, as tests of a user's project meet it."""

from pathlib import Path

import pytest

from tests.testing.projects import run

LIVE = """
import urllib.request
from contextlib import ExitStack

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from fairway.layers import get_channel_layer
from websockets.asyncio.client import connect as aconnect
from websockets.sync.client import connect

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

def fetch(url):
    with opener.open(url) as answer:
        return answer.read().decode()

def test_pages(live_server):
    User.objects.create(username="test")
    assert fetch(live_server.url + "/names/default/") == "test"
    assert fetch(live_server + "/names/default/") == "test"
    assert str(live_server) == live_server.url
    assert repr(live_server) == f"<LiveServer listening at {live_server.url}>"
    assert live_server.ws_url == live_server.url.replace("http", "ws")

@pytest.mark.parametrize("path", ["/ws/sync/", "/ws/async/", "/ws/mixed/"])
def test_sockets(live_server, path):
    User.objects.create(username="test")
    with connect(live_server.ws_url + path, proxy=None) as socket:
        socket.send('["socket", "default"]')
        assert socket.recv(timeout=10) == '["socket", "test"]'
    assert User.objects.count() == 2

@pytest.mark.django_db(databases=["default", "other"])
def test_all_databases(live_server):
    User.objects.using("other").create(username="other")
    with connect(live_server.ws_url + "/ws/sync/", proxy=None) as socket:
        socket.send('["socket", "other"]')
        assert socket.recv(timeout=10) == '["other", "socket"]'
    assert fetch(live_server + "/names/other/") == "other,socket"

def test_groups(live_server):
    with connect(live_server.ws_url + "/ws/sync/", proxy=None) as socket:
        socket.send('["ready", "default"]')
        socket.recv(timeout=10)
        news = {"type": "news.item", "title": "Ahoy"}
        async_to_sync(get_channel_layer().group_send)("news", news)
        assert socket.recv(timeout=10) == '"Ahoy"'

async def test_from_async_tests(live_server):
    await User.objects.acreate(username="test")
    async with aconnect(live_server.ws_url + "/ws/async/", proxy=None) as socket:
        await socket.send('["socket", "default"]')
        assert await socket.recv() == '["socket", "test"]'
    assert await User.objects.acount() == 2

kept = ExitStack()  # until pytest itself ends, later than the server

def test_a_socket_that_stays_open(live_server):
    kept.enter_context(connect(live_server.ws_url + "/ws/async/", proxy=None))

def test_static_files(live_server, settings, tmp_path):
    (tmp_path / "style.css").write_text("body {}")
    settings.STATICFILES_DIRS = [tmp_path]
    assert fetch(live_server + "/static/style.css") == "body {}"
"""


@pytest.mark.pain(13)
def test_it_serves_sockets(tmp_path: Path) -> None:
    """HTTP and WebSocket, on all in-memory databases, with no warning even at the end."""
    run(tmp_path, LIVE, passed=9)


def test_a_project_without_sockets(tmp_path: Path) -> None:
    """Without ``ASGI_APPLICATION``, and without staticfiles, plain Django is served.

    Where, says pytest-django's option.
    """
    settings = """
SECRET_KEY = "a-key-for-tests-only"
ROOT_URLCONF = "urls"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
"""
    tests = """
import urllib.request

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

def test_pages(live_server, django_user_model):
    assert live_server.url.startswith("http://127.0.0.1:")
    django_user_model.objects.create(username="test")
    with opener.open(live_server + "/names/default/") as answer:
        assert answer.read() == b"test"
"""
    run(tmp_path, tests, "--liveserver=127.0.0.1", passed=1, settings_py=settings)
