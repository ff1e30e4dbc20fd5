"""Find the routers inside an application, behind middleware of any make."""

import contextlib
import functools
import types
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.core.handlers.base import BaseHandler

# How many objects are looked through for routers in an application; stacks of middleware have tens.
SEARCH_LIMIT: Final = 1000


def find_routers(application: object, protocol: str | None = None) -> Iterator[Any]:
    """Yield the routers in an application, those further out first, and not what is inside them.

    A router is what has ``_path_routing = True``. It is looked for in the attributes, closures and
    dictionaries that an application is made of, but not in Django's handlers and in consumers.

    Args:
        application: Where to look.
        protocol: Where a ``ProtocolTypeRouter`` divides by type, look at this type only.
    """
    seen: set[int] = set()
    waiting: deque[object] = deque([application])
    while waiting and len(seen) < SEARCH_LIMIT:
        thing = waiting.popleft()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if getattr(thing, "_path_routing", False) is True:
            yield thing
        else:
            waiting += applications_in(thing, protocol)


def applications_in(thing: object, protocol: str | None = None) -> list[object]:
    """What an application is made of, as far as it may be an application or hold one.

    Args:
        thing: The application, or a part of one.
        protocol: Where a ``ProtocolTypeRouter`` divides by type, the one for this type only.
    """
    # Django's handler and consumers are endpoints, whatever they hold.
    if isinstance(thing, BaseHandler) or hasattr(thing, "consumer_class"):
        return []
    by_type = getattr(thing, "application_mapping", None)
    if protocol is not None and isinstance(by_type, dict):
        return [by_type[protocol]] if protocol in by_type else []
    return [
        part
        for part in _parts(thing)
        if isinstance(part, dict | list | tuple) or (callable(part) and not isinstance(part, type))
    ]


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
