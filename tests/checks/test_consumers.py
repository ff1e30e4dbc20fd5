"""What the check of consumers finds, and says."""

from typing import Any

import pytest
from django.urls import path

from fairway.consumer import SyncConsumer
from fairway.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from fairway.routing import URLRouter
from tests.checks.running import Settings, asgi, run


class HalfAsync(WebsocketConsumer):
    """Was to be async, and has the other base."""

    async def connect(self) -> None:  # type: ignore[override]  # the mistake
        await self.helper()

    async def disconnect(self, code: int) -> None:  # type: ignore[override]  # the mistake
        """Never run."""

    async def helper(self) -> None:
        """Is no method of the base's; whoever calls it may await it."""


class Raw(SyncConsumer):
    """Has the base of all sync consumers, and a handler of its own."""

    async def send(self, message: dict[str, Any]) -> None:
        """Never run."""


class Inherits(HalfAsync):
    """Has the mistake from its parent."""


class Right(WebsocketConsumer):
    def connect(self) -> None:
        """Run in a thread."""


class RightAsync(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        """Run in the event loop."""


def routes(*applications: Any) -> URLRouter:
    """A router with one route for each."""
    return URLRouter([path(f"{at}/", each) for at, each in enumerate(applications)])


right = routes(Right.as_asgi(), RightAsync.as_asgi(), asgi)
half_async = routes(HalfAsync.as_asgi(), HalfAsync.as_asgi())
nested = routes(routes(Inherits.as_asgi()))
raw = routes(Raw.as_asgi())


class TestConsumers:
    """Methods that nothing awaits."""

    def test_right(self, settings: Settings) -> None:
        """Sync consumers with sync methods, and async ones with async methods, are fine."""
        settings.ASGI_APPLICATION = f"{__name__}.right"
        assert run() == []

    @pytest.mark.parametrize(
        ("name", "consumer", "base", "twin", "methods"),
        [
            (
                "half_async",
                "HalfAsync",
                "WebsocketConsumer",
                "AsyncWebsocketConsumer",
                "connect(), disconnect()",
            ),
            (
                "nested",
                "Inherits",
                "WebsocketConsumer",
                "AsyncWebsocketConsumer",
                "connect(), disconnect()",
            ),
            ("raw", "Raw", "SyncConsumer", "AsyncConsumer", "send()"),
        ],
    )
    def test_async_def_in_sync_consumers(
        self, settings: Settings, name: str, consumer: str, base: str, twin: str, methods: str
    ) -> None:
        """Once for each class, its methods are named, and the base that would await them."""
        settings.ASGI_APPLICATION = f"{__name__}.{name}"
        assert run() == [
            (
                "fairway.W012",
                (
                    f"{__name__}.{consumer} is a {base}, which never awaits its {methods}: "
                    "what is async def there does not run."
                ),
                f"Derive it from {twin}, or write def.",
            )
        ]
