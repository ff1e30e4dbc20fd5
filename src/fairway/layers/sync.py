"""A channel layer's verbs for code that runs in no event loop: a view, Celery, the shell."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fairway._types import Event
from fairway.layers.contract import Reached
from fairway.layers.io import io

if TYPE_CHECKING:
    from fairway.layers.base import ChannelLayer

T = TypeVar("T")

#: Seconds after which a verb gives up, whatever the transport is doing. Layers give up sooner.
TIMEOUT: Final = 30.0


class SyncVerbs:
    """What a :class:`~fairway.layers.base.ChannelLayer` does, under the same names.

    They block for the answer. No event loop is made for a call and none is left behind: they run on
    the one thread on which this process talks to others, also after a fork.

    Args:
        layer: Whose verbs.
    """

    def __init__(self, layer: "ChannelLayer") -> None:
        self._layer = layer

    def send(self, channel: str, message: Event, *, delay: float = 0.0) -> None:
        """Send a message to one channel; see :meth:`ChannelLayer.send`."""
        self._run("send", self._layer.send(channel, message, delay=delay))

    def receive(self, channel: str, timeout: float | None = None) -> Event:
        """Take the next message of a channel; see :meth:`ChannelLayer.receive`.

        Args:
            channel: Its name.
            timeout: Seconds to wait for a message; None waits for ever.

        Raises:
            TimeoutError: None came.
        """
        return self._run("receive", self._layer.receive(channel), timeout)

    def receive_many(self, channel: str, limit: int, timeout: float | None = None) -> list[Event]:
        """Take the next messages of a channel; see :meth:`ChannelLayer.receive_many`.

        Args:
            channel: Its name.
            limit: How many at most.
            timeout: Seconds to wait for the first; None waits for ever.

        Raises:
            TimeoutError: None came.
        """
        return self._run("receive_many", self._layer.receive_many(channel, limit), timeout)

    def new_channel(self, prefix: str = "specific") -> str:
        """A new channel name that this process alone can receive from."""
        return self._run("new_channel", self._layer.new_channel(prefix))

    def group_add(self, group: str, channel: str) -> None:
        """Put a channel into a group; see :meth:`ChannelLayer.group_add`."""
        self._run("group_add", self._layer.group_add(group, channel))

    def group_discard(self, group: str, channel: str) -> None:
        """Take a channel out of a group; see :meth:`ChannelLayer.group_discard`."""
        self._run("group_discard", self._layer.group_discard(group, channel))

    def group_send(self, group: str, message: Event) -> Reached:
        """Send a message to every channel of a group; see :meth:`ChannelLayer.group_send`."""
        return self._run("group_send", self._layer.group_send(group, message))

    def waiting(self, channel: str) -> int:
        """How many messages wait in a channel; see :meth:`ChannelLayer.waiting`."""
        return self._run("waiting", self._layer.waiting(channel))

    def flush(self) -> None:
        """Forget every message and every membership."""
        self._run("flush", self._layer.flush())

    def _run(
        self, verb: str, coroutine: Coroutine[Any, Any, T], timeout: float | None = TIMEOUT
    ) -> T:
        return io.run_verb("layer", verb, coroutine, timeout)
