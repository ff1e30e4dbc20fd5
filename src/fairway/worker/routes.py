"""What can be known about an application without running it: which channels it serves, and how."""

import functools
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol, runtime_checkable

#: How many objects are looked at in search of a router inside of middleware.
_SEARCH_LIMIT: Final = 200


@runtime_checkable
class RoutesChannels(Protocol):
    """An application that can say which application serves a channel."""

    def application_for_channel(self, channel: str) -> object | None:
        """The application, or None if there is none."""

    def channel_names(self) -> Iterable[str] | None:
        """The channels that it serves, or None if nobody can tell."""


def application_for(application: object, channel: str) -> object | None:
    """The application that a channel's messages reach at last, as far as routers tell.

    Returns:
        The application itself where there is no router; None where the routers know no such
        channel.
    """
    if isinstance(application, RoutesChannels):
        found = application.application_for_channel(channel)
        return None if found is None else application_for(found, channel)
    router = _router(application)
    if router is None:
        return application
    mapping, is_protocols = router
    inner = mapping.get("channel" if is_protocols else channel)
    return None if inner is None else application_for(inner, channel)


def channel_names(application: object) -> set[str] | None:
    """The channels that an application has routes for, or None if nobody can tell."""
    if isinstance(application, RoutesChannels):
        names = application.channel_names()
        return None if names is None else set(names)
    router = _router(application)
    if router is None:
        return None
    mapping, is_protocols = router
    if not is_protocols:
        return set(mapping)
    return channel_names(mapping["channel"]) if "channel" in mapping else set()


def applications(application: object) -> dict[str, object]:
    """The application of each channel that there are routes for, by channel."""
    names = sorted(channel_names(application) or ())
    found = {name: application_for(application, name) for name in names}
    return {name: inner for name, inner in found.items() if inner is not None}


def _router(application: object) -> tuple[Mapping[str, object], bool] | None:
    """The outermost router: its applications, and whether they are those of protocols."""
    seen: set[int] = set()
    waiting = [application]
    while waiting and len(seen) < _SEARCH_LIMIT:
        thing = waiting.pop(0)
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        kinds = {base.__name__ for base in type(thing).__mro__}
        # By name, so that the routers of Channels itself are known too.
        if kinds & {"ProtocolTypeRouter", "ChannelNameRouter"}:
            mapping: Any = getattr(thing, "application_mapping", None)
            if isinstance(mapping, Mapping):
                return mapping, "ProtocolTypeRouter" in kinds
        if not hasattr(thing, "consumer_class"):  # a consumer is an endpoint
            waiting += _parts(thing)
    return None


def _parts(thing: object) -> Iterator[object]:
    """What middleware may keep the application in that it is around."""
    values: list[object] = []
    if isinstance(thing, functools.partial):
        values = [thing.func, *thing.args, *thing.keywords.values()]
    elif isinstance(thing, types.MethodType):
        values = [thing.__self__]
    elif isinstance(thing, types.FunctionType):
        values = [*vars(thing).values(), *_closure(thing)]
    elif hasattr(thing, "__dict__"):
        values = list(vars(thing).values())
    return (value for value in values if callable(value) and not isinstance(value, type))


def _closure(function: types.FunctionType) -> Iterator[object]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # its variable has no value yet
            continue
