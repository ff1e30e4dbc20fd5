"""System checks of routes: what can never be reached, called or reversed."""

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.urls import URLResolver
from django.urls.resolvers import RoutePattern

from fairway.routing.routers import ProtocolTypeRouter, get_default_application
from fairway.routing.search import find_routers
from fairway.routing.targets import Route, Target
from fairway.routing.urls import URLRouter

#: Two values for each of Django's converters, as different as it lets them be.
_SAMPLES: Final = {
    "int": ("0", "9876543210"),
    "str": ("a", "ä b~%"),
    "slug": ("a", "A-9_z"),
    "path": ("a", "ä/b c"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "fedcba98-7654-3210-fedc-ba9876543210"),
}
_PARAMETER: Final = re.compile(r"<(?:(?P<converter>[^>:]+):)?[^>]+>")
_LITERAL: Final = re.compile(r"\^?(?P<text>[\w/-]*)\$?")

#: Seconds that importing the application in a process of its own may take.
_IMPORT_TIMEOUT: Final = 60.0


def check_routes(**kwargs: Any) -> list[CheckMessage]:
    """Look through the URL routers of ``ASGI_APPLICATION`` (E018, E019, W006, W007, W014).

    Also found is what Django's own checks say of patterns (``urls.W001`` and others).
    """
    try:
        application = get_default_application()
    except (Exception, SystemExit):  # noqa: BLE001  whatever importing raises: E001 to E005
        return []
    messages: list[CheckMessage] = []
    if isinstance(application, ProtocolTypeRouter):
        messages += _check_protocols(application)
    names: dict[tuple[object, ...], str] = {}
    for router in all_routers(application):
        try:
            router.load()
        except Exception as error:  # noqa: BLE001  the routes are a module of the project's
            messages.append(_not_loaded(error))
        else:
            messages += _check_targets(router)
    for router in _outermost(application):
        try:
            patterns = router.urlpatterns
            for route in patterns:
                messages += [found for found in route.check() if found.id != "urls.W002"]
            messages += _check_names(patterns, names)
        except Exception:  # noqa: BLE001, S112  told above already
            continue
    return messages


def _outermost(application: object) -> Iterator[URLRouter]:
    return (router for router in find_routers(application) if isinstance(router, URLRouter))


def all_routers(application: object) -> Iterator[URLRouter]:
    """Yield the routers of an application, and those inside them."""
    seen: set[int] = set()
    waiting = list(_outermost(application))
    while waiting:
        router = waiting.pop(0)
        if id(router) in seen:
            continue
        seen.add(id(router))
        yield router
        # Whoever was given the router has loaded it, if it can be.
        waiting += [
            inner
            for target in router.targets
            if target.leads_to_router
            for inner in _outermost(target.application)
        ]


def _not_loaded(error: Exception) -> CheckMessage:
    return checks.Error(
        f"The routes of a URLRouter cannot be loaded: {type(error).__name__}: {error}",
        hint="Correct the dotted path that it was given, or the module that it leads to.",
        id="fairway.E018",
    )


# ---------------------------------------------------------------------- one router


def _check_protocols(router: ProtocolTypeRouter) -> Iterator[CheckMessage]:
    for kind, application in router.application_mapping.items():
        where = f"The {kind!r} of a ProtocolTypeRouter is"
        if hasattr(type(application), "as_asgi"):
            yield _one_for_all(where, application)
        elif hasattr(application, "as_asgi") or not _is_asgi(application):
            yield checks.Error(
                f"{where} {application!r}, which cannot be called with scope, receive and send.",
                hint=_hint_for_middleware(application)
                or "Call what makes the application: get_asgi_application(), as_asgi(), "
                "AuthMiddlewareStack(…), URLRouter([…]).",
                id="fairway.E019",
            )


def _check_targets(router: URLRouter) -> Iterator[CheckMessage]:
    endpoints: list[Target] = []
    for target in router.targets:
        if hasattr(type(target.application), "as_asgi"):
            yield _one_for_all(f"The route {str(target)!r} leads to", target.application)
        elif not _is_asgi(target.application):
            yield checks.Error(
                f"The route {str(target)!r} leads to {target.application!r}, which cannot be "
                "called with scope, receive and send.",
                hint=_hint_for_middleware(target.application)
                or "Write as_asgi() behind the name of a consumer. Views belong into the URLconf.",
                id="fairway.E019",
            )
        if str(target).removeprefix("^").startswith("/"):
            yield checks.Warning(
                f"The route {str(target)!r} never matches: it begins with a slash, and the path "
                "that it is compared with does not.",
                hint="Remove the slash.",
                id="fairway.W006",
            )
        for earlier in endpoints:
            if _covers(earlier, target):
                yield checks.Warning(
                    f"The route {str(target)!r} is never reached: {str(earlier)!r} stands before "
                    "it and matches every path that it does.",
                    hint="Put the narrower route first.",
                    id="fairway.W006",
                )
                break
        if not target.leads_to_router:
            endpoints.append(target)


def _one_for_all(where: str, consumer: object) -> CheckMessage:
    name = type(consumer).__name__
    return checks.Warning(
        f"{where} one {name} for all connections.",
        hint=f"Write {name}.as_asgi(), which makes one for each.",
        id="fairway.W014",
    )


def _hint_for_middleware(application: object) -> str:
    """What to write in middleware that was written for Channels 2; "" if it is something else."""
    call = getattr(type(application), "__call__", None)  # noqa: B004  to look at, not to call
    if not inspect.isfunction(call) or list(inspect.signature(call).parameters)[1:] != ["scope"]:
        return ""
    return (
        "Since Channels 3 middleware is called once, with all three: async def __call__(self, "
        "scope, receive, send) does what it has to do and ends with return await self.inner(scope, "
        "receive, send)."
    )


def _is_asgi(application: object) -> bool:
    """Whether it can be called with three arguments; True where nobody can tell."""
    if not callable(application):
        return False
    try:
        # Of the call itself: as_asgi() names the consumer class as what it wraps.
        signature = inspect.signature(application, follow_wrapped=False)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(None, None, None)
    except TypeError:
        return False
    return True


def _covers(earlier: Target, later: Target) -> bool:
    """Whether one route takes every path of another, as far as samples of these tell."""
    samples = [_sample(later, index) for index in (0, 1)]
    return all(
        sample is not None and later.match(sample) and earlier.match(sample) for sample in samples
    )


def _sample(target: Target, index: int) -> str | None:
    """A path that a route matches, or None if it is too clever to find one."""
    texts = []
    for step in target.steps:
        pattern = step.pattern
        if isinstance(pattern, RoutePattern):
            found = [match["converter"] or "str" for match in _PARAMETER.finditer(str(pattern))]
            if not set(found) <= set(_SAMPLES):
                return None
            values = iter([_SAMPLES[converter][index] for converter in found])
            texts.append(_PARAMETER.sub(lambda _, values=values: next(values), str(pattern)))  # type: ignore[misc]
        elif match := _LITERAL.fullmatch(str(pattern)):
            texts.append(match["text"])
        else:
            return None
    return "".join(texts)


# ---------------------------------------------------------------------- names


class _Place(NamedTuple):
    """Where a name is, and what one has to know to reverse it."""

    namespaces: tuple[str, ...]
    parameters: tuple[object, ...]
    route: str


_OUTSIDE: Final = _Place((), (), "")


def _check_names(
    routes: list[Route], names: dict[tuple[object, ...], str], place: _Place = _OUTSIDE
) -> Iterator[CheckMessage]:
    """Find names that ``reverse()`` could understand in two ways."""
    for route in routes:
        regex = route.pattern.regex
        known = tuple(sorted(regex.groupindex)) or regex.groups
        text = f"{place.route}{route.pattern}"
        inner = _Place(place.namespaces, (*place.parameters, known), text)
        if isinstance(route, URLResolver):
            if route.namespace:
                inner = inner._replace(namespaces=(*place.namespaces, route.namespace))
            yield from _check_names(route.url_patterns, names, inner)
        elif route.name:
            key = (inner.namespaces, route.name, tuple(filter(None, inner.parameters)))
            other = names.setdefault(key, text)
            if other != text:
                name = ":".join((*inner.namespaces, route.name))
                yield checks.Warning(
                    f"The name {name!r} belongs to two routes with the same parameters, {other!r} "
                    f"and {text!r}: reverse() finds one of them.",
                    hint='Give each a name of its own, or a namespace: include((patterns, "app")).',
                    id="fairway.W007",
                )


# ---------------------------------------------------------------------- the order of imports


def check_import(**kwargs: Any) -> list[CheckMessage]:
    """Find out whether a server can import ``ASGI_APPLICATION`` (W008); for ``check --deploy``.

    ``manage.py`` sets Django up before it imports anything, so ``runserver`` starts where a server
    fails: when ``asgi.py`` imports models above ``get_asgi_application()``. So the module is
    imported in a process of its own.
    """
    path = getattr(settings, "ASGI_APPLICATION", None)
    module = path.rpartition(".")[0] if isinstance(path, str) else ""
    if not module:
        return []
    code = f"import sys; sys.path[:] = {sys.path!r}; import {module}"
    environment = dict(os.environ)
    if settings_module := getattr(settings, "SETTINGS_MODULE", ""):
        environment["DJANGO_SETTINGS_MODULE"] = settings_module
    try:
        done = subprocess.run(  # noqa: S603  our interpreter, the project's module
            [sys.executable, "-c", code],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            timeout=_IMPORT_TIMEOUT,
        )
    except subprocess.TimeoutExpired:  # it would be slow under a server, too, and no mistake
        return []
    if done.returncode == 0:
        return []
    lines = done.stderr.strip().splitlines() or ["It ended without a word."]
    return [
        checks.Warning(
            f"A server cannot import {module!r}, although manage.py can: {lines[-1]}",
            hint=_import_hint(module, done.stderr),
            id="fairway.W008",
        )
    ]


def _import_hint(module: str, trace: str) -> str:
    spec = importlib.util.find_spec(module)
    place = (
        re.findall(rf'File "({re.escape(spec.origin or "")})", line (\d+)', trace) if spec else []
    )
    if "AppRegistryNotReady" not in trace or not place:
        return f'The traceback: python -c "import {module}"'
    file, line = place[-1]
    return (
        f"{file}:{line} imports models before Django is set up. Move that line below "
        "get_asgi_application(), or give the router the path of the routes: URLRouter"
        '("myapp.routing") imports them when Django is ready.'
    )
