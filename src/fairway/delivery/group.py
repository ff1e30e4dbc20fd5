"""Who is in one group of this process, and on which event loops they are read."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from fairway.delivery.mailbox import Mailbox
from fairway.delivery.queue import ChannelQueue

#: What a channel name can stand for in this process.
Endpoint: TypeAlias = Mailbox | ChannelQueue

_AtLoop: TypeAlias = tuple[asyncio.AbstractEventLoop | None, Sequence[Endpoint]]


class Group(Mapping[str, Endpoint]):
    """The members of one group in this process: channel names and what they stand for.

    Many groups have one member, such as those of users: that one needs no dictionary.
    """

    __slots__ = ("_by_loop", "_channel", "_endpoint", "_members")

    def __init__(self) -> None:
        self._channel: str | None = None
        self._endpoint: Endpoint | None = None
        # Once there have been two of them, all are here.
        self._members: dict[str, Endpoint] | None = None
        self._by_loop: list[_AtLoop] | None = None

    def __len__(self) -> int:
        return (self._channel is not None) if self._members is None else len(self._members)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __getitem__(self, channel: str) -> Endpoint:
        return self._all()[channel]

    def __contains__(self, channel: object) -> bool:
        members = self._members
        return channel == self._channel if members is None else channel in members

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._all()!r})"

    def _all(self) -> dict[str, Endpoint]:
        if self._members is not None:
            return self._members
        if self._channel is None or self._endpoint is None:
            return {}
        return {self._channel: self._endpoint}

    def add(self, channel: str, endpoint: Endpoint) -> None:
        """Take a channel in; again is the same as once."""
        if self._members is None and self._channel in (None, channel):
            self._channel, self._endpoint = channel, endpoint
            return
        if self._members is None:
            self._members = self._all()
            self._channel = self._endpoint = None
        self._members[channel] = endpoint
        self._by_loop = None

    def discard(self, channel: str) -> None:
        """Let a channel go, if it is in."""
        if self._members is not None:
            self._members.pop(channel, None)
            self._by_loop = None
        elif channel == self._channel:
            self._channel = self._endpoint = None

    def by_loop(self) -> list[_AtLoop]:
        """The members by event loop; those of several are kept until the membership changes."""
        if self._members is None:
            endpoint = self._endpoint
            return [] if endpoint is None else [(endpoint.loop, (endpoint,))]
        if self._by_loop is None:
            found: dict[asyncio.AbstractEventLoop | None, list[Endpoint]] = {}
            for endpoint in self._members.values():
                found.setdefault(endpoint.loop, []).append(endpoint)
            self._by_loop = list(found.items())
        return self._by_loop
