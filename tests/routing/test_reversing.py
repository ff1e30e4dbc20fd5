"""From the name of a route to its URL."""

import sys
from types import ModuleType
from typing import Any

import pytest
from django.core.exceptions import DisallowedHost
from django.http import QueryDict
from django.test import RequestFactory
from django.urls import NoReverseMatch, URLPattern, include, set_script_prefix
from django.urls import path as django_path
from django.urls import reverse as django_reverse
from pytest_django import Settings

from fairway.generic.http import AsyncHttpConsumer
from fairway.generic.websocket import AsyncWebsocketConsumer
from fairway.http import ASGIHandler
from fairway.middleware import BaseMiddleware
from fairway.routing import ProtocolTypeRouter, URLRouter, reverse, websocket_url


def path(route: str, application: Any, name: str | None = None) -> URLPattern:
    """``django.urls.path`` with a name, for an application."""
    pattern: URLPattern = django_path(route, application, name=name)
    return pattern


class Room(AsyncWebsocketConsumer):
    """A consumer with a name."""


class Stream(AsyncHttpConsumer):
    """Another one."""


rooms = [
    path("<int:pk>/", Room.as_asgi(), name="room"),
    path("<int:pk>/<slug:topic>/", Room.as_asgi(), name="room"),
]
nested = URLRouter([path("lobby/", Room.as_asgi(), name="lobby")])
sockets = URLRouter(
    [
        django_path("ws/rooms/", include((rooms, "chat"))),
        django_path("ws/archive/", include((rooms, "chat"), namespace="archive")),
        path("ws/nested/<house>/", BaseMiddleware(nested)),
        path("ws/both/", Room.as_asgi(), name="both"),
        path("ws/H\u00e4fen/", Room.as_asgi(), name="harbours"),
    ]
)
streams = URLRouter(
    [
        path("events/", Stream.as_asgi(), name="events"),
        path("both/", Stream.as_asgi(), name="both"),
        path("", ASGIHandler()),
    ]
)


@pytest.fixture(autouse=True)
def application(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> ModuleType:
    """A project whose ``ASGI_APPLICATION`` has these routes."""
    module = ModuleType("asgi_of_tests")
    vars(module)["application"] = ProtocolTypeRouter(
        {"http": streams, "websocket": BaseMiddleware(sockets)}
    )
    monkeypatch.setitem(sys.modules, "asgi_of_tests", module)
    settings.ASGI_APPLICATION = "asgi_of_tests.application"
    return module


@pytest.mark.pain(21)
class TestReverse:
    """``reverse``."""

    @pytest.mark.parametrize(
        ("arguments", "found"),
        [
            ({"viewname": "chat:room", "args": [7]}, "/ws/rooms/7/"),
            ({"viewname": "chat:room", "kwargs": {"pk": 7, "topic": "a"}}, "/ws/rooms/7/a/"),
            ({"viewname": "archive:room", "args": [7]}, "/ws/archive/7/"),
            ({"viewname": "chat:room", "args": [7], "current_app": "archive"}, "/ws/archive/7/"),
            ({"viewname": "lobby", "args": ["old town"]}, "/ws/nested/old%20town/lobby/"),
            ({"viewname": "harbours"}, "/ws/H%C3%A4fen/"),
            ({"viewname": "events"}, "/events/"),
            ({"viewname": "events", "query": {"after": 3}}, "/events/?after=3"),
            ({"viewname": "events", "query": QueryDict("a=1&a=2")}, "/events/?a=1&a=2"),
            ({"viewname": "both"}, "/ws/both/"),
            ({"viewname": "both", "urlconf": streams}, "/both/"),
        ],
    )
    def test_finds(self, arguments: dict[str, Any], found: str) -> None:
        """Names, namespaces and nested routers lead to the path that the router takes."""
        assert reverse(**arguments) == found

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"viewname": "nope"}, "Reverse for 'nope' not found. 'nope' is not a valid"),
            ({"viewname": "chat:room", "args": ["x"]}, "Reverse for 'room' with arguments"),
            ({"viewname": "nope:room"}, "'nope' is not a registered namespace"),
        ],
    )
    def test_does_not_find(self, arguments: dict[str, Any], message: str) -> None:
        """A wrong name, namespace or value is told in Django's words."""
        with pytest.raises(NoReverseMatch) as caught:
            reverse(**arguments)
        assert str(caught.value).startswith(message)

    def test_no_router(self, application: ModuleType) -> None:
        """A project without a URL router is told so."""
        vars(application)["application"] = Room.as_asgi()
        with pytest.raises(NoReverseMatch) as caught:
            reverse("chat:room", args=[7])
        assert str(caught.value) == (
            "Reverse for 'chat:room' not found. ASGI_APPLICATION has no URLRouter."
        )

    def test_djangos_own(self) -> None:
        """``django.urls.reverse`` takes a router for its URLconf."""
        urlconf: Any = sockets
        assert django_reverse("chat:room", urlconf, [7]) == "/ws/rooms/7/"

    def test_script_prefix(self) -> None:
        """As in Django, a site below a prefix has it in its paths."""
        set_script_prefix("/app/")
        try:
            assert reverse("events") == "/app/events/"
        finally:
            set_script_prefix("/")

    async def test_leads_back(self) -> None:
        """What it returns is routed to the consumer whose name it was."""
        names: dict[str, list[object]] = {
            "chat:room": [7],
            "archive:room": [7, "a"],
            "lobby": ["x"],
        }
        for name, args in names.items():
            found = [
                match
                for match in sockets._matches({}, reverse(name, args=args).lstrip("/"))
                if match.leads_to_router or match.scope["path_remaining"] == ""
            ]
            assert len(found) == 1


class TestWebsocketURL:
    """``websocket_url``."""

    @pytest.mark.parametrize(
        ("given", "url"),
        [
            ({}, "ws://testserver/ws/rooms/7/"),
            ({"secure": True}, "wss://testserver/ws/rooms/7/"),
            ({"headers": {"host": "localhost:8000"}}, "ws://localhost:8000/ws/rooms/7/"),
            (
                {"headers": {"x-forwarded-proto": "https", "host": "localhost"}},
                "wss://localhost/ws/rooms/7/",
            ),
            ({"SCRIPT_NAME": "/app"}, "ws://testserver/app/ws/rooms/7/"),
        ],
    )
    def test_request(self, settings: Settings, given: dict[str, Any], url: str) -> None:
        """The address has the host, the security and the prefix of the request."""
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
        assert websocket_url(RequestFactory().get("/", **given), "chat:room", [7]) == url

    @pytest.mark.parametrize(
        ("given", "url"),
        [
            ({"scheme": "ws"}, "ws://localhost/ws/rooms/7/?a=1"),
            ({"scheme": "wss"}, "wss://localhost/ws/rooms/7/?a=1"),
            (
                {"type": "http", "method": "GET", "scheme": "https"},
                "wss://localhost/ws/rooms/7/?a=1",
            ),
            ({"scheme": "ws", "root_path": "/app"}, "ws://localhost/app/ws/rooms/7/?a=1"),
        ],
    )
    def test_scope(self, given: dict[str, Any], url: str) -> None:
        """A consumer has its scope."""
        scope = {"type": "websocket", "path": "/", "headers": [(b"host", b"localhost")], **given}
        assert websocket_url(scope, "chat:room", kwargs={"pk": 7}, query={"a": 1}) == url

    def test_prefix_is_not_doubled(self) -> None:
        """In a view below a prefix, Django's current prefix is the request's."""
        set_script_prefix("/app/")
        try:
            request = RequestFactory().get("/", SCRIPT_NAME="/app")
            assert websocket_url(request, "events") == "ws://testserver/app/events/"
        finally:
            set_script_prefix("/")

    def test_hosts_are_checked(self) -> None:
        """A host that is not allowed is not repeated to anyone."""
        with pytest.raises(DisallowedHost):
            websocket_url(RequestFactory().get("/", headers={"host": "evil.example"}), "events")

    def test_other_router(self) -> None:
        """The router can be named."""
        request = RequestFactory().get("/")
        assert websocket_url(request, "both", urlconf=streams) == "ws://testserver/both/"
