"""Routers: from a scope to the application that handles it."""

import contextlib
import functools
import importlib
import logging
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.base import BaseHandler
from django.urls import URLPattern, URLResolver
from django.urls.exceptions import Resolver404
from django.urls.resolvers import LocalePrefixPattern, RegexPattern, RoutePattern

from fairway._types import ASGIApplication, Headers, Receive, Scope, Send

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

# How many objects are looked through for a router behind a callback; stacks of middleware have
# tens.
_SEARCH_LIMIT = 1000


def get_default_application() -> ASGIApplication:
    """Import the application that the ``ASGI_APPLICATION`` setting names by its dotted path.

    Raises:
        ImproperlyConfigured: The setting, its module or the name in it is missing.
    """
    try:
        path, name = settings.ASGI_APPLICATION.rsplit(".", 1)
    except (ValueError, AttributeError):
        raise ImproperlyConfigured("Cannot find ASGI_APPLICATION setting.") from None
    try:
        module = importlib.import_module(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"Cannot import ASGI_APPLICATION module {path!r}") from error
    try:
        application: ASGIApplication = getattr(module, name)
    except AttributeError as error:
        raise ImproperlyConfigured(
            f"Cannot find {name!r} in ASGI_APPLICATION module {path}"
        ) from error
    return application


class ProtocolTypeRouter:
    """Chooses an application by the type of the scope: ``"http"``, ``"websocket"``, ``"channel"``.

    Args:
        application_mapping: Applications by scope type.
    """

    def __init__(self, application_mapping: Mapping[str, ASGIApplication]) -> None:
        self.application_mapping = application_mapping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for this type.

        Raises:
            ValueError: There is none. Servers take this for an application without lifespan events
                when the type is ``"lifespan"``, as the ASGI specification asks them to.
        """
        application = self.application_mapping.get(scope["type"])
        if application is None:
            raise ValueError(f"No application configured for scope type {scope['type']!r}")
        return await application(scope, receive, send)


class ChannelNameRouter:
    """Chooses an application by the name of the channel, for the consumers of ``runworker``.

    Args:
        application_mapping: Applications by channel name.
    """

    def __init__(self, application_mapping: Mapping[str, ASGIApplication]) -> None:
        self.application_mapping = application_mapping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for this channel.

        Raises:
            ValueError: There is none, or the scope is not that of a channel.
        """
        if "channel" not in scope:
            raise ValueError(
                "ChannelNameRouter got a scope without a 'channel' key. Did you make sure it's "
                "only being used for 'channel' type messages?"
            )
        application = self.application_mapping.get(scope["channel"])
        if application is None:
            raise ValueError(f"No application configured for channel name {scope['channel']!r}")
        return await application(scope, receive, send)


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

    Args:
        routes: The routes, tried in order.

    Raises:
        ImproperlyConfigured: A callback is a Django view, or a consumer class without
            ``as_asgi()``.
        ValueError: A pattern that cannot match the beginning of a path leads to a router.
    """

    #: Routes to such a callback match the beginning of the path.
    _path_routing = True

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes
        self._compiled: list[Route] = []
        self._targets: list[_Target] = []
        self._compile()

    def _compile(self) -> None:
        """Prepare the routes, again if the list has been changed since, as plug-in systems do."""
        routes = list(self.routes)
        if routes != self._compiled:
            self._targets = [target for route in routes for target in _flatten(route)]
            self._compiled = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the first application whose route matches.

        Raises:
            ValueError: The scope has no ``path``, or no route matches and no server asked.
            Resolver404: No route matches, and this is an inner router.
        """
        self._compile()
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
            return await _not_found(scope, receive, send, path)
        try:
            return await match.application(match.scope, receive, send)
        except _NoRoute:
            # From a router inside an application that does not look like leading to one.
            return await _not_found(scope, receive, send, path)
        except Resolver404 as error:
            # Its own failure, maybe hours after it began: no router above starts another one.
            setattr(error, _OF_ENDPOINT, True)
            raise

    def _matches(self, scope: Scope, path: str) -> Iterator["_Match"]:
        """Yield every route that matches, in order, with the scope for its application."""
        outer = scope.get("url_route", {})
        outer_args, outer_kwargs = outer.get("args", ()), outer.get("kwargs", {})
        for target in self._targets:
            if target.probe(path) is not None and (found := target.match(path)) is not None:
                rest, args, kwargs = found
                url_route = {"args": outer_args + args, "kwargs": {**outer_kwargs, **kwargs}}
                inner_scope = {**scope, "path_remaining": rest, "url_route": url_route}
                yield _Match(target.application, inner_scope, target.leads_to_router)


class _NoRoute(Resolver404):
    """An inner router has no route for the rest of the path."""


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
class _Target:
    """An application, and the steps to it: one pattern for each ``include()``, and its own."""

    steps: tuple[_Step, ...]
    probe: Callable[[str], object | None]
    application: ASGIApplication
    leads_to_router: bool

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
            args += new_args
            kwargs |= new_kwargs
            kwargs |= step.extra
        return path, args, kwargs


def _flatten(route: Route, outer: tuple[_Step, ...] = ()) -> Iterator[_Target]:
    """Yield the targets of one route: one, or those of an ``include()``.

    Raises:
        ImproperlyConfigured: A callback is no ASGI application.
        ValueError: A callback leads to a router, and its pattern cannot match a beginning.
    """
    if isinstance(route, URLResolver):
        steps = (*outer, _Step(route.pattern, route.default_kwargs))
        for inner in route.url_patterns:
            yield from _flatten(inner, steps)
        return
    _check_callback(route)
    leads_to_router = _leads_to_router(route.callback)
    pattern = _as_prefix(route.pattern) if leads_to_router else route.pattern
    steps = (*outer, _Step(pattern, route.default_args))
    yield _Target(steps, _probe(steps[0].pattern), route.callback, leads_to_router)


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


def _leads_to_router(callback: object) -> bool:
    """Tell whether a callback is a router, or middleware of any make around one."""
    seen: set[int] = set()
    waiting = [callback]
    while waiting and len(seen) < _SEARCH_LIMIT:
        thing = waiting.pop()
        if getattr(thing, "_path_routing", False) is True:
            return True
        # Django's handler and consumers are endpoints, whatever they hold.
        if id(thing) in seen or isinstance(thing, BaseHandler) or hasattr(thing, "consumer_class"):
            continue
        seen.add(id(thing))
        waiting += [
            part
            for part in _parts(thing)
            if isinstance(part, dict | list | tuple)
            or (callable(part) and not isinstance(part, type))
        ]
    return False


def _parts(thing: object) -> Iterable[object]:
    """Return what an application may keep its inner applications in."""
    if isinstance(thing, dict):
        return thing.values()
    if isinstance(thing, list | tuple):
        return thing
    if isinstance(thing, functools.partial):
        return (thing.func, *thing.args, *thing.keywords.values())
    if isinstance(thing, types.MethodType):
        return (thing.__self__,)
    if isinstance(thing, types.FunctionType):
        return (*vars(thing).values(), *_closure(thing))
    return vars(thing).values() if hasattr(thing, "__dict__") else ()


def _closure(function: types.FunctionType) -> Iterator[object]:
    """Yield the values that a function has taken from around it."""
    for cell in function.__closure__ or ():
        # A cell is empty as long as its variable has no value.
        with contextlib.suppress(ValueError):
            yield cell.cell_contents


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


async def _not_found(scope: Scope, receive: Receive, send: Send, path: str) -> None:
    """Tell whoever asked that there is no route: the outer router, the client or a test.

    Raises:
        Resolver404: An outer router asked.
        ValueError: Neither a router nor a server asked.
    """
    if "path_remaining" in scope:
        raise _NoRoute(f"No route found for path {path!r}.")
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
