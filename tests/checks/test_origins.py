"""What the check of origins finds, and says."""

from typing import Any

import pytest
from django.urls import path

from fairway.auth import AuthMiddlewareStack
from fairway.checks import check_origins
from fairway.generic.websocket import AsyncWebsocketConsumer
from fairway.routing import ProtocolTypeRouter, URLRouter
from fairway.security.websocket import AllowedHostsOriginValidator, OriginValidator
from tests.checks.running import Settings, asgi


class Chat(AsyncWebsocketConsumer):
    """A consumer."""


def site(websocket: Any) -> ProtocolTypeRouter:
    """A project whose pages need cookies, as all do."""
    return ProtocolTypeRouter({"http": AuthMiddlewareStack(asgi), "websocket": websocket})


routes = URLRouter([path("chat/", Chat.as_asgi())])
mixed = URLRouter(
    [
        path("safe/", AllowedHostsOriginValidator(AuthMiddlewareStack(Chat.as_asgi()))),
        path("", URLRouter([path("open/", AuthMiddlewareStack(Chat.as_asgi()))])),
    ]
)

around = site(AllowedHostsOriginValidator(AuthMiddlewareStack(routes)))
inside = site(AuthMiddlewareStack(OriginValidator(routes, ["https://example.com"])))
no_cookies = site(routes)
no_consumer = site(AuthMiddlewareStack(asgi))
forgotten = site(AuthMiddlewareStack(routes))
one_forgotten = site(mixed)


class TestOrigins:
    """Whether pages of other sites may open WebSockets with a user's cookies."""

    @pytest.mark.parametrize("name", ["around", "inside", "no_cookies", "no_consumer"])
    def test_guarded(self, settings: Settings, name: str) -> None:
        """A validator on the way is enough, and nobody needs one who reads no cookies."""
        settings.ASGI_APPLICATION = f"{__name__}.{name}"
        assert check_origins() == []

    @pytest.mark.parametrize("name", ["forgotten", "one_forgotten"])
    def test_unguarded(self, settings: Settings, name: str) -> None:
        """A consumer that has none on any way to it is named, with what to put around it."""
        settings.ASGI_APPLICATION = f"{__name__}.{name}"
        assert [(found.id, found.msg, found.hint) for found in check_origins()] == [
            (
                "fairway.W013",
                (
                    f"{__name__}.Chat knows users by their cookies, and nothing looks at the "
                    "origin: a page of another site may open its WebSocket as the user who visits "
                    "it."
                ),
                (
                    "Put AllowedHostsOriginValidator(…), from fairway.security.websocket, around "
                    'what stands under "websocket" in the ProtocolTypeRouter.'
                ),
            )
        ]

    def test_nothing_to_look_at(self, settings: Settings) -> None:
        """An application that cannot be imported is another check's."""
        settings.ASGI_APPLICATION = "tests.no_such_module.application"
        assert check_origins() == []
