"""The specification of channel layers as plain data: what may happen next, without any layer.

Where the specification promises nothing, the model allows everything: the order of a message that
was sent for later, and whether one has arrived that was under way while a connection was lost.
"""

from dataclasses import dataclass, field
from typing import Final

CAPACITY: Final = 3
#: Seconds. Long enough for layers whose time is the real one.
EXPIRY: Final = 600.0
GROUP_EXPIRY: Final = 6000.0
LEASE: Final = 300.0


@dataclass
class Message:
    """A message in a queue.

    Attributes:
        number: What tells it from others; later ones have greater numbers.
        due: When it may be received.
        expires: When nobody needs it any more.
        attempt: 1, and one more each time that it came back.
        leased: Until when somebody has it; None if nobody does.
        back: Whether it has come back: then it is before all those that have not.
        ordered: Whether its place is promised at all: among those that have come back, none is.
        sure: Whether it must be there; else it may be.
        counted: Whether it must count towards the capacity; else it may.
        overstays: Whether it may be there for longer than it is needed.
    """

    number: int
    due: float
    expires: float
    attempt: int = 1
    leased: float | None = None
    back: bool = False
    ordered: bool = True
    sure: bool = True
    counted: bool = True
    overstays: bool = False


@dataclass
class Queue:
    """A channel that is read with ``receive()``."""

    messages: list[Message] = field(default_factory=list)

    def settle(self, now: float) -> bool:
        """Let time pass; says whether messages have expired."""
        expired = False
        for message in list(self.messages):
            if message.leased is not None and message.leased <= now:
                # It came back then, or when somebody looked.
                message.attempt += 1
                message.expires = max(message.expires, message.leased + EXPIRY)
                message.overstays = True
                message.leased = None
                message.back = True
            if message.leased is None and message.expires <= now:
                expired = True
                if message.overstays:
                    message.sure = message.counted = False
                else:
                    self.messages.remove(message)
        return expired

    def full(self) -> tuple[bool, bool]:
        """Whether it is full as far as it must be, and as far as it may be."""
        here = [message for message in self.messages if message.leased is None]
        return sum(message.counted for message in here) >= CAPACITY, len(here) >= CAPACITY

    def next(self, now: float) -> tuple[list[Message], bool]:
        """The messages of which a reader gets one, and whether it must get any."""
        found: list[Message] = []
        behind = False
        for message in sorted(self.messages, key=lambda each: (not each.back, each.number)):
            if message.leased is not None or message.due > now:
                continue
            if message.back or not (message.ordered and behind):
                found.append(message)
            behind |= message.ordered and message.sure
        return found, any(message.sure for message in found)

    def took(self, taken: Message) -> None:
        """A reader got this one: what was in front of it and not sure is not there."""
        self.messages = [
            message
            for message in self.messages
            if message.sure
            or not (message.ordered and taken.ordered)
            or message.back != taken.back
            or message.number > taken.number
        ]
        if taken in self.messages:
            self.messages.remove(taken)


@dataclass
class Model:
    """All the processes of a channel layer.

    Attributes:
        now: Seconds.
        queues: Channels that are read with ``receive()``, by name.
        groups: Until when each channel is in each group.
    """

    now: float = 1_000_000.0
    queues: dict[str, Queue] = field(default_factory=dict)
    groups: dict[str, dict[str, float]] = field(default_factory=dict)

    def queue(self, channel: str) -> Queue:
        """The queue of a channel."""
        return self.queues.setdefault(channel, Queue())

    def put(self, channel: str, number: int, *, delay: float = 0.0, sure: bool = True) -> None:
        """A message is in the queue, or may be."""
        due = self.now + delay
        self.queue(channel).messages.append(
            Message(number, due, due + EXPIRY, ordered=not delay, sure=sure, counted=sure)
        )

    def put_if_room(self, channel: str, number: int, *, sure: bool = True) -> None:
        """A message is in the queue unless that is full, which nobody is told."""
        full, perhaps = self.queue(channel).full()
        if not full:
            self.put(channel, number, sure=sure and not perhaps)

    def members(self, group: str) -> list[str]:
        """The channels in a group."""
        return [c for c, until in self.groups.get(group, {}).items() if until > self.now]

    def join(self, group: str, channel: str) -> None:
        """The channel is in the group from now on."""
        self.groups.setdefault(group, {})[channel] = self.now + GROUP_EXPIRY

    def leave(self, group: str, channel: str) -> None:
        """It is not."""
        self.groups.get(group, {}).pop(channel, None)

    def forget(self, channels: list[str]) -> None:
        """These channels have neither messages nor groups."""
        for channel in channels:
            self.queues.pop(channel, None)
            for members in self.groups.values():
                members.pop(channel, None)

    def elapse(self, seconds: float) -> list[str]:
        """Time passes; returns the channels whose messages have expired.

        Whether such a channel is still in its groups is not specified.
        """
        self.now += seconds
        return [channel for channel, queue in self.queues.items() if queue.settle(self.now)]
