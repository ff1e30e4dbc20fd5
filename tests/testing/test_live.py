"""What ``ChannelsLiveServerTestCase`` promises, with real clients."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import TransactionTestCase, override_settings
from django.urls import path
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from fairway.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer
from fairway.http import get_asgi_application
from fairway.layers import get_channel_layer
from fairway.routing import ProtocolTypeRouter, URLRouter
from fairway.testing import ChannelsLiveServerTestCase
from tests.management.commands.project import Project
from tests.testing.of_channels import with_alias

both = threading.Barrier(2, timeout=10)


def names() -> list[str]:
    return sorted(User.objects.values_list("username", flat=True))


def add(request: HttpRequest, name: str) -> HttpResponse:
    """Add a user; answer with the names of all."""
    User.objects.create(username=name)
    return HttpResponse(json.dumps(names()))


def add_nested(request: HttpRequest, name: str) -> HttpResponse:
    """Add a user in a transaction within another."""
    with transaction.atomic():
        user = User.objects.create(username=name)
        with transaction.atomic():
            User.objects.filter(pk=user.pk).update(first_name=name)
    return HttpResponse("added")


def meet(request: HttpRequest) -> HttpResponse:
    """Answer when two requests are here."""
    both.wait()
    return HttpResponse("met")


def language(request: HttpRequest) -> HttpResponse:
    """Answer with a setting."""
    return HttpResponse(settings.LANGUAGE_CODE)


urlpatterns = [
    path("add/<name>/", add),
    path("add-nested/<name>/", add_nested),
    path("language/", language),
    path("meet/", meet),
]


class SyncRoom(WebsocketConsumer):
    """Adds a user for each message, in sync code."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer with the names of all."""
        User.objects.create(username=str(text_data))
        self.send(json.dumps(names()))


class AsyncRoom(AsyncJsonWebsocketConsumer):
    """Adds a user for each message, by the asynchronous ORM."""

    groups = ["room"]

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Answer with the names of all."""
        await User.objects.acreate(username=content)
        found = [name async for name in User.objects.values_list("username", flat=True)]
        await self.send_json(sorted(found))

    async def room_news(self, message: dict[str, Any]) -> None:
        """Pass on what a group is told."""
        await self.send_json(message["news"])


# Django's stubs want routes to lead to views, and events to be mappings.
rooms: dict[str, Any] = {"sync/": SyncRoom.as_asgi(), "async/": AsyncRoom.as_asgi()}
pages: Any = get_asgi_application()

application = ProtocolTypeRouter(
    {"http": pages, "websocket": URLRouter([path(where, rooms[where]) for where in rooms])}
)


def fetch(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False)


@pytest.mark.row("1.9 ChannelsLiveServerTestCase")
@pytest.mark.pain(13)
@override_settings(ASGI_APPLICATION=f"{__name__}.application", ROOT_URLCONF=__name__)
class TestLive(ChannelsLiveServerTestCase):
    """On an in-memory database, as the settings of these tests have one."""

    def setUp(self) -> None:
        User.objects.create(username="test")

    def websocket(self, path: str) -> ClientConnection:
        websocket = connect(f"{self.live_server_ws_url}{path}", proxy=None)
        self.enterContext(websocket)
        return websocket

    def test_the_urls(self) -> None:
        """They name the host and the port."""
        assert re.fullmatch(r"http://localhost:\d+", self.live_server_url)
        assert self.live_server_ws_url == self.live_server_url.replace("http", "ws")

    def test_a_page(self) -> None:
        """A view sees what the test has in the database, and the test what the view adds."""
        assert fetch(f"{self.live_server_url}/add/view/").json() == ["test", "view"]
        assert names() == ["test", "view"]

    def test_a_sync_consumer(self) -> None:
        """So does a sync consumer."""
        websocket = self.websocket("/sync/")
        websocket.send("consumer")
        assert websocket.recv(timeout=10) == '["consumer", "test"]'
        assert names() == ["consumer", "test"]

    def test_an_async_consumer(self) -> None:
        """So does an async one."""
        websocket = self.websocket("/async/")
        websocket.send('"consumer"')
        assert websocket.recv(timeout=10) == '["consumer", "test"]'
        assert names() == ["consumer", "test"]

    def test_the_channel_layer_is_shared(self) -> None:
        """The test can send to the groups of consumers, through the in-memory layer."""
        websocket = self.websocket("/async/")
        websocket.send('"ready"')
        websocket.recv(timeout=10)
        layer = get_channel_layer()
        assert layer is not None
        async_to_sync(layer.group_send)("room", {"type": "room.news", "news": "hello"})
        assert websocket.recv(timeout=10) == '"hello"'

    def test_settings_can_be_overridden(self) -> None:
        """The server runs in this process, so a test's settings are its settings."""
        with override_settings(LANGUAGE_CODE="cy"):
            assert fetch(f"{self.live_server_url}/language/").text == "cy"

    def test_requests_are_handled_in_parallel(self) -> None:
        """Sync views of two connections run at once."""
        answers: list[str] = []
        threads = [
            threading.Thread(
                target=lambda: answers.append(fetch(f"{self.live_server_url}/meet/").text)
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == ["met", "met"]

    def test_transactions_in_parallel(self) -> None:
        """Each thread has its own, on the one connection of the in-memory database."""

        def add(number: int) -> int:
            return fetch(f"{self.live_server_url}/add-nested/user-{number}/").status_code

        with ThreadPoolExecutor(4) as threads:
            answers = threads.map(add, range(40))
            for number in range(20):
                with transaction.atomic():
                    User.objects.create(username=f"test-{number}")
            assert set(answers) == {200}
        assert User.objects.count() == 61

    def test_static_files(self) -> None:
        """Static files are found where ``runserver`` finds them."""
        assert fetch(f"{self.live_server_url}/static/missing.css").status_code == 404
        with override_settings(STATICFILES_DIRS=[Path(__file__).parent]):
            answer = fetch(f"{self.live_server_url}/static/{Path(__file__).name}")
        assert answer.text == Path(__file__).read_text()


@override_settings(ASGI_APPLICATION=f"{__name__}.application", ROOT_URLCONF=__name__)
class TestWithoutStaticFiles(ChannelsLiveServerTestCase):
    """With another host, and the application alone."""

    host = "127.0.0.1"
    serve_static = False

    def test_static_files_are_a_page_like_others(self) -> None:
        """The project's own URLs are asked for everything."""
        with override_settings(STATICFILES_DIRS=[Path(__file__).parent]):
            answer = fetch(f"{self.live_server_url}/static/{Path(__file__).name}")
        assert answer.status_code == 404
        assert self.live_server_url.startswith("http://127.0.0.1:")


@override_settings(ASGI_APPLICATION=f"{__name__}.application", ROOT_URLCONF=__name__)
class TestEnd(TransactionTestCase):
    """What is left when the class is done: nothing, and nothing to say about it."""

    @pytest.fixture(autouse=True)
    def log(self, caplog: pytest.LogCaptureFixture) -> None:
        """See what is logged."""
        self.caplog = caplog

    def test_open_sockets(self) -> None:
        """Open sockets are closed with 1012, and nobody is warned of anything."""

        class Live(ChannelsLiveServerTestCase):
            pass

        Live.setUpClass()
        case = Live()
        sockets = [
            self.enterContext(connect(f"{case.live_server_ws_url}{where}", proxy=None))
            for where in ("/sync/", "/async/")
        ]
        sockets[0].send("one")
        assert sockets[0].recv(timeout=10) == '["one"]'
        with self.caplog.at_level("WARNING"):
            Live.doClassCleanups()
        for socket in sockets:
            with pytest.raises(ConnectionClosed) as caught:
                socket.recv(timeout=10)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1012
        assert self.caplog.messages == []
        assert "live-server" not in {thread.name for thread in threading.enumerate()}

    def test_channels_own_attributes(self) -> None:
        """A test case that names Channels' server process gets the thread all the same."""

        class Live(ChannelsLiveServerTestCase):
            ProtocolServerProcess = object
            serve_static = False

        Live.setUpClass()
        try:
            assert fetch(f"{Live().live_server_url}/language/").text == settings.LANGUAGE_CODE
        finally:
            Live.doClassCleanups()

    @override_settings(
        FAIRWAY={"port": 1, "host": "192.0.2.1", "endpoints": ["tcp:1"], "server_name": "mine"}
    )
    def test_options_of_the_project(self) -> None:
        """The project's options hold, but for those that say where a deployed server listens."""

        class Live(ChannelsLiveServerTestCase):
            pass

        Live.setUpClass()
        try:
            assert fetch(f"{Live().live_server_url}/language/").headers["server"] == "mine"
        finally:
            Live.doClassCleanups()

    @override_settings(STATIC_URL=None)
    def test_without_static_files(self) -> None:
        """A project without ``STATIC_URL`` has none to serve, and needs not say so."""

        class Live(ChannelsLiveServerTestCase):
            pass

        Live.setUpClass()
        try:
            assert fetch(f"{Live().live_server_url}/language/").status_code == 200
        finally:
            Live.doClassCleanups()


@override_settings(ASGI_APPLICATION=f"{__name__}.application")
class TestFailures(TransactionTestCase):
    """What goes wrong goes wrong in ``setUpClass``."""

    def test_an_address_that_cannot_be_had(self) -> None:
        """The server's own error is raised, and no thread is left."""

        class Elsewhere(ChannelsLiveServerTestCase):
            host = "192.0.2.1"  # RFC 5737: nobody's

        with pytest.raises(OSError, match=r"^\[Errno \d+\] Cannot listen on 192\.0\.2\.1:0: "):
            Elsewhere.setUpClass()
        Elsewhere.doClassCleanups()
        assert "live-server" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.row("1.9 ChannelsLiveServerTestCase")
@pytest.mark.pain(12)
def test_databases_in_files(tmp_path: Path) -> None:
    """Every alias is the test's database, also where the server has connections of its own."""
    project = Project(tmp_path)
    project.write(
        "settings.py",
        project.read("settings.py").replace(
            '{"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}',
            """{
    alias: {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{alias}.sqlite3",
        "TEST": {"NAME": f"test-{alias}.sqlite3"},
    }
    for alias in ("default", "other")
}""",
        ),
    )
    project.write(
        "tests.py",
        """
        import urllib.request

        from django.contrib.contenttypes.models import ContentType
        from django.test import override_settings

        from fairway.testing import ChannelsLiveServerTestCase

        class Test(ChannelsLiveServerTestCase):
            databases = {"default", "other"}

            def test_both(self):
                for number, alias in enumerate(["default", "other"], 1):
                    for _ in range(number):
                        ContentType.objects.using(alias).create(app_label=alias, model=str(_))
                opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
                with opener.open(f"{self.live_server_url}/") as answer:
                    assert answer.read() == b"1 2"
        """,
    )
    project.write(
        "urls.py",
        """
        from django.contrib.contenttypes.models import ContentType
        from django.http import HttpResponse
        from django.urls import path

        def count(request):
            return HttpResponse(" ".join(
                str(ContentType.objects.using(alias).filter(app_label=alias).count())
                for alias in ("default", "other")
            ))

        urlpatterns = [path("", count)]
        """,
    )
    with project.manage("test", "--noinput") as process:
        assert process.finish() == 0, process.seen
    assert "OK" in process.seen
    assert not list(tmp_path.glob("*.sqlite3"))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_of_ones_own(tmp_path: Path, method: str) -> None:
    """What Channels makes its server's process of serves the test's data from a process, too."""
    project = with_alias(
        tmp_path,
        f"""
        import functools, multiprocessing, urllib.request

        from channels.testing.live import make_application, set_database_connection
        from daphne.testing import DaphneProcess
        from django.contrib.contenttypes.models import ContentType
        from django.test import TransactionTestCase

        class Test(TransactionTestCase):
            def test_data(self):
                multiprocessing.set_start_method({method!r}, force=True)
                ContentType.objects.create(app_label="one", model="two")
                get_application = functools.partial(make_application, static_wrapper=None)
                server = DaphneProcess(
                    "127.0.0.1", get_application, setup=set_database_connection
                )
                server.start()
                try:
                    assert server.ready.wait(50)
                    opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
                    with opener.open(f"http://127.0.0.1:{{server.port.value}}/") as answer:
                        assert answer.read() == b"1"
                finally:
                    server.terminate()
                    server.join()
        """,
    )
    with project.manage("test", "--noinput") as process:
        assert process.finish() == 0, process.seen
    assert "OK" in process.seen
