"""``AsyncClient.websocket``: the whole application, as a browser with cookies meets it."""

import asyncio
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import SimpleTestCase, TestCase, override_settings
from django.urls import path, reverse_lazy

from fairway._types import Receive, Scope, Send
from fairway.auth import AuthMiddlewareStack, login
from fairway.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from fairway.http import get_asgi_application
from fairway.routing import ProtocolTypeRouter, URLRouter
from fairway.security.websocket import AllowedHostsOriginValidator
from fairway.testing import AsyncClient, WebsocketRejected


class Whoami(AsyncJsonWebsocketConsumer):
    """Tells what the application knows about its client."""

    async def connect(self) -> None:
        """Choose the first subprotocol, and tell."""
        scope = self.scope
        await self.accept(next(iter(scope["subprotocols"]), None))
        await self.send_json(
            {
                "user": scope["user"].username,
                "visits": scope["session"].get("visits", 0),
                "query": scope["query_string"].decode(),
                "url": f"{scope['scheme']}://{dict(scope['headers'])[b'host'].decode()}",
                "language": dict(scope["headers"]).get(b"accept-language", b"").decode(),
            }
        )


class SyncWhoami(JsonWebsocketConsumer):
    """The same in sync code."""

    def connect(self) -> None:
        """Tell."""
        self.accept()
        self.send_json({"user": self.scope["user"].username})


class LogIn(AsyncJsonWebsocketConsumer):
    """Logs somebody in; the cookie goes out with the accept."""

    async def connect(self) -> None:
        """Log in."""
        await login(self.scope, await User.objects.aget(username="ada"))
        await self.accept(headers=[(b"set-cookie", b"theme=dark; Path=/")])


class Members(AsyncJsonWebsocketConsumer):
    """Lets nobody in who has not logged in."""

    async def connect(self) -> None:
        """Ask who is there."""
        if self.scope["user"].is_anonymous:
            await self.close(4401, "Log in first")
        else:
            await self.accept()


def count(request: HttpRequest) -> HttpResponse:
    """Count the visits in the session."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(request.session["visits"])


urlpatterns = [path("count/", count, name="count")]
# Django's stubs want routes to lead to views.
rooms: dict[str, Any] = {
    "ws/whoami/": Whoami.as_asgi(),
    "ws/sync/": SyncWhoami.as_asgi(),
    "ws/login/": LogIn.as_asgi(),
    "ws/members/": Members.as_asgi(),
}
routes: Any = [path(where, room) for where, room in rooms.items()]
pages: Any = get_asgi_application()
application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(routes))),
    }
)


@override_settings(ASGI_APPLICATION=f"{__name__}.application", ROOT_URLCONF=__name__)
class TestWebsocket(TestCase):
    """In a Django test case, whose transaction nobody commits."""

    async_client_class = AsyncClient
    async_client: AsyncClient
    ada: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.ada = User.objects.create_user("ada", password="secret")

    async def whoami(self, **options: Any) -> Any:
        async with self.async_client.websocket("/ws/whoami/", **options) as socket:
            return await socket.receive_json_from(timeout=10)

    async def test_anonymous(self) -> None:
        """A client without cookies is let in from the site's own origin, as nobody."""
        assert await self.whoami() == {
            "user": "",
            "visits": 0,
            "query": "",
            "url": "ws://testserver",
            "language": "",
        }

    async def test_force_login(self) -> None:
        """``aforce_login`` is known to async and sync consumers behind the middleware."""
        await self.async_client.aforce_login(self.ada)
        assert (await self.whoami())["user"] == "ada"
        async with self.async_client.websocket("/ws/sync/") as socket:
            assert await socket.receive_json_from(timeout=10) == {"user": "ada"}

    async def test_login(self) -> None:
        """So is ``alogin`` with a password, and ``alogout``."""
        assert await self.async_client.alogin(username="ada", password="secret")
        assert (await self.whoami())["user"] == "ada"
        await self.async_client.alogout()
        assert (await self.whoami())["user"] == ""

    async def test_the_session_is_shared_with_http(self) -> None:
        """What a view puts into the session is there for the socket."""
        assert (await self.async_client.get("/count/")).content == b"1"
        assert (await self.async_client.get(reverse_lazy("count"))).content == b"2"
        assert (await self.whoami())["visits"] == 2

    async def test_cookies_of_the_answer_are_stored(self) -> None:
        """A login inside ``connect`` is a login of the client's, for HTTP as well."""
        async with self.async_client.websocket("/ws/login/"):
            pass
        assert self.async_client.cookies["theme"].value == "dark"
        assert settings.SESSION_COOKIE_NAME in self.async_client.cookies
        assert (await self.whoami())["user"] == "ada"

    async def test_parameters(self) -> None:
        """Query, headers, subprotocols and scheme are the test's to choose."""
        self.async_client = AsyncClient(headers={"accept-language": "de", "x-a": "1"})
        assert (await self.whoami())["language"] == "de"
        answer = await self.whoami(
            query_params={"room": "a b", "tag": [1, 2]},
            headers={"Accept-Language": "cy"},
            secure=True,
        )
        assert answer["query"] == "room=a+b&tag=1&tag=2"
        assert (answer["url"], answer["language"]) == ("wss://testserver", "cy")
        async with self.async_client.websocket(
            "/ws/whoami/?x=1", subprotocols=["chat", "other"]
        ) as socket:
            assert socket.subprotocol == "chat"
            assert (await socket.receive_json_from(timeout=10))["query"] == "x=1"

    async def test_a_cookie_of_the_tests_own(self) -> None:
        """A ``cookie`` among the headers replaces those of the client."""
        await self.async_client.aforce_login(self.ada)
        assert (await self.whoami(headers={"Cookie": "none=1"}))["user"] == ""

    async def test_a_foreign_origin(self) -> None:
        """The origin check is passed because of the origin, and refuses another one."""
        for origin in ("https://evil.example", None):
            with pytest.raises(WebsocketRejected) as caught:
                await self.whoami(origin=origin)
            assert caught.value.status == 403

    async def test_an_unknown_path(self) -> None:
        """A path without a route is a 404, as for a browser."""
        with pytest.raises(WebsocketRejected) as caught:
            await self.async_client.websocket("/ws/nowhere/")
        assert caught.value.status == 404
        assert str(caught.value).startswith(
            "The WebSocket for '/ws/nowhere/' was rejected with HTTP 404: b'"
        )

    async def test_a_rejection(self) -> None:
        """Entering and awaiting raise; ``connect`` answers; after a login the same socket opens."""
        with pytest.raises(WebsocketRejected) as caught:
            await self.async_client.websocket("/ws/members/")
        assert (caught.value.code, caught.value.reason) == (4401, "Log in first")
        socket = self.async_client.websocket("/ws/members/")
        assert await socket.connect() == (False, 4401)
        await self.async_client.aforce_login(self.ada)
        assert await socket.connect(timeout=10) == (True, None)
        await socket.disconnect(timeout=10)

    async def test_another_application(self) -> None:
        """An application of the test's own needs no setting."""

        async def hello(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": scope["path"]})
            await receive()

        async with self.async_client.websocket("/x/", application=hello) as socket:
            assert await socket.receive_from() == "/x/"


class TestEnd(SimpleTestCase):
    """What becomes of sockets that nobody closed."""

    async def test_open_sockets_are_closed(self) -> None:
        """``aclose_websockets`` disconnects what is open, and nothing else."""
        ended: list[tuple[str, int]] = []

        async def room(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            ended.append((scope["path"], (await receive())["code"]))

        client = AsyncClient()
        await client.websocket("/open/", application=room)
        async with client.websocket("/closed/", application=room):
            pass
        client.websocket("/never/", application=room)
        stopped = await client.websocket("/stopped/", application=room)
        stopped.stop()
        await asyncio.wait({stopped.future})
        await client.aclose_websockets()
        assert ended == [("/closed/", 1000), ("/open/", 1000)]
        await client.aclose_websockets()

    async def test_a_failure_at_the_end_is_raised(self) -> None:
        """An application that fails when its client goes fails the test."""

        async def fails(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            raise LookupError("in the end")

        client = AsyncClient()
        await client.websocket("/", application=fails)
        with pytest.raises(LookupError, match="in the end"):
            await client.aclose_websockets()

    def test_sockets_of_another_loop_are_stopped(self) -> None:
        """A socket whose event loop is closed needs no goodbye."""

        async def room(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await receive()

        async def leave_open() -> AsyncClient:
            client = AsyncClient()
            await client.websocket("/", application=room)
            return client

        loop = asyncio.new_event_loop()
        client = loop.run_until_complete(leave_open())
        asyncio.run(client.aclose_websockets())
        loop.run_until_complete(asyncio.wait(asyncio.all_tasks(loop)))
        loop.close()

    @override_settings(ASGI_APPLICATION=None)
    def test_without_an_application(self) -> None:
        """The setting that is missing is named at once."""
        with pytest.raises(ImproperlyConfigured, match=r"^Cannot find ASGI_APPLICATION setting\.$"):
            AsyncClient().websocket("/")
