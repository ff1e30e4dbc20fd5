"""What the routes of a ``URLRouter`` lead to, found before the first connection comes."""

import importlib
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from django.core.exceptions import ImproperlyConfigured
from django.urls import URLPattern, URLResolver
from django.urls.resolvers import LocalePrefixPattern, RegexPattern, RoutePattern

from fairway._types import ASGIApplication
from fairway.routing.search import find_routers

Route: TypeAlias = URLPattern | URLResolver

_Pattern: TypeAlias = RegexPattern | RoutePattern | LocalePrefixPattern

# No name of a room has one, whatever "[^/]+" lets pass, and "$" would let one stand behind it.
_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")

#: What a module with routes calls them, the first that it has.
_ROUTES_OF_A_MODULE: Final = ("websocket_urlpatterns", "urlpatterns")


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


def import_routes(path: str) -> Sequence[Route]:
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


def as_django_has_it(route: Route) -> Route:
    """Return a route that Django's resolver can reverse through, whatever is nested in it."""
    if isinstance(route, URLResolver):
        inner = [as_django_has_it(inner) for inner in _included(route)]
        pattern, extra = route.pattern, route.default_kwargs
        return URLResolver(pattern, inner, extra, route.app_name, route.namespace)
    for router in find_routers(route.callback):
        if hasattr(router, "urlpatterns"):
            return URLResolver(_as_prefix(route.pattern), router, route.default_args)
    return route


def flatten(route: Route, outer: tuple[_Step, ...] = ()) -> Iterator[Target]:
    """Yield the targets of one route: one, or those of an ``include()``.

    Raises:
        ImproperlyConfigured: A callback is no ASGI application.
        ValueError: A callback leads to a router, and its pattern cannot match a beginning.
    """
    if isinstance(route, URLResolver):
        steps = (*outer, _Step(route.pattern, route.default_kwargs))
        for inner in _included(route):
            yield from flatten(inner, steps)
        return
    if not hasattr(route, "callback"):
        raise ImproperlyConfigured(
            f"URLRouter takes a list of path() and re_path(), and in it is {route!r}, of type "
            f"{type(route).__name__}."
        )
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
