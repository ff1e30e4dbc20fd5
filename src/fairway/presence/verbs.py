"""Presence as consumers and views use it."""

import functools
import json
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from django.core.serializers.json import DjangoJSONEncoder

from fairway import DEFAULT_CHANNEL_LAYER
from fairway.exceptions import InvalidChannelLayerError
from fairway.layers import get_channel_layer
from fairway.layers.base import ChannelLayer
from fairway.layers.codec import encode
from fairway.layers.io import io
from fairway.presence.registry import trackers
from fairway.presence.tracker import Tracker

T = TypeVar("T")

#: Who somebody is: ``user.pk``, say. It is taken as text, as a browser gets it in JSON.
Key: TypeAlias = str | int | uuid.UUID
#: What is to be known about them: a dictionary of what JSON, or Django's encoder of it, can carry.
Meta: TypeAlias = Mapping[str, Any]
#: The people of a group: by key, the metas of their channels, the latest last.
People: TypeAlias = dict[str, list[dict[str, Any]]]

#: Seconds for which somebody may be gone before they are missed.
LINGER: Final = 2.0
#: The longest time for that.
MAX_LINGER: Final = 300.0
#: Characters that a key may have.
MAX_KEY_LENGTH: Final = 200
#: Bytes that a meta may have, as JSON.
MAX_META_SIZE: Final = 4096
#: Seconds after which a verb of :class:`SyncPresence` gives up, whatever the transport is doing.
TIMEOUT: Final = 30.0


class Presence:
    """Who is here, in any group, across all processes of a channel layer.

    A person (a *key*) is in a group by the channels that have joined it for them, and counts once,
    with however many. A channel leaves by itself when its consumer's connection ends, or with its
    process. The members of the channel layer's group of the same name get a message of type
    ``presence.diff`` when somebody comes, changes or goes::

        {"type": "presence.diff", "group": "lobby", "joins": {"7": [{"name": "Mei"}]},
         "updates": {}, "leaves": {}}

    ``joins`` are people who were not there before, ``updates`` people who were and whose metas are
    these now, ``leaves`` people who are gone. Read the list *after* you have joined the group: it
    and the diffs that follow give the whole picture, whatever happens in between.

    What is known is what is told, within about 50 ms; nothing is kept anywhere. People of a process
    that was killed are gone after about 4 seconds. While the processes of a layer cannot reach each
    other, each goes on with what it knew.

    Args:
        alias: Of which channel layer, one of Fairway's.
        linger: Seconds for which somebody may be gone before they are missed, unless a channel says
            otherwise: whoever loads the page anew, or is moved to another worker, never left.

    Raises:
        InvalidChannelLayerError: With each verb, where the alias has no layer of Fairway's.
    """

    def __init__(self, alias: str = DEFAULT_CHANNEL_LAYER, *, linger: float = LINGER) -> None:
        self._alias = alias
        self.linger = _checked_linger(linger)

    @functools.cached_property
    def sync(self) -> "SyncPresence":
        """The same verbs for code that does not run in an event loop."""
        return SyncPresence(self)

    async def join(
        self,
        group: str,
        channel_name: str,
        key: Key,
        meta: Meta | None = None,
        *,
        linger: float | None = None,
    ) -> None:
        """Let a person be in a group, by a channel; again changes key and meta.

        Args:
            group: The name of a group, as channel layers take it.
            channel_name: A channel of this process: ``self.channel_name`` in a consumer.
            key: Who it is. Text or a number, taken as text of at most 200 characters.
            meta: What is to be known about them: at most 4096 bytes of JSON. Everybody in the group
                may see it.
            linger: Seconds for which they may be gone, when this channel ends, before they are
                missed; at most 300.

        Raises:
            TypeError: The group's name is not valid, the key is neither text nor number, or the
                meta cannot be JSON.
            ValueError: The channel is of another process, or something is too long.
        """
        key, text = _checked_key(key), _checked_meta(meta)
        seconds = self.linger if linger is None else _checked_linger(linger)
        await self._do(lambda each: each.join(group, channel_name, key, text, seconds), group)

    async def update(self, group: str, channel_name: str, meta: Meta | None) -> None:
        """Change what is known about a person, by a channel that has joined.

        Raises:
            TypeError: As in :meth:`join`.
            ValueError: As in :meth:`join`, or the channel has not joined.
        """
        text = _checked_meta(meta)
        await self._do(lambda each: each.update(group, channel_name, text), group)

    async def leave(self, group: str, channel_name: str, *, linger: float | None = None) -> None:
        """Take a channel out of a group; the person is gone if it was their last.

        Args:
            group: The group's name.
            channel_name: A channel of this process. One that has not joined is ignored.
            linger: Seconds until they are missed, 0 for at once; as they joined, if not given.

        Raises:
            TypeError: The group's name is not valid.
        """
        seconds = None if linger is None else _checked_linger(linger)
        await self._do(lambda each: each.leave(group, channel_name, seconds), group)

    async def list(self, group: str) -> People:
        """Who is in a group: keys, and the metas of their channels.

        In the order in which this process has heard of them. Of somebody with many channels, the
        latest 20 metas.

        Raises:
            TypeError: The group's name is not valid.
        """
        return await self._do(lambda each: each.people(group), group)

    async def count(self, group: str) -> int:
        """How many people are in a group; does not look at each of them.

        Raises:
            TypeError: The group's name is not valid.
        """
        return await self._do(lambda each: each.count(group), group)

    async def _do(self, verb: Callable[[Tracker], Awaitable[T]], group: str) -> T:
        layer = get_channel_layer(self._alias)
        if not isinstance(layer, ChannelLayer):
            raise InvalidChannelLayerError(_no_layer(self._alias, layer))
        layer.require_valid_group_name(group)
        tracker = trackers.of(layer)

        async def there() -> T:
            await tracker.start()
            return await verb(tracker)

        return await io.run(there())


class SyncPresence:
    """The verbs of :class:`Presence` for views, sync consumers, the shell: they block.

    Args:
        presence: Whose.
    """

    def __init__(self, presence: Presence) -> None:
        self._presence = presence

    def join(
        self,
        group: str,
        channel_name: str,
        key: Key,
        meta: Meta | None = None,
        *,
        linger: float | None = None,
    ) -> None:
        """Let a person be in a group; see :meth:`Presence.join`."""
        _run("join", self._presence.join(group, channel_name, key, meta, linger=linger))

    def update(self, group: str, channel_name: str, meta: Meta | None) -> None:
        """Change what is known about a person; see :meth:`Presence.update`."""
        _run("update", self._presence.update(group, channel_name, meta))

    def leave(self, group: str, channel_name: str, *, linger: float | None = None) -> None:
        """Take a channel out of a group; see :meth:`Presence.leave`."""
        _run("leave", self._presence.leave(group, channel_name, linger=linger))

    def list(self, group: str) -> People:
        """Who is in a group; see :meth:`Presence.list`."""
        return _run("list", self._presence.list(group))

    def count(self, group: str) -> int:
        """How many people are in a group; see :meth:`Presence.count`."""
        return _run("count", self._presence.count(group))


def _run(verb: str, coroutine: Coroutine[Any, Any, T]) -> T:
    return io.run_verb("presence", verb, coroutine, TIMEOUT)


def _checked_key(key: Key) -> str:
    if isinstance(key, bool) or not isinstance(key, (str, int, uuid.UUID)):
        raise TypeError(
            f"The key of a presence must be text or a number, such as user.pk, "
            f"not {type(key).__name__}."
        )
    text = str(key)
    text.encode()  # half a surrogate pair is no text
    if not 0 < len(text) <= MAX_KEY_LENGTH:
        raise ValueError(
            f"The key of a presence has {len(text)} characters; it may have 1 to {MAX_KEY_LENGTH}."
        )
    return text


def _checked_meta(meta: Meta | None) -> str:
    """A meta as JSON text, in the same form for equal ones."""
    if not isinstance(meta, (dict, Mapping, type(None))):
        raise TypeError(f"The meta of a presence must be a dictionary, not {type(meta).__name__}.")
    try:
        text = json.dumps(
            dict(meta or {}),
            cls=DjangoJSONEncoder,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
        )
        size = len(text.encode())
        # As deep as in a diff: what cannot be told in there would keep everybody's from being told.
        encode({"joins": {"": [json.loads(text)]}})
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"The meta of a presence must be what JSON can carry: {error}") from error
    if size > MAX_META_SIZE:
        raise ValueError(
            f"The meta of a presence has {size} bytes; it may have {MAX_META_SIZE}. "
            "Send a key, and load the rest where it is shown."
        )
    return text


def _checked_linger(linger: float) -> float:
    if not 0 <= linger <= MAX_LINGER:
        raise ValueError(f"'linger' is {linger:g} s; it may be 0 to {MAX_LINGER:g}.")
    return linger


def _no_layer(alias: str, layer: object) -> str:
    if layer is None:
        return f"Presence needs a channel layer, and CHANNEL_LAYERS has no {alias!r}."
    kind = type(layer)
    return (
        f"Presence needs a channel layer of Fairway's, and CHANNEL_LAYERS[{alias!r}] is "
        f"{kind.__module__}.{kind.__qualname__}."
    )
