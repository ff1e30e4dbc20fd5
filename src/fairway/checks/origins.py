"""The system check of who may open WebSockets; see :mod:`fairway.checks`."""

from typing import Any

from django.core import checks
from django.core.checks import CheckMessage

from fairway.routing import URLRouter, get_default_application
from fairway.routing.search import SEARCH_LIMIT, applications_in
from fairway.security.websocket import OriginValidator
from fairway.sessions import SessionMiddleware
from fairway.utils import name_that_thing


def check_origins(**kwargs: Any) -> list[CheckMessage]:
    """Find a consumer that trusts cookies and looks at no origin (W013); for ``check --deploy``.

    A browser sends its cookies with every WebSocket, whichever site's page opens it. A middleware
    of the project's own that looks at origins is not known here.
    """
    try:
        consumer = _find_unguarded(get_default_application())
    except (Exception, SystemExit):  # noqa: BLE001  importing may raise anything: E001 to E005, E018
        return []
    if consumer is None:
        return []
    return [
        checks.Warning(
            f"{name_that_thing(consumer)} knows users by their cookies, and nothing looks at the "
            "origin: a page of another site may open its WebSocket as the user who visits it.",
            hint="Put AllowedHostsOriginValidator(…), from fairway.security.websocket, around what "
            'stands under "websocket" in the ProtocolTypeRouter.',
            id="fairway.W013",
        )
    ]


def _find_unguarded(application: object) -> object | None:
    """A consumer behind a session's middleware, on a way without an origin's; None if all is well.

    The two may stand in either order.
    """
    seen: set[tuple[int, bool]] = set()
    waiting = [(application, False)]
    while waiting and len(seen) < SEARCH_LIMIT:
        thing, by_cookie = waiting.pop()
        if isinstance(thing, OriginValidator) or (id(thing), by_cookie) in seen:
            continue
        seen.add((id(thing), by_cookie))
        consumer: object = getattr(thing, "consumer_class", None)
        if consumer is not None and by_cookie:
            return consumer
        by_cookie = by_cookie or isinstance(thing, SessionMiddleware)
        waiting += [(part, by_cookie) for part in _parts(thing)]
    return None


def _parts(thing: object) -> list[Any]:
    if not isinstance(thing, URLRouter):
        return applications_in(thing, "websocket")
    thing.load()
    return [target.application for target in thing.targets]
