"""What routes lead to: includes, modules that are named, and what is no application."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.urls import include
from django.urls import path as django_path
from django.urls import re_path as django_re_path
from django.views import View

from fairway._types import ASGIApplication
from fairway.middleware import BaseMiddleware
from fairway.routing import URLRouter, reverse
from tests.routing.applications import (
    Endpoint,
    call,
    matches,
    path,
    re_path,
)


class TestInclude:
    """``include()`` inside a ``URLRouter``."""

    async def test_list(self) -> None:
        """Included routes go on where the prefix ends, and add to what was captured."""
        endpoint, last = Endpoint(), Endpoint()
        router = URLRouter(
            [
                django_path(
                    "chat/<room>/",
                    include([path("<int:pk>/", endpoint, {"b": 2})]),
                    {"a": 1},
                ),
                path("chat/<x>/<y>/", last),
            ]
        )
        await call(router, "/chat/lobby/3/")
        assert endpoint.scope["path_remaining"] == ""
        assert endpoint.scope["url_route"] == {
            "args": (),
            "kwargs": {"room": "lobby", "a": 1, "pk": 3, "b": 2},
        }
        await call(router, "/chat/lobby/other/")
        assert len(last.scopes) == 1

    async def test_module(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An app's routes are included by module, with a namespace if it has one."""
        module = ModuleType("routing_of_an_app")
        endpoint = Endpoint()
        vars(module).update(urlpatterns=[re_path(r"^(\w+)/$", endpoint)], app_name="app")
        monkeypatch.setitem(sys.modules, "routing_of_an_app", module)
        await call(URLRouter([django_re_path(r"^(\w+)/", include("routing_of_an_app"))]), "/a/b/")
        assert endpoint.scope["url_route"] == {"args": ("a", "b"), "kwargs": {}}

    async def test_module_as_routers_name_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A module's ``websocket_urlpatterns`` come before its ``urlpatterns``, if it has both."""
        module, endpoint = ModuleType("routing_of_an_app"), Endpoint()
        vars(module)["websocket_urlpatterns"] = [
            django_path("b/", cast("Any", endpoint), name="there")
        ]
        monkeypatch.setitem(sys.modules, "routing_of_an_app", module)
        router = URLRouter([django_path("a/", include("routing_of_an_app"))])
        await call(router, "/a/b/")
        assert endpoint.scope["path_remaining"] == ""
        assert reverse("there", router) == "/a/b/"

    async def test_nested(self) -> None:
        """Includes and routers can be inside each other."""
        endpoint = Endpoint()
        innermost = URLRouter([django_path("d/", include([path("e/", endpoint)]))])
        router = URLRouter(
            [django_path("a/", include([django_path("b/", include([path("c/", innermost)]))]))]
        )
        await call(router, "/a/b/c/d/e/")
        assert endpoint.scope["path_remaining"] == ""


@pytest.mark.pain(24)
class TestDottedPath:
    """Routes by the path of their module, which is imported once Django is set up."""

    @pytest.fixture(autouse=True)
    def module(self, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        """An app's routing module; its apps count as not set up."""
        monkeypatch.setattr(apps, "ready", False)
        module = ModuleType("routing_of_an_app")
        vars(module).update(
            websocket_urlpatterns=[path("a/", Endpoint())], more=[path("b/", Endpoint())], other=7
        )
        monkeypatch.setitem(sys.modules, "routing_of_an_app", module)
        return module

    async def test_module(self) -> None:
        """A module's ``websocket_urlpatterns`` are its routes."""
        assert await matches(URLRouter("routing_of_an_app"), "/a/")

    async def test_module_with_a_urlconf(self, module: ModuleType) -> None:
        """So are its ``urlpatterns``, if it has no others."""
        vars(module)["urlpatterns"] = vars(module).pop("websocket_urlpatterns")
        assert await matches(URLRouter("routing_of_an_app"), "/a/")

    async def test_name(self) -> None:
        """A list is named by its own path."""
        assert await matches(URLRouter("routing_of_an_app.more"), "/b/")

    def test_is_not_imported_before_django_is_set_up(self) -> None:
        """The module may import models, which need a Django that is set up."""
        router = URLRouter("no_such_module_yet")
        with pytest.raises(ModuleNotFoundError, match="no_such_module_yet"):
            _ = router.routes

    def test_is_imported_at_once_afterwards(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A mistake is found when the server starts, wherever it can be."""
        monkeypatch.setattr(apps, "ready", True)
        with pytest.raises(ModuleNotFoundError, match="no_such_module_yet"):
            URLRouter("no_such_module_yet")

    async def test_nested(self) -> None:
        """Nested routers may be given so, too."""
        router = URLRouter([path("x/", BaseMiddleware(URLRouter("routing_of_an_app")))])
        assert await matches(router, "/x/a/")

    def test_routes_can_be_replaced(self) -> None:
        """The attribute takes either form."""
        router = URLRouter([])
        router.routes = "routing_of_an_app.more"
        assert [str(route.pattern) for route in router.routes] == ["b/"]

    @pytest.mark.parametrize(
        ("dotted_path", "message"),
        [
            ("routing_of_an_app.nope", "module 'routing_of_an_app' has no 'nope'."),
            ("routing_of_an_app.other", "that is no list of routes, but of type int."),
            ("string", "the module has no websocket_urlpatterns or urlpatterns."),
        ],
    )
    def test_mistakes(self, dotted_path: str, message: str) -> None:
        """A path that leads to no routes is named, with what is wrong."""
        with pytest.raises(ImproperlyConfigured) as caught:
            URLRouter(dotted_path).load()
        assert str(caught.value) == f"URLRouter({dotted_path!r}): {message}"

    def test_module_that_misses_another(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The module's own import error is not taken for its absence."""
        (tmp_path / "routing_that_misses.py").write_text("import no_such_package.module\n")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_package'"):
            URLRouter("routing_that_misses").load()


class TestMistakes:
    """What is often put where an application belongs."""

    def test_consumer_class(self) -> None:
        """A class with ``as_asgi`` was meant to be called."""

        class ChatConsumer:
            as_asgi = None

        with pytest.raises(ImproperlyConfigured) as caught:
            URLRouter([path("a/", cast("ASGIApplication", ChatConsumer))])
        assert str(caught.value) == (
            "URLRouter: <URLPattern 'a/'> leads to the class ChatConsumer. "
            "Write ChatConsumer.as_asgi()."
        )

    def test_view(self) -> None:
        """A view belongs into the URLconf."""

        class Home(View):
            def get(self, request: HttpRequest) -> HttpResponse:
                return HttpResponse()

        with pytest.raises(ImproperlyConfigured) as caught:
            URLRouter([django_path("a/", Home.as_view())])
        assert str(caught.value) == (
            "URLRouter: <URLPattern 'a/'> leads to a Django view. Views belong into the URLconf, "
            "which fairway.http.get_asgi_application() serves; a URLRouter takes ASGI applications."
        )

    def test_no_route(self) -> None:
        """A list of routes in the list, or a pair, is none."""
        for wrong, kind in ([], "list"), (("a/", None), "tuple"), ("a/", "str"):
            with pytest.raises(ImproperlyConfigured) as caught:
                URLRouter([cast("Any", wrong)])
            assert str(caught.value) == (
                f"URLRouter takes a list of path() and re_path(), and in it is {wrong!r}, of type "
                f"{kind}."
            )

    def test_no_list(self) -> None:
        """One route is no list."""
        route = path("a/", Endpoint())
        with pytest.raises(ImproperlyConfigured) as caught:
            URLRouter(cast("Any", route))
        assert str(caught.value) == (
            "URLRouter takes a list of routes, not <URLPattern 'a/'> alone: put it into brackets."
        )
