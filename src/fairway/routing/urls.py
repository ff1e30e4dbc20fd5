"""A router by the path of the URL."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.urls.exceptions import Resolver404

from fairway._types import ASGIApplication, Finished, Receive, Scope, Send
from fairway.middleware import begin
from fairway.routing.targets import Route, Target, as_django_has_it, flatten, import_routes
from fairway.routing.unknown import NoRoute, not_found

#: Marks an exception that looks like a router's "no route", and is an endpoint's own.
_OF_ENDPOINT = "_fairway_of_endpoint"


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
            ``as_asgi()``, or an entry is no route, or the dotted path leads to no routes. If the
            path is not imported yet, :meth:`load` raises it.
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
            self._routes = import_routes(self._routes)
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
        if isinstance(self.routes, Route):
            raise ImproperlyConfigured(
                f"URLRouter takes a list of routes, not {self.routes!r} alone: put it into "
                "brackets."
            )
        routes = list(self.routes)
        if routes != self._compiled:
            self.targets = [target for route in routes for target in flatten(route)]
            self._compiled = routes

    @property
    def urlpatterns(self) -> list[Route]:
        """The routes as Django's resolver knows them, with nested routers as ``include()``."""
        return [as_django_has_it(route) for route in self.routes]

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
            return await not_found(scope, receive, send, path, inner=inner)
        try:
            running = begin(match.application, match.scope, receive, send)
            # An open socket keeps the innermost scope: 600 bytes less, or 1,000 with middleware.
            del scope, match
            return await running
        except NoRoute as error:
            # From a router inside an application that does not look like leading to one.
            return await not_found(error.scope, receive, send, path, inner=inner)
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


class _Match(NamedTuple):
    """An application that a path may be meant for."""

    application: ASGIApplication
    scope: Scope
    leads_to_router: bool


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
