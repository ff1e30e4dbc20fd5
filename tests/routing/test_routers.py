"""Routers by the kind of the scope, and the application that a project names."""

import asyncio
import inspect
import sys
from types import ModuleType

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from fairway._types import Event, Receive, Scope, Send
from fairway.routing import (
    ChannelNameRouter,
    ProtocolTypeRouter,
    get_default_application,
)
from fairway.testing import LifespanCommunicator
from tests.routing.applications import (
    Endpoint,
    call,
    nothing_to_receive,
    nothing_to_send,
    serve,
)


@pytest.mark.row("1.5 get_default_application")
class TestGetDefaultApplication:
    """``get_default_application``."""

    @pytest.fixture(autouse=True)
    def module(self, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        """A module with an application."""
        module = ModuleType("asgi_of_tests")
        vars(module)["application"] = Endpoint()
        monkeypatch.setitem(sys.modules, "asgi_of_tests", module)
        return module

    def test_imports(self, settings: Settings, module: ModuleType) -> None:
        """The setting names module and attribute."""
        settings.ASGI_APPLICATION = "asgi_of_tests.application"
        assert get_default_application() is module.application

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (None, "Cannot find ASGI_APPLICATION setting."),
            ("application", "Cannot find ASGI_APPLICATION setting."),
            ("no_such.application", "Cannot import ASGI_APPLICATION module 'no_such'"),
            (
                "asgi_of_tests.app",
                "Cannot find 'app' in ASGI_APPLICATION module asgi_of_tests",
            ),
        ],
    )
    def test_says_what_is_wrong(self, settings: Settings, value: object, message: str) -> None:
        """A missing setting, module or name is named."""
        settings.ASGI_APPLICATION = value
        with pytest.raises(ImproperlyConfigured) as caught:
            get_default_application()
        assert str(caught.value) == message

    def test_missing_setting(self, settings: Settings) -> None:
        """The setting need not be there at all."""
        if hasattr(settings, "ASGI_APPLICATION"):
            del settings.ASGI_APPLICATION
        with pytest.raises(ImproperlyConfigured, match="Cannot find ASGI_APPLICATION setting"):
            get_default_application()

    def test_keeps_the_cause(self, settings: Settings) -> None:
        """The import error behind it is not hidden."""
        settings.ASGI_APPLICATION = "no_such.application"
        with pytest.raises(ImproperlyConfigured) as caught:
            get_default_application()
        assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.row("1.5 ProtocolTypeRouter")
class TestProtocolTypeRouter:
    """``ProtocolTypeRouter``."""

    async def test_routes_by_type(self) -> None:
        """Each type of scope has its application, which gets the scope as it is."""
        http, websocket = Endpoint(), Endpoint()
        router = ProtocolTypeRouter({"http": http, "websocket": websocket})
        await call(router, "/", type="http")
        assert http.scope == {"type": "http", "path": "/"}
        assert websocket.scopes == []
        assert router.application_mapping == {"http": http, "websocket": websocket}

    async def test_unknown_type(self) -> None:
        """Other types are refused by name, lifespan too where no server asks."""
        router = ProtocolTypeRouter({"http": Endpoint()})
        with pytest.raises(
            ValueError, match=r"^No application configured for scope type 'lifespan'$"
        ):
            await call(router, "", type="lifespan")

    @pytest.mark.parametrize(
        ("types", "words"),
        [(["http", "websockets"], "'http', 'websockets'"), ([], "nothing")],
    )
    async def test_unknown_type_beside_others(self, types: list[str], words: str) -> None:
        """Who has mistyped a key sees those that there are."""
        router = ProtocolTypeRouter({kind: Endpoint() for kind in types})
        scope: Scope = {"type": "websocket", "asgi": {"version": "3.0"}}
        with pytest.raises(ValueError, match="scope type 'websocket'") as caught:
            await router(scope, nothing_to_receive, nothing_to_send)
        assert caught.value.__notes__ == [f"This ProtocolTypeRouter has applications for {words}."]

    async def test_is_a_coroutine_function(self) -> None:
        """Servers that ask ``inspect``, as Hypercorn does, see it; errors are for who awaits it."""
        router = ProtocolTypeRouter({})
        assert inspect.iscoroutinefunction(router.__call__)
        refused = router({"type": "http"}, nothing_to_receive, nothing_to_send)
        with pytest.raises(ValueError, match=r"^No application configured for scope type 'http'$"):
            await refused

    async def test_lifespan(self) -> None:
        """Servers are told that the application starts and ends."""
        async with LifespanCommunicator(ProtocolTypeRouter({"http": Endpoint()})) as lifespan:
            assert lifespan.state == {}

    async def test_lifespan_in_tests(self) -> None:
        """Tools that start an application for tests may leave out what only servers know."""
        sent: list[Event] = []
        events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> Event:
            return next(events)

        async def send(event: Event) -> None:
            sent.append(event)

        await ProtocolTypeRouter({})({"type": "lifespan", "state": {}}, receive, send)
        assert [event["type"] for event in sent] == [
            "lifespan.startup.complete",
            "lifespan.shutdown.complete",
        ]

    async def test_own_lifespan(self) -> None:
        """An application for it has the word."""
        own = Endpoint()
        await serve(ProtocolTypeRouter({"lifespan": own}), type="lifespan", asgi={"version": "3.0"})
        assert own.scope["type"] == "lifespan"

    async def test_end_waits_for_sockets(self) -> None:
        """A server that ends its loop after the lifespan cuts off no ``disconnect()``."""
        going_on = asyncio.Event()

        async def socket(scope: Scope, receive: Receive, send: Send) -> None:
            await going_on.wait()

        router = ProtocolTypeRouter({"websocket": socket})
        lifespan = LifespanCommunicator(router)
        await lifespan.startup()
        served = asyncio.create_task(serve(router, type="websocket"))
        await asyncio.sleep(0)
        ending = asyncio.create_task(lifespan.shutdown())
        assert await lifespan.receive_nothing()
        going_on.set()
        await ending
        assert served.done()


@pytest.mark.row("1.5 ChannelNameRouter")
class TestChannelNameRouter:
    """``ChannelNameRouter``."""

    async def test_routes_by_channel(self) -> None:
        """Each channel has its application."""
        thumbnails = Endpoint()
        router = ChannelNameRouter({"thumbnails": thumbnails})
        await call(router, "", type="channel", channel="thumbnails")
        assert thumbnails.scope["channel"] == "thumbnails"
        assert router.application_mapping == {"thumbnails": thumbnails}

    async def test_unknown_channel(self) -> None:
        """Other channels are refused by name."""
        router = ChannelNameRouter({"thumbnails": Endpoint()})
        with pytest.raises(ValueError, match=r"^No application configured for channel name 'x'$"):
            await call(router, "", type="channel", channel="x")

    async def test_no_channel(self) -> None:
        """A scope of another type is refused with a hint."""
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            await call(ChannelNameRouter({}), "/")
        assert str(caught.value) == (
            "ChannelNameRouter got a scope without a 'channel' key. Did you make sure it's only "
            "being used for 'channel' type messages?"
        )
