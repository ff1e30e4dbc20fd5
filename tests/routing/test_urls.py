"""A router by the path of the URL."""

import functools
import subprocess
import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.urls import URLPattern
from django.urls.converters import register_converter
from django.urls.exceptions import Resolver404
from django.utils.translation import gettext_lazy

from fairway._types import ASGIApplication, Receive, Scope, Send
from fairway.middleware import BaseMiddleware
from fairway.routing import ProtocolTypeRouter, URLRouter
from tests.routing.applications import (
    Endpoint,
    call,
    matches,
    nothing_to_receive,
    nothing_to_send,
    path,
    re_path,
)


class EvenConverter:
    """Even numbers."""

    regex = "[0-9]+"

    def to_python(self, value: str) -> int:
        """Refuse odd numbers."""
        if int(value) % 2:
            raise ValueError
        return int(value)

    def to_url(self, value: int) -> str:
        """Write a number."""
        return str(value)


register_converter(EvenConverter, "fairway_even")


@pytest.mark.row("1.5 URLRouter")
class WatchedScope(dict[str, object]):
    """A scope of which can be seen whether somebody still holds it."""

    __slots__ = ("__weakref__",)


class TestURLRouter:
    """``URLRouter`` alone."""

    async def test_lets_go_of_the_outer_scope(self) -> None:
        """While an application runs, perhaps for days, the scope without the route is gone."""
        scope = WatchedScope(type="websocket", path="/a/")
        outer = weakref.ref(scope)
        alive: list[object] = []

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            alive.append(outer())

        running = URLRouter([path("a/", application)])(scope, nothing_to_receive, nothing_to_send)
        del scope
        await running
        assert alive == [None]

    async def test_first_match_wins(self) -> None:
        """Routes are tried in order, and the list stays readable."""
        first, second = Endpoint(), Endpoint()
        routes = [path("a/", first), re_path(r"^a", second)]
        router = URLRouter(routes)
        await call(router, "/a/")
        await call(router, "/ab/")
        assert len(first.scopes) == len(second.scopes) == 1
        assert router.routes is routes

    async def test_scope(self) -> None:
        """The application gets what was captured and the rest of the path in its own scope."""
        endpoint = Endpoint()
        scope = {"type": "websocket", "path": "/chat/7/", "headers": []}
        router = URLRouter([path("chat/<int:pk>/", endpoint)])
        await router(scope, nothing_to_receive, nothing_to_send)
        assert endpoint.scope == {
            "type": "websocket",
            "path": "/chat/7/",
            "headers": [],
            "path_remaining": "",
            "url_route": {"args": (), "kwargs": {"pk": 7}},
        }
        assert scope == {"type": "websocket", "path": "/chat/7/", "headers": []}

    async def test_positional_groups(self) -> None:
        """Groups without a name become ``args``."""
        endpoint = Endpoint()
        await call(URLRouter([re_path(r"^(\w+)/(\w+)/$", endpoint)]), "/a/b/")
        assert endpoint.scope["url_route"] == {"args": ("a", "b"), "kwargs": {}}

    async def test_named_groups(self) -> None:
        """Groups with a name become ``kwargs``, and unnamed ones beside them are ignored."""
        endpoint = Endpoint()
        await call(URLRouter([re_path(r"^(\w+)/(?P<room>\w+)/$", endpoint)]), "/a/b/")
        assert endpoint.scope["url_route"] == {"args": (), "kwargs": {"room": "b"}}

    async def test_route_defaults(self) -> None:
        """The extra arguments of a route win over captured ones."""
        endpoint = Endpoint()
        await call(URLRouter([path("<a>/", endpoint, {"a": 1, "b": 2})]), "/x/")
        assert endpoint.scope["url_route"] == {"args": (), "kwargs": {"a": 1, "b": 2}}

    async def test_captures_do_not_pile_up(self) -> None:
        """Connections do not see each other's captured values."""
        endpoint = Endpoint()
        router = URLRouter([path("<a>/", endpoint, {"b": 2})])
        await call(router, "/x/")
        endpoint.scopes[0]["url_route"]["kwargs"]["c"] = 3
        await call(router, "/y/")
        assert endpoint.scopes[1]["url_route"] == {"args": (), "kwargs": {"a": "y", "b": 2}}

    async def test_converters(self) -> None:
        """A converter that refuses a value lets the next route try."""
        even, other = Endpoint(), Endpoint()
        router = URLRouter([path("<fairway_even:n>/", even), path("<n>/", other)])
        await call(router, "/4/")
        await call(router, "/5/")
        assert even.scope["url_route"]["kwargs"] == {"n": 4}
        assert other.scope["url_route"]["kwargs"] == {"n": "5"}

    @pytest.mark.parametrize("url_path", ["a/", "/a/", "//a/"])
    async def test_leading_slashes(self, url_path: str) -> None:
        """Slashes at the beginning do not count, as in Django's patterns."""
        assert await matches(URLRouter([path("a/", Endpoint())]), url_path)

    async def test_no_path(self) -> None:
        """A scope without a path cannot be routed."""
        with pytest.raises(
            ValueError, match=r"^No 'path' key in connection scope, cannot route URLs$"
        ):
            await URLRouter([])({"type": "x"}, nothing_to_receive, nothing_to_send)

    @pytest.mark.parametrize(
        "route",
        [
            path("chat/", Endpoint()),
            re_path(r"^chat/$", Endpoint()),
            re_path(r"^(chat/$)", Endpoint()),
            re_path(r"^chat/", Endpoint()),
            path("chat/", URLRouter([path("", Endpoint())])),
            re_path(r"^chat/$", URLRouter([re_path("^", Endpoint())])),
        ],
    )
    async def test_trailing_newline(self, route: URLPattern) -> None:
        """No route matches a path with a newline after what it asks for."""
        router = URLRouter([route])
        assert await matches(router, "/chat/")
        assert not await matches(router, "/chat/\n")

    @pytest.mark.parametrize("route", ["chat/<room>", "chat/<room>/", r"^chat/(?P<room>[^/]+)/?$"])
    @pytest.mark.parametrize("room", ["lobby\n", "\nlobby", "lob\x00by", "lobby\x7f", "\r"])
    async def test_control_characters(self, route: str, room: str) -> None:
        """No captured value has a control character; letters of any script it may have."""
        slash = "/" if route.endswith("/") else ""
        make = re_path if route.startswith("^") else path
        router = URLRouter([make(route, Endpoint())])
        assert await matches(router, f"/chat/Häfen 港{slash}")
        assert not await matches(router, f"/chat/{room}{slash}")

    async def test_control_characters_that_nobody_captures(self) -> None:
        """What a route does not look at is for its application, such as Django, to judge."""
        assert await matches(URLRouter([re_path("", Endpoint())]), "/search/a\nb/")

    async def test_endpoint_behind_middleware(self) -> None:
        """Middleware around a mere endpoint does not loosen its pattern."""
        router = URLRouter([path("chat/", BaseMiddleware(BaseMiddleware(Endpoint())))])
        assert await matches(router, "/chat/")
        assert not await matches(router, "/chat/more/")

    async def test_routes_added_later(self) -> None:
        """Routes that are put into the list after the router was made are found."""
        routes = [path("a/", Endpoint())]
        router = URLRouter(routes)
        assert not await matches(router, "/b/")
        routes.append(path("b/", Endpoint()))
        assert await matches(router, "/b/")

    async def test_return_value(self) -> None:
        """What the application returns is passed on."""

        async def answers(scope: Scope, receive: Receive, send: Send) -> str:
            return "done"

        router = URLRouter([path("", cast("ASGIApplication", answers))])
        call_router = cast("Callable[..., Awaitable[str]]", router)
        scope = {"type": "websocket", "path": "/"}
        assert await call_router(scope, nothing_to_receive, nothing_to_send) == "done"

    async def test_resolver404_of_an_endpoint(self) -> None:
        """An application's own ``Resolver404`` is its failure, and starts no second application."""
        second = Endpoint()

        async def fails(scope: Scope, receive: Receive, send: Send) -> None:
            raise Resolver404("mine")

        with pytest.raises(Resolver404, match="mine"):
            await call(URLRouter([path("", fails), path("", second)]), "/")
        assert second.scopes == []

    async def test_resolver404_of_an_inner_endpoint(self) -> None:
        """It is its failure behind an inner router as well."""
        second = Endpoint()

        async def fails(scope: Scope, receive: Receive, send: Send) -> None:
            raise Resolver404("mine")

        inner = URLRouter([path("b/", fails)])
        with pytest.raises(Resolver404, match="mine"):
            await call(URLRouter([path("a/", inner), path("a/b/", second)]), "/a/b/")
        assert second.scopes == []


@pytest.mark.row("1.5 URLRouter")
class TestRootPath:
    """``root_path`` belongs to the server's configuration, and routes start after it."""

    @pytest.mark.parametrize(
        ("root_path", "url_path", "found"),
        [
            ("", "/a/b/", True),
            ("/r", "/r/a/b/", True),
            ("/r/", "/r/a/b/", True),
            ("/r/s", "/r/s/a/b/", True),
            ("/r", "/ra/b/", False),
            ("/r", "/a/b/", False),
            ("/r", "/r", False),
            ("/r", "/", False),
        ],
    )
    async def test_is_stripped(self, root_path: str, url_path: str, *, found: bool) -> None:
        """It is taken off between two segments, and a path outside of it has no route."""
        router = URLRouter([path("a/b/", Endpoint())])
        assert await matches(router, url_path, root_path=root_path) is found

    async def test_exactly_the_root(self) -> None:
        """The root itself is the empty path."""
        assert await matches(URLRouter([path("", Endpoint())]), "/r", root_path="/r")

    async def test_once(self) -> None:
        """An inner router does not strip it again."""
        router = URLRouter([path("r/", URLRouter([path("r/a/", Endpoint())]))])
        assert await matches(router, "/r/r/r/a/", root_path="/r")
        assert not await matches(router, "/r/r/a/", root_path="/r")

    async def test_message(self) -> None:
        """A path outside of it is named whole."""
        with pytest.raises(ValueError, match=r"^No route found for path '/ra/b/'\.$"):
            await call(URLRouter([path("a/b/", Endpoint())]), "/ra/b/", root_path="/r")


class Attribute:
    """Middleware that keeps the inner application under a name of its own."""

    def __init__(self, wrapped: ASGIApplication) -> None:
        self.wrapped = wrapped

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.wrapped(scope, receive, send)

    def as_method(self) -> ASGIApplication:
        """The same as a bound method."""
        return self.__call__


def closure(inner: ASGIApplication) -> ASGIApplication:
    """Middleware as a function."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(scope, receive, send)

    return application


def wrapper(inner: ASGIApplication) -> ASGIApplication:
    """Middleware in the sense of functools, with a variable around it that has no value yet."""

    @functools.wraps(inner, updated=())
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "unset":
            raise AssertionError(unset)
        await inner(scope, receive, send)

    for unset in list[str]():
        raise AssertionError(unset)
    return application


async def with_inner(inner: ASGIApplication, scope: Scope, receive: Receive, send: Send) -> None:
    """Middleware for functools.partial."""
    await inner(scope, receive, send)


WRAPPERS: dict[str, Callable[[ASGIApplication], ASGIApplication]] = {
    "none": lambda inner: inner,
    "BaseMiddleware": BaseMiddleware,
    "two": lambda inner: BaseMiddleware(BaseMiddleware(inner)),
    "attribute": Attribute,
    "method": lambda inner: Attribute(inner).as_method(),
    "closure": closure,
    "wraps": wrapper,
    "partial": lambda inner: functools.partial(with_inner, inner),
    "keyword": lambda inner: functools.partial(closure(inner)),
    "by type": lambda inner: ProtocolTypeRouter({"websocket": inner}),
    "mixed": lambda inner: closure(Attribute(BaseMiddleware(inner))),
}


class TestNestedRouters:
    """Routers inside routers."""

    @pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS.keys())
    async def test_behind_middleware(
        self, wrap: Callable[[ASGIApplication], ASGIApplication]
    ) -> None:
        """A nested router works behind middleware of any make."""
        endpoint, last = Endpoint(), Endpoint()
        inner = URLRouter([path("lobby/<int:pk>/", endpoint)])
        router = URLRouter([path("chat/<room>/", wrap(inner)), path("chat/<x>/<y>/", last)])
        await call(router, "/chat/a/lobby/3/")
        assert endpoint.scope["url_route"] == {"args": (), "kwargs": {"room": "a", "pk": 3}}
        assert endpoint.scope["path_remaining"] == ""
        assert endpoint.scope["path"] == "/chat/a/lobby/3/"
        await call(router, "/chat/a/b/")
        assert last.scope["url_route"] == {"args": (), "kwargs": {"x": "a", "y": "b"}}

    async def test_marked(self) -> None:
        """Anything else can say that it leads to a router."""
        inner = URLRouter([path("b/", Endpoint())])

        class Marked(Endpoint):
            _path_routing = True

            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                await inner(scope, receive, send)

        router = URLRouter([path("a/", Marked())])
        assert await matches(router, "/a/b/")
        assert not await matches(router, "/a/c/")

    async def test_foreign_router(self) -> None:
        """A router of another make says with ``Resolver404`` that it has no route."""

        class Foreign(Endpoint):
            _path_routing = True

            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                raise Resolver404

        last = Endpoint()
        await call(URLRouter([path("a/", Foreign()), path("a/b/", last)]), "/a/b/")
        assert len(last.scopes) == 1

    async def test_hidden(self) -> None:
        """A router that an endpoint reaches by other ways has the endpoint's path to route."""
        routers = {"inner": URLRouter([path("b/", Endpoint())])}

        class Hidden(Endpoint):
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                await routers["inner"](scope, receive, send)

        router = URLRouter([re_path(r"^a/", Hidden())])
        assert await matches(router, "/a/b/")
        assert not await matches(router, "/a/c/")

    async def test_inner_raises_resolver404(self) -> None:
        """A router that is not the outermost one tells the outer one."""
        router = URLRouter([path("a/", Endpoint())])
        with pytest.raises(Resolver404, match=r"No route found for path 'b/'\."):
            await call(router, "/x/b/", path_remaining="/b/")

    async def test_positional_groups_concatenate(self) -> None:
        """The outer router's positional values come first."""
        endpoint = Endpoint()
        inner = URLRouter([re_path(r"^(\w+)/$", endpoint)])
        await call(URLRouter([re_path(r"^(\w+)/", inner)]), "/a/b/")
        assert endpoint.scope["url_route"] == {"args": ("a", "b"), "kwargs": {}}

    async def test_kwargs_merge(self) -> None:
        """Of equal names the inner router's wins."""
        endpoint = Endpoint()
        inner = URLRouter([path("<b>/", endpoint, {"c": 3})])
        await call(URLRouter([path("<a>/", inner, {"c": 1, "d": 4})]), "/x/y/")
        assert endpoint.scope["url_route"] == {
            "args": (),
            "kwargs": {"a": "x", "b": "y", "c": 3, "d": 4},
        }

    async def test_prefix_without_slash(self) -> None:
        """A slash between the outer and the inner part may belong to neither."""
        router = URLRouter([re_path(r"^chat", URLRouter([re_path(r"^lobby/$", Endpoint())]))])
        assert await matches(router, "/chat/lobby/")

    async def test_middleware_runs_for_the_right_branch_only_once(self) -> None:
        """A branch without a route for the rest is left, and the next one tried."""
        seen: list[str] = []

        def seeing(name: str, inner: ASGIApplication) -> ASGIApplication:
            async def application(scope: Scope, receive: Receive, send: Send) -> None:
                seen.append(name)
                await inner(scope, receive, send)

            return application

        router = URLRouter(
            [
                path("a/", seeing("first", URLRouter([path("x/", Endpoint())]))),
                path("a/", seeing("second", URLRouter([path("y/", Endpoint())]))),
            ]
        )
        assert await matches(router, "/a/y/")
        assert seen == ["first", "second"]

    async def test_lazy_pattern(self) -> None:
        """A translated route stays one."""
        route = gettext_lazy("chat/")
        router = URLRouter([path(cast("str", route), URLRouter([path("a/", Endpoint())]))])
        assert await matches(router, "/chat/a/")

    async def test_own_routes_are_untouched(self) -> None:
        """The project's route objects are not changed."""
        route = path("a/", URLRouter([path("b/", Endpoint())]))
        pattern = route.pattern
        URLRouter([route])
        assert route.pattern is pattern

    def test_unsupported_pattern(self) -> None:
        """A pattern that cannot be turned into a prefix is refused."""
        route = path("a/", URLRouter([]))
        route.pattern = object()  # type: ignore[assignment]  # that is the point
        with pytest.raises(ValueError, match=r"^Unsupported pattern type: <class 'object'>$"):
            URLRouter([route])

    @pytest.mark.parametrize("kind", ["Django", "consumer"])
    async def test_endpoint_that_holds_a_router(self, kind: str) -> None:
        """Django's handler and consumers are endpoints, whatever they hold."""
        endpoint = ASGIHandler() if kind == "Django" else Endpoint()
        vars(endpoint)["router"] = URLRouter([path("b/", Endpoint())])
        if kind == "consumer":
            vars(endpoint)["consumer_class"] = Endpoint
        router = URLRouter([path("a/", cast("ASGIApplication", endpoint))])
        assert not await matches(router, "/a/b/")


@pytest.mark.pain(24)
def test_imports_before_setup() -> None:
    """Everything that stands in ``asgi.py`` can be imported before Django is set up: no models."""
    code = """
import sys
import fairway.auth, fairway.db, fairway.generic.http, fairway.generic.websocket, fairway.http
import fairway.layers, fairway.middleware, fairway.routing, fairway.security.websocket
import fairway.sessions, fairway.worker
print([name for name in sys.modules if name.startswith("django.contrib") and "models" in name])
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
