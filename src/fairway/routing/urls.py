"""A router by the path of the URL."""

import contextlib
import importlib
import logging
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.urls import URLPattern, URLResolver
from django.urls.exceptions import Resolver404
from django.urls.resolvers import LocalePrefixPattern, RegexPattern, RoutePattern

from fairway._types import ASGIApplication, Finished, Headers, Receive, Scope, Send
from fairway.middleware import begin
from fairway.routing.search import find_routers

logger = logging.getLogger("fairway.routing")

Route: TypeAlias = URLPattern | URLResolver

_Pattern: TypeAlias = RegexPattern | RoutePattern | LocalePrefixPattern

#: Close code of a WebSocket for which there is no route, after HTTP's 404.
CLOSE_NOT_FOUND = 4404

#: Marks an exception that looks like a router's "no route", and is an endpoint's own.
_OF_ENDPOINT = "_fairway_of_endpoint"

_NOT_FOUND_BODY = b"Not Found"
_NOT_FOUND_HEADERS: Headers = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", str(len(_NOT_FOUND_BODY)).encode()),
]

# No name of a room has one, whatever "[^/]+" lets pass, and "$" would let one stand behind it.
_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")

#: What a module with routes calls them, the first that it has.
_ROUTES_OF_A_MODULE: Final = ("websocket_urlpatterns", "urlpatterns")


class URLRouter:
    """Chooses an application by the path of the URL, for HTTP, WebSockets and all that have one.

    Routes are Django's ``path()`` and ``re_path()``, with an ASGI application in place of the view.
    A route may also lead to another ``URLRouter``, with or without middleware around it, or be an
    ``include()`` of more such routes; it then matches the beginning of the path, and the inner
    routes go on with the rest. A callback counts as leading to a router if one is found in the
    attributes, closures and dictionaries that it is made of; ``_path_routing = True`` on it says so
    by hand.

    The application's scope has ``url_route``, a dict of ``args`` (tuple) and ``kwargs`` (dict) with
    what this router and those above it captured, and ``path_remaining``, the rest of the path.

    **Paths without a route.** An inner router lets the outer one try its next route. The outermost
    one answers if a server asked, which is told by ``scope["asgi"]``, required of servers by the
    ASGI specification: HTTP 404, which a WebSocket also gets if its server can send it (extension
    ``websocket.http.response``), and else is closed with 4404 before it is accepted. Each is one
    warning on the logger ``fairway.routing``. Without ``scope["asgi"]``, as in the communicators of
    tests, it raises ``ValueError``.

    **Names.** Routes have names and namespaces as in a URLconf: :func:`fairway.routing.reverse`
    finds them, and ``django.urls.reverse(name, urlconf=router)`` does.

    **Control characters**, such as a newline at the end, are in no value that a route captures: it
    does not match then.

    Args:
        routes: The routes, tried in order. Or the dotted path of a module that calls them
            ``websocket_urlpatterns`` or ``urlpatterns``, or of a list: ``"live.routing"``. It is
            imported once Django is set up, so that ``asgi.py`` may have its imports in any order.

    Raises:
        ImproperlyConfigured: A callback is a Django view, or a consumer class without
            ``as_asgi()``, or the dotted path leads to no routes. If the path is not imported yet,
            :meth:`load` raises it.
        ValueError: A pattern that cannot match the beginning of a path leads to a router.
    """

    #: Routes to such a callback match the beginning of the path.
    _path_routing = True

    #: The applications that the routes lead to, in order, once they are loaded.
    targets: "list[Target]"

    def __init__(self, routes: Sequence[Route] | str) -> None:
        self._routes = routes
        self._compiled: list[Route] = []
        self.targets = []
        if not isinstance(routes, str) or apps.ready:
            self.load()

    @property
    def routes(self) -> Sequence[Route]:
        """The routes, imported if they were given by their path. The list may be changed."""
        if isinstance(self._routes, str):
            self._routes = _import_routes(self._routes)
        return self._routes

    @routes.setter
    def routes(self, routes: Sequence[Route] | str) -> None:
        self._routes = routes

    def load(self) -> None:
        """Import and prepare the routes, again if the list was changed, as plug-in systems do.

        The first connection does this, and the system checks do.

        Raises:
            ImproperlyConfigured: A route leads to no application, or the path to no routes.
            ValueError: A pattern that cannot match the beginning of a path leads to a router.
        """
        routes = list(self.routes)
        if routes != self._compiled:
            self.targets = [target for route in routes for target in _flatten(route)]
            self._compiled = routes

    @property
    def urlpatterns(self) -> list[Route]:
        """The routes as Django's resolver knows them, with nested routers as ``include()``."""
        return [_as_django_has_it(route) for route in self.routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Finished:
        """Run the first application whose route matches.

        Raises:
            ValueError: The scope has no ``path``, or no route matches and no server asked.
            Resolver404: No route matches, and this is an inner router.
        """
        self.load()
        inner = "path_remaining" in scope
        path, served = _path_to_route(scope)
        for match in self._matches(scope, path) if served else ():
            if not match.leads_to_router:
                # Out of the loop: a WebSocket may stay for days, and would keep the iterator alive.
                break
            try:
                return await match.application(match.scope, receive, send)
            except Resolver404 as error:
                if hasattr(error, _OF_ENDPOINT):
                    raise
                continue
        else:
            return await _not_found(scope, receive, send, path, inner=inner)
        try:
            running = begin(match.application, match.scope, receive, send)
            # An open socket keeps the innermost scope: 600 bytes less, or 1,000 with middleware.
            del scope, match
            return await running
        except _NoRoute as error:
            # From a router inside an application that does not look like leading to one.
            return await _not_found(error.scope, receive, send, path, inner=inner)
        except Resolver404 as error:
            # Its own failure, maybe hours after it began: no router above starts another one.
            setattr(error, _OF_ENDPOINT, True)
            raise

    def _matches(self, scope: Scope, path: str) -> Iterator["_Match"]:
        """Yield every route that matches, in order, with the scope for its application."""
        outer = scope.get("url_route", {})
        outer_args, outer_kwargs = outer.get("args", ()), outer.get("kwargs", {})
        for target in self.targets:
            if target.probe(path) is not None and (found := target.match(path)) is not None:
                rest, args, kwargs = found
                url_route = {"args": outer_args + args, "kwargs": {**outer_kwargs, **kwargs}}
                inner_scope = {**scope, "path_remaining": rest, "url_route": url_route}
                yield _Match(target.application, inner_scope, target.leads_to_router)


class _NoRoute(Resolver404):
    """An inner router has no route for the rest of the path.

    Attributes:
        scope: What it was given.
    """

    def __init__(self, text: str, scope: Scope) -> None:
        super().__init__(text)
        self.scope = scope


class _Match(NamedTuple):
    """An application that a path may be meant for."""

    application: ASGIApplication
    scope: Scope
    leads_to_router: bool


class _Step(NamedTuple):
    """A pattern, and what its route adds to the captured values."""

    pattern: _Pattern
    extra: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Target:
    """An application, and the steps to it: one pattern for each ``include()``, and its own.

    Attributes:
        steps: The patterns, from the outside in.
        probe: A cheap test that is None for most paths that do not match.
        application: What the route leads to.
        leads_to_router: Whether that is a router, or middleware around one.
    """

    steps: tuple[_Step, ...]
    probe: Callable[[str], object | None]
    application: ASGIApplication
    leads_to_router: bool

    def __str__(self) -> str:
        """The route as it is written, with the prefixes of each ``include()``."""
        return "".join(str(step.pattern) for step in self.steps)

    def match(self, path: str) -> tuple[str, tuple[str, ...], dict[str, object]] | None:
        """Return the rest of the path and what was captured, or None."""
        args: tuple[str, ...] = ()
        kwargs: dict[str, object] = {}
        for step in self.steps:
            match = step.pattern.match(path)
            # A regular expression's "$" also stands before a newline at the end; no route means
            # that.
            if not match or match[0] == "\n":
                return None
            path, new_args, new_kwargs = match
            if _has_control_character((*new_args, *new_kwargs.values())):
                return None
            args += new_args
            kwargs |= new_kwargs
            kwargs |= step.extra
        return path, args, kwargs


def _has_control_character(values: Iterable[object]) -> bool:
    return any(isinstance(value, str) and _CONTROL_CHARACTER.search(value) for value in values)


def _import_routes(path: str) -> Sequence[Route]:
    """Return the routes that a dotted path leads to: of a module, or a name in it.

    Raises:
        ImproperlyConfigured: It leads to none. What importing the module raises is left alone.
    """
    try:
        found: object = importlib.import_module(path)
    except ModuleNotFoundError as error:
        module_name, _, name = path.rpartition(".")
        # A module that exists and misses another one is a different mistake.
        if error.name is None or not module_name or not f"{path}.".startswith(f"{error.name}."):
            raise
        found = getattr(importlib.import_module(module_name), name, None)
        if found is None:
            raise ImproperlyConfigured(
                f"URLRouter({path!r}): module {module_name!r} has no {name!r}."
            ) from None
    if isinstance(found, types.ModuleType):
        lists = _routes_of(found)
        if not lists:
            raise ImproperlyConfigured(
                f"URLRouter({path!r}): the module has no {' or '.join(_ROUTES_OF_A_MODULE)}."
            )
        found = lists[0]
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise ImproperlyConfigured(
            f"URLRouter({path!r}): that is no list of routes, but of type {type(found).__name__}."
        )
    return found


def _routes_of(module: types.ModuleType) -> list[list[Route]]:
    """Return the lists of routes in a module, the one that is meant first."""
    return [vars(module)[name] for name in _ROUTES_OF_A_MODULE if name in vars(module)]


def _included(route: URLResolver) -> list[Route]:
    """Return the routes of an ``include()``, which may name a module as routers name it."""
    module = route.urlconf_module
    lists = _routes_of(module) if isinstance(module, types.ModuleType) else []
    return lists[0] if lists else route.url_patterns


def _as_django_has_it(route: Route) -> Route:
    """Return a route that Django's resolver can reverse through, whatever is nested in it."""
    if isinstance(route, URLResolver):
        inner = [_as_django_has_it(inner) for inner in _included(route)]
        pattern, extra = route.pattern, route.default_kwargs
        return URLResolver(pattern, inner, extra, route.app_name, route.namespace)
    for router in find_routers(route.callback):
        if hasattr(router, "urlpatterns"):
            return URLResolver(_as_prefix(route.pattern), router, route.default_args)
    return route


def _flatten(route: Route, outer: tuple[_Step, ...] = ()) -> Iterator[Target]:
    """Yield the targets of one route: one, or those of an ``include()``.

    Raises:
        ImproperlyConfigured: A callback is no ASGI application.
        ValueError: A callback leads to a router, and its pattern cannot match a beginning.
    """
    if isinstance(route, URLResolver):
        steps = (*outer, _Step(route.pattern, route.default_kwargs))
        for inner in _included(route):
            yield from _flatten(inner, steps)
        return
    _check_callback(route)
    leads_to_router = any(find_routers(route.callback))
    pattern = _as_prefix(route.pattern) if leads_to_router else route.pattern
    steps = (*outer, _Step(pattern, route.default_args))
    yield Target(steps, _probe(steps[0].pattern), route.callback, leads_to_router)


def _probe(pattern: _Pattern) -> Callable[[str], object | None]:
    """Return a cheap test that is None for most paths which the pattern does not match."""
    regex = getattr(pattern, "regex", None)
    # Django keeps the regular expression on the pattern unless it depends on the active language.
    return pattern.match if regex is None or "regex" not in vars(pattern) else regex.search


def _check_callback(route: URLPattern) -> None:
    """Refuse what is often put where an ASGI application belongs."""
    callback = route.callback
    if hasattr(callback, "view_class"):
        raise ImproperlyConfigured(
            f"URLRouter: {route} leads to a Django view. Views belong into the URLconf, which "
            "fairway.http.get_asgi_application() serves; a URLRouter takes ASGI applications."
        )
    if isinstance(callback, type) and hasattr(callback, "as_asgi"):
        raise ImproperlyConfigured(
            f"URLRouter: {route} leads to the class {callback.__name__}. "
            f"Write {callback.__name__}.as_asgi()."
        )


def _as_prefix(pattern: _Pattern) -> _Pattern:
    """Return the pattern as one that matches the beginning of a path."""
    # Not str(pattern), which would translate a lazy text once and for all; the stubs know str only.
    if isinstance(pattern, RegexPattern):
        regex = pattern._regex  # type: ignore[attr-defined]  # noqa: SLF001
        return RegexPattern(regex, pattern.name, is_endpoint=False)
    if isinstance(pattern, RoutePattern):
        route = pattern._route  # type: ignore[attr-defined]  # noqa: SLF001
        return RoutePattern(route, pattern.name, is_endpoint=False)
    raise ValueError(f"Unsupported pattern type: {type(pattern)}")


def _path_to_route(scope: Scope) -> tuple[str, bool]:
    """Return the path from where this router starts, and whether it is below ``root_path``.

    Raises:
        ValueError: The scope has no path.
    """
    if "path_remaining" in scope:
        return scope["path_remaining"].lstrip("/"), True
    if scope.get("path") is None:
        raise ValueError("No 'path' key in connection scope, cannot route URLs")
    path: str = scope["path"]
    root_path = (scope.get("root_path") or "").rstrip("/")
    rest = path.removeprefix(root_path)
    # "/app" is no beginning of "/apple".
    if root_path and (rest == path or not (rest == "" or rest.startswith("/"))):
        return path, False
    return rest.lstrip("/"), True


async def _not_found(scope: Scope, receive: Receive, send: Send, path: str, *, inner: bool) -> None:
    """Tell whoever asked that there is no route: the outer router, the client or a test.

    Args:
        scope: Of the connection.
        receive: As an application gets it.
        send: Likewise.
        path: What was looked for.
        inner: Whether another router asked.

    Raises:
        Resolver404: An outer router asked.
        ValueError: Neither a router nor a server asked.
    """
    if inner:
        raise _NoRoute(f"No route found for path {path!r}.", scope)
    if "asgi" not in scope or scope["type"] not in {"http", "websocket"}:
        raise ValueError(f"No route found for path {path!r}.")
    logger.warning("Not Found: no route for the %s path %r", scope["type"], scope["path"])
    # A client that has gone in the meantime needs no answer.
    with contextlib.suppress(OSError):
        if scope["type"] == "http":
            await _send_not_found("http.response", send)
        elif (await receive())["type"] == "websocket.connect":
            if "websocket.http.response" in (scope.get("extensions") or {}):
                await _send_not_found("websocket.http.response", send)
            else:
                await send({"type": "websocket.close", "code": CLOSE_NOT_FOUND})


async def _send_not_found(kind: str, send: Send) -> None:
    """Send a plain 404 as the response events of this kind."""
    await send({"type": f"{kind}.start", "status": 404, "headers": list(_NOT_FOUND_HEADERS)})
    await send({"type": f"{kind}.body", "body": _NOT_FOUND_BODY})
