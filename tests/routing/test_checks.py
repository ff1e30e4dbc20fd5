"""System checks of routes."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, include, path, re_path
from django.urls.converters import register_converter
from django.utils.translation import gettext_lazy
from pytest_django import Settings

from fairway.auth import AuthMiddlewareStack
from fairway.generic.websocket import AsyncWebsocketConsumer
from fairway.http import get_asgi_application
from fairway.middleware import BaseMiddleware
from fairway.routing import ProtocolTypeRouter, URLRouter
from fairway.routing.checks import check_import, check_routes
from tests.routing.applications import Endpoint


class Digit:
    """A converter of a project's own."""

    regex = "[0-9]"

    def to_python(self, value: str) -> int:
        """Read it."""
        return int(value)

    def to_url(self, value: int) -> str:
        """Write it."""
        return str(value)


register_converter(Digit, "checks_digit")

# django-stubs knows only views behind path().
CONSUMER: Any = AsyncWebsocketConsumer.as_asgi()


def route(text: str, name: str | None = None) -> URLPattern:
    """A route to a consumer; a regular expression if it looks like one."""
    make: Any = re_path if set("^$\\(") & set(text) else path
    pattern: URLPattern = make(text, CONSUMER, name=name)
    return pattern


def nested(text: str, *routes: Any) -> URLPattern:
    """A route to a router behind middleware."""
    router: Any = BaseMiddleware(URLRouter(routes))
    pattern: URLPattern = path(text, router)
    return pattern


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> ModuleType:
    """The module of ``ASGI_APPLICATION``."""
    module = ModuleType("asgi_of_tests")
    monkeypatch.setitem(sys.modules, "asgi_of_tests", module)
    settings.ASGI_APPLICATION = "asgi_of_tests.application"
    return module


@pytest.fixture
def check(module: ModuleType) -> Any:
    """Checks an application with these routes."""

    def run(*routes: Any) -> list[CheckMessage]:
        router = URLRouter(routes)
        vars(module)["application"] = ProtocolTypeRouter({"websocket": BaseMiddleware(router)})
        return check_routes()

    return run


def told(messages: Sequence[CheckMessage]) -> list[tuple[str | None, str, str | None]]:
    """What messages say."""
    return [(message.id, message.msg, message.hint) for message in messages]


@pytest.mark.pain(21)
class TestRoutes:
    """``check_routes``."""

    @pytest.mark.parametrize(
        "routes",
        [
            [],
            [route("a/", "a"), route("b/", "b"), route("<int:pk>/", "c"), route("<slug:x>/", "d")],
            [route("<slug:x>/"), route("<str:x>/"), route("<path:x>/"), route("")],
            [route("lobby/"), route("<room>/")],
            [nested("a/", route("x/")), nested("a/", route("y/")), route("a/<path:rest>")],
            [route("a/", "same"), route("a/<int:pk>/", "same"), route("a/<int:x>/b", "same")],
            [
                path("a/", include(([route("x/", "x")], "app"), namespace="one")),
                path("b/", include(([route("x/", "x")], "app"), namespace="two")),
            ],
            [route("<checks_digit:x>/"), route("<checks_digit:y>/")],
            [route(r"^(?P<x>[ab]+)/$"), route(r"^(?P<x>\w+)/$")],
        ],
    )
    def test_good_ones(self, check: Any, routes: list[Any]) -> None:
        """Routes that can all be reached and reversed are fine, and what nobody can tell is."""
        assert told(check(*routes)) == []

    @pytest.mark.parametrize(
        ("routes", "earlier", "later"),
        [
            ([route("<room>/"), route("lobby/")], "<room>/", "lobby/"),
            ([route("<slug:x>/"), route("<int:pk>/")], "<slug:x>/", "<int:pk>/"),
            ([route("a/"), route("a/")], "a/", "a/"),
            ([re_path("", CONSUMER), route("a/")], "", "a/"),
            ([route("^a/b/$"), path("a/", include([route("b/")]))], "^a/b/$", "a/b/"),
            ([route("<path:all>"), nested("a/", route("x/"))], "<path:all>", "a/"),
            ([route("<uuid:a>/"), route("<uuid:b>/")], "<uuid:a>/", "<uuid:b>/"),
            ([route("^a"), route("^ab/$")], "^a", "^ab/$"),
        ],
    )
    def test_unreachable(self, check: Any, routes: list[Any], earlier: str, later: str) -> None:
        """A route behind one that takes all its paths is never reached."""
        assert told(check(*routes)) == [
            (
                "fairway.W006",
                (
                    f"The route {later!r} is never reached: {earlier!r} stands before it and "
                    "matches every path that it does."
                ),
                "Put the narrower route first.",
            )
        ]

    @pytest.mark.parametrize("text", ["/a/", "^/a/$"])
    def test_leading_slash(self, check: Any, text: str) -> None:
        """A route that begins with a slash never matches."""
        assert told(check(route(text))) == [
            (
                "fairway.W006",
                (
                    f"The route {text!r} never matches: it begins with a slash, and the path that "
                    "it is compared with does not."
                ),
                "Remove the slash.",
            )
        ]

    def test_inside_of_routers(self, check: Any) -> None:
        """Nested routers are looked through as well, once each."""
        inner = URLRouter([route("/a/")])
        behind: Any = BaseMiddleware(inner)
        messages = check(path("x/", behind), path("y/", nested("z/", path("", behind)).callback))
        assert [message.id for message in messages] == ["fairway.W006"]

    def test_no_application(self, check: Any) -> None:
        """A view, or what cannot be called at all, is told before a visitor meets it."""

        def view(request: HttpRequest) -> HttpResponse:
            return HttpResponse()

        (message,) = check(path("a/", view))
        assert told([message]) == [
            (
                "fairway.E019",
                (
                    f"The route 'a/' leads to {view!r}, which cannot be called with scope, "
                    "receive and send."
                ),
                "Write as_asgi() behind the name of a consumer. Views belong into the URLconf.",
            )
        ]

    def test_one_consumer(self, check: Any, module: ModuleType) -> None:
        """One consumer that was made for all connections would mix them up."""
        one: Any = AsyncWebsocketConsumer()
        what = "one AsyncWebsocketConsumer for all connections."
        hint = "Write AsyncWebsocketConsumer.as_asgi(), which makes one for each."
        found = told(check(path("a/", one)))
        assert found == [("fairway.W014", f"The route 'a/' leads to {what}", hint)]
        vars(module)["application"] = ProtocolTypeRouter({"websocket": one})
        where = "The 'websocket' of a ProtocolTypeRouter is"
        assert told(check_routes()) == [("fairway.W014", f"{where} {what}", hint)]

    @pytest.mark.parametrize(
        "application", [get_asgi_application, AuthMiddlewareStack, AsyncWebsocketConsumer, []]
    )
    def test_protocols(self, module: ModuleType, application: Any) -> None:
        """What was not called, and what is a list of routes, is no application for a protocol."""
        vars(module)["application"] = ProtocolTypeRouter({"http": application, "x": CONSUMER})
        assert told(check_routes()) == [
            (
                "fairway.E019",
                (
                    f"The 'http' of a ProtocolTypeRouter is {application!r}, which cannot be "
                    "called with scope, receive and send."
                ),
                (
                    "Call what makes the application: get_asgi_application(), as_asgi(), "
                    "AuthMiddlewareStack(…), URLRouter([…])."
                ),
            )
        ]

    def test_old_middleware(self, check: Any, module: ModuleType) -> None:
        """Middleware as it was written for Channels 2 is told what became of its form."""

        class OldMiddleware:
            def __call__(self, scope: object) -> object:
                return scope

        old: Any = OldMiddleware()
        hint = (
            "Since Channels 3 middleware is called once, with all three: async def "
            "__call__(self, scope, receive, send) does what it has to do and ends with return "
            "await self.inner(scope, receive, send)."
        )
        assert [message.hint for message in check(path("a/", old))] == [hint]
        vars(module)["application"] = ProtocolTypeRouter({"websocket": old})
        assert [message.hint for message in check_routes()] == [hint]

    def test_class_as_application(self, module: ModuleType) -> None:
        """A class may be an application, as Starlette's endpoints are."""

        class Awaited:
            def __init__(self, scope: object, receive: object, send: object) -> None: ...

        application: Any = Awaited
        vars(module)["application"] = ProtocolTypeRouter({"http": application})
        assert told(check_routes()) == []

    def test_constructor_of_its_own(self, check: Any) -> None:
        """What a consumer's constructor takes says nothing about its application."""

        class Quiet(AsyncWebsocketConsumer):
            def __init__(self, **streams: object) -> None:
                super().__init__()

        assert told(check(path("a/", Quiet.as_asgi(echo=None)))) == []

    def test_unknown_signature(self, check: Any) -> None:
        """What has no signature may be an application."""
        endpoint: Any = Endpoint()
        endpoint.__signature__ = "none"
        assert told(check(path("a/", endpoint))) == []

    def test_names(self, check: Any) -> None:
        """Two routes with one name and the same parameters are one too many for reverse()."""
        messages = check(
            path("chat/", include(([route("<int:pk>/", "room")], "chat"))),
            path("talk/", include(([route("<str:pk>/", "room")], "chat"))),
        )
        assert told(messages) == [
            (
                "fairway.W007",
                (
                    "The name 'chat:room' belongs to two routes with the same parameters, "
                    "'chat/<int:pk>/' and 'talk/<str:pk>/': reverse() finds one of them."
                ),
                'Give each a name of its own, or a namespace: include((patterns, "app")).',
            )
        ]

    def test_djangos_own(self, check: Any) -> None:
        """What Django says of patterns is said of these."""
        (message,) = check(path("(?P<x>a)", CONSUMER))
        assert message.id == "2_0.W001"

    def test_lazy_text(self, check: Any) -> None:
        """Translated routes are compared as they are in the language of the check."""
        lazy: Any = gettext_lazy("chat/")
        assert [message.id for message in check(path(lazy, CONSUMER), route("chat/"))] == [
            "fairway.W006"
        ]

    def test_not_loaded(self, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        """Routes that are given by their path are imported by the check, at the latest."""
        monkeypatch.setattr("django.apps.apps.ready", False)
        vars(module)["application"] = URLRouter("string.nope")
        assert told(check_routes()) == [
            (
                "fairway.E018",
                (
                    "The routes of a URLRouter cannot be loaded: ImproperlyConfigured: "
                    "URLRouter('string.nope'): module 'string' has no 'nope'."
                ),
                "Correct the dotted path that it was given, or the module that it leads to.",
            )
        ]

    def test_no_application_at_all(self, settings: Settings) -> None:
        """That there is no application is for other checks to say."""
        settings.ASGI_APPLICATION = "nowhere.application"
        assert check_routes() == []


BAD = "import sys\nfrom django.contrib.auth.models import User\napplication = None\n"


@pytest.mark.pain(24)
class TestImport:
    """``check_import``."""

    @pytest.fixture
    def project(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Path:
        """A module for ``ASGI_APPLICATION``."""
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "project_settings.py").write_text('SECRET_KEY = "x"\n')
        settings.SETTINGS_MODULE = "project_settings"
        settings.ASGI_APPLICATION = "asgi_of_a_project.application"
        return tmp_path / "asgi_of_a_project.py"

    def test_good_one(self, project: Path) -> None:
        """What imports alone is fine."""
        project.write_text(
            "from fairway.http import get_asgi_application\napplication = get_asgi_application()\n"
        )
        assert check_import() == []

    def test_models_too_early(self, project: Path) -> None:
        """The line to move is named."""
        project.write_text(BAD)
        assert told(check_import()) == [
            (
                "fairway.W008",
                (
                    "A server cannot import 'asgi_of_a_project', although manage.py can: "
                    "django.core.exceptions.AppRegistryNotReady: Apps aren't loaded yet."
                ),
                (
                    f"{project}:2 imports models before Django is set up. Move that line below "
                    "get_asgi_application(), or give the router the path of the routes: "
                    'URLRouter("myapp.routing") imports them when Django is ready.'
                ),
            )
        ]

    def test_other_errors(self, project: Path) -> None:
        """Any other error is told as well."""
        project.write_text("raise RuntimeError('not today')\n")
        assert told(check_import()) == [
            (
                "fairway.W008",
                (
                    "A server cannot import 'asgi_of_a_project', although manage.py can: "
                    "RuntimeError: not today"
                ),
                'The traceback: python -c "import asgi_of_a_project"',
            )
        ]

    def test_nothing_to_import(self, settings: Settings) -> None:
        """That there is no setting is for other checks to say."""
        settings.ASGI_APPLICATION = None
        assert check_import() == []

    def test_slow_import(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A module that takes its time is no mistake."""
        project.write_text("")

        def run(*args: object, **kwargs: Any) -> None:
            raise subprocess.TimeoutExpired("python", kwargs["timeout"])

        monkeypatch.setattr(subprocess, "run", run)
        assert check_import() == []
