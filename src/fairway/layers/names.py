"""What channels and groups may be called, and how many messages a channel may hold.

Channels' specification: ASCII letters and digits, hyphens, underscores and periods, and in the name
of a channel one ``!`` at most, behind which its process keeps channels apart.
"""

import fnmatch
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

#: A pattern for channel names: a glob, or a compiled regular expression.
ChannelPattern: TypeAlias = str | re.Pattern[str]

_CHANNEL: Final = re.compile(r"[a-zA-Z\d\-_.]+(![a-zA-Z\d\-_.]*)?", re.ASCII)
_GROUP: Final = re.compile(r"[a-zA-Z\d\-_.]+", re.ASCII)


class ChannelNames:
    """Checks of names and capacities, as every channel layer inherits them.

    Args:
        expiry: Seconds after which an undelivered message is dropped.
        capacity: Messages that one channel may hold.
        channel_capacity: Other capacities for channels whose name matches a glob or a compiled
            regular expression; the first match counts.
    """

    #: The longest name. (The error text says "less than": it is what people search for.)
    MAX_NAME_LENGTH: int = 100

    #: What channels and groups may be called; a layer of somebody's own may say otherwise.
    channel_name_regex: re.Pattern[str] = _CHANNEL
    group_name_regex: re.Pattern[str] = _GROUP

    invalid_name_error: str = (
        "{} name must be a valid unicode string with length < {} containing only ASCII "
        "alphanumerics, hyphens, underscores, or periods."
    )

    def __init__(
        self,
        expiry: float = 60,
        capacity: int = 100,
        channel_capacity: Mapping[ChannelPattern, int] | None = None,
    ) -> None:
        self.expiry = expiry
        self.capacity = capacity
        self.channel_capacity = self.compile_capacities(channel_capacity or {})

    def compile_capacities(
        self,
        channel_capacity: Mapping[ChannelPattern, int] | list[tuple[re.Pattern[str], int]],
    ) -> list[tuple[re.Pattern[str], int]]:
        """Capacities by pattern as a list of regular expressions, in the order given.

        Such a list is returned as it is: layers that were written for Channels compile what the
        constructor has compiled here.
        """
        if isinstance(channel_capacity, list):
            return channel_capacity
        compiled: list[tuple[re.Pattern[str], int]] = []
        for pattern, capacity in channel_capacity.items():
            if isinstance(pattern, str):
                compiled.append((re.compile(fnmatch.translate(pattern)), capacity))
            else:
                compiled.append((pattern, capacity))
        return compiled

    def get_capacity(self, channel: str) -> int:
        """How many messages ``channel`` may hold."""
        for pattern, capacity in self.channel_capacity:
            if pattern.match(channel):
                return capacity
        return self.capacity

    def match_type_and_length(self, name: object) -> bool:
        """Whether ``name`` is text and no longer than :attr:`MAX_NAME_LENGTH`."""
        return isinstance(name, str) and len(name) <= self.MAX_NAME_LENGTH

    def require_valid_channel_name(self, name: Any, receive: bool = False) -> bool:
        """Refuse what is no channel name.

        Args:
            name: What to check.
            receive: It is to be received from, so nothing may follow its ``!``.

        Raises:
            TypeError: It is not.
        """
        if not self.match_type_and_length(name) or not self.channel_name_regex.fullmatch(name):
            raise self._refuse("Channel", name)
        if receive and "!" in name and not name.endswith("!"):
            raise TypeError("Specific channel names in receive() must end at the !")
        return True

    def require_valid_group_name(self, name: Any) -> bool:
        """Refuse what is no group name.

        Raises:
            TypeError: It is not.
        """
        if not self.match_type_and_length(name) or not self.group_name_regex.fullmatch(name):
            raise self._refuse("Group", name)
        return True

    def _refuse(self, kind: str, name: object) -> TypeError:
        error = TypeError(self.invalid_name_error.format(kind, self.MAX_NAME_LENGTH))
        # A note, as the text is Channels', which people search for and tests compare.
        error.add_note(f"It is {name!r:.200}. fairway.layers.group_name() makes one of any text.")
        return error

    def valid_channel_names(self, names: Sequence[str], receive: bool = False) -> bool:
        """Refuse a list of names that is empty or holds one that is none.

        Raises:
            TypeError: One of them is no channel name.
        """
        assert names, "names must be a non-empty list"
        return all(self.require_valid_channel_name(name, receive=receive) for name in names)

    def non_local_name(self, name: str) -> str:
        """``name`` up to and including its ``!``, which is what its process reads."""
        return name[: name.find("!") + 1] if "!" in name else name

    def valid_channel_name(self, name: Any, receive: bool = False) -> bool:
        """The old name of :meth:`require_valid_channel_name`."""
        warnings.warn(
            "Use require_valid_channel_name instead of valid_channel_name.",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.require_valid_channel_name(name, receive=receive)

    def valid_group_name(self, name: Any) -> bool:
        """The old name of :meth:`require_valid_group_name`."""
        warnings.warn(
            "Use require_valid_group_name instead of valid_group_name.",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.require_valid_group_name(name)


def require_numbers(**options: object) -> None:
    """Refuse options that came as text, from the environment say, before they are first counted.

    Args:
        options: Values by the names under which a project wrote them.

    Raises:
        ValueError: One of them is no number.
    """
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            kind = type(value).__name__
            raise ValueError(f"{name} must be a number, not {value!r} of type {kind}.")
