"""From the name of a route to its URL: what ``django.urls.reverse`` is for pages."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.urls import NoReverseMatch, get_script_prefix
from django.urls import reverse as django_reverse

from fairway._types import Scope
from fairway.routing.routers import get_default_application
from fairway.routing.search import find_routers

#: Where routes are looked for: sockets first, then consumers that speak HTTP.
_PROTOCOLS: Final = ("websocket", "http")


def reverse(
    viewname: str,
    urlconf: Any = None,
    args: Sequence[object] | None = None,
    kwargs: Mapping[str, object] | None = None,
    current_app: str | None = None,
    *,
    query: Mapping[str, object] | None = None,
) -> str:
    """Return the path of a consumer by the name of its route, ``"/ws/rooms/7/"``.

    It is ``django.urls.reverse`` for the routes in the URL routers of ``ASGI_APPLICATION``, those
    for WebSockets before those for HTTP. Names of routes in nested routers and in ``include()``
    count, with the namespaces of the latter: ``reverse("chat:room", args=[7])``. As there, the path
    begins with the script prefix of the request that is being served, if there is one.

    ``asgi.py`` is imported for it, so call it in functions, not while modules are imported.

    Args:
        viewname: The ``name`` of a ``path()`` or ``re_path()``, after its namespaces if it has any.
        urlconf: Look in this ``URLRouter`` only, or in what else Django takes.
        args: Values for the route's parameters by position, or
        kwargs: by name.
        current_app: The instance namespace that is preferred, as in Django.
        query: What follows the question mark, a ``QueryDict`` or any mapping.

    Raises:
        NoReverseMatch: No route has this name and takes these values.
        ImproperlyConfigured: ``ASGI_APPLICATION`` leads to no application.
    """
    messages = []
    for router in _default_routers() if urlconf is None else [urlconf]:
        try:
            given = None if kwargs is None else dict(kwargs)
            return django_reverse(viewname, router, args, given, current_app, query=query)
        except NoReverseMatch as error:
            messages.append(str(error))
    nowhere = f"Reverse for {viewname!r} not found. ASGI_APPLICATION has no URLRouter."
    raise NoReverseMatch(" ".join(messages) or nowhere)


def websocket_url(
    request: HttpRequest | Scope,
    viewname: str,
    args: Sequence[object] | None = None,
    kwargs: Mapping[str, object] | None = None,
    *,
    urlconf: Any = None,
    current_app: str | None = None,
    query: Mapping[str, object] | None = None,
) -> str:
    """Return the address that ``new WebSocket()`` takes: ``"wss://example.com/ws/rooms/7/"``.

    Templates write ``{% load fairway %}{% websocket_url "chat:room" room.pk %}``.

    The address has the host that the client asked, the prefix that the site is mounted at, and
    ``wss`` where the request came by TLS, as Django sees that (``SECURE_PROXY_SSL_HEADER``).

    Args:
        request: What is being answered: a request of Django's, or the scope of a consumer.
        viewname: As for :func:`reverse`, like the others.
        args: As there.
        kwargs: As there.
        urlconf: As there.
        current_app: As there.
        query: As there.

    Raises:
        NoReverseMatch: No route has this name and takes these values.
        DisallowedHost: The client asked for a host that is not in ``ALLOWED_HOSTS``.
    """
    if not isinstance(request, HttpRequest):
        request = ASGIRequest({"method": "GET", **request}, io.BytesIO())
    path = reverse(viewname, urlconf, args, kwargs, current_app, query=query)
    # The prefix of this request, which outside of views, as in a consumer, is not Django's current
    # one.
    prefix = request.META.get("SCRIPT_NAME") or ""
    path = f"{prefix.rstrip('/')}/{path.removeprefix(get_script_prefix())}"
    scheme = "wss" if request.scheme in {"https", "wss"} else "ws"
    return f"{scheme}://{request.get_host()}{path}"


def _default_routers() -> list[Any]:
    application = get_default_application()
    found = [
        router
        for protocol in _PROTOCOLS
        for router in find_routers(application, protocol)
        if hasattr(router, "urlpatterns")
    ]
    return list(dict.fromkeys(found))
