"""What the names of Channels, Daphne and channels_redis are called in Fairway."""

import dataclasses
from typing import Final

from fairway.compat import ALIASES

ROOTS: Final = ("channels", "daphne", "channels_redis")

_LAYER: Final = "fairway.layers.redis.RedisChannelLayer"

#: Modules with all their names; what is only a shim has no name of its own in Fairway.
MODULES: Final = {old: new for old, new in ALIASES.items() if ".shims." not in new}

#: Single names.
_NAMES: Final = {
    "channels.DEFAULT_CHANNEL_LAYER": "fairway.DEFAULT_CHANNEL_LAYER",
    "channels_redis.core.ChannelFull": "fairway.exceptions.ChannelFull",
    "channels_redis.core.RedisChannelLayer": _LAYER,
    "channels_redis.pubsub.RedisPubSubChannelLayer": _LAYER,
}

#: Why a name has no other, by the longest beginning that fits.
_REASONS: Final = {
    "channels": "Fairway has nothing under this name",
    "channels.__version__": "Fairway counts its own versions; ask for what you need instead",
    "channels.apps": 'write "fairway" into INSTALLED_APPS',
    "channels.http": "it is gone since Channels 4; use fairway.http.get_asgi_application",
    "channels.staticfiles": "it is gone since Channels 4; Django's ASGIStaticFilesHandler does it",
    "channels.signals": "it is gone since Channels 4, as there is nothing to signal",
    "channels_redis": "it is a part of the inside of channels_redis; see fairway.layers.redis",
    "daphne": "Fairway's server is fairway.server.Server, with other arguments; "
    "under its old name it works where fairway.compat.install() was called",
    "daphne.apps": 'write "fairway" into INSTALLED_APPS',
    "daphne.testing": "use fairway.testing.ChannelsLiveServerTestCase, or call "
    "fairway.compat.install() before it is imported",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Name:
    """A name under which something is known.

    Attributes:
        old: The part of the dotted name that was understood.
        new: What it is called in Fairway.
    """

    old: str
    new: str


def is_old(dotted: str) -> bool:
    """Whether a dotted name belongs to one of the packages."""
    return dotted.partition(".")[0] in ROOTS


def rename(dotted: str) -> Name | None:
    """The new name of a dotted name, or of the longest part of it that has one."""
    parts = dotted.split(".")
    for length in range(len(parts), 1, -1):
        old = ".".join(parts[:length])
        new = _NAMES.get(old) or MODULES.get(old)
        if new is not None:
            return Name(old, new)
    return None


def why_not(dotted: str) -> str:
    """Why a name has no new one, and what to do."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        reason = _REASONS.get(".".join(parts[:length]))
        if reason is not None:
            return f"{dotted} was left: {reason}."
    raise ValueError(f"{dotted} belongs to none of the packages.")
