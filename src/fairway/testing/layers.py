"""What was sent to a group or a channel, without a socket; and layers that no test shares."""

import contextlib
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from copy import deepcopy
from types import TracebackType
from typing import Any, Self
from unittest import mock

from asgiref.sync import async_to_sync

from fairway import DEFAULT_CHANNEL_LAYER, native
from fairway._types import Event
from fairway.delivery import ChannelQueue, Mailbox
from fairway.delivery.group import Endpoint
from fairway.layers import (
    BaseChannelLayer,
    ChannelLayer,
    InMemoryChannelLayer,
    channel_layers,
    get_channel_layer,
)
from fairway.layers.codec import decode
from fairway.presence.registry import trackers


class Capture(list[Event]):
    """The messages that reach a group or a channel while the block runs, in order.

    Made by :func:`capture_group` and :func:`capture_channel`. It is a list: compare it with the
    messages that should have been sent. After the block nothing is added.
    """

    def __init__(self, what: str, alias: str) -> None:
        super().__init__()
        self._what = what
        self._alias = alias
        self._undo = contextlib.AsyncExitStack()

    def assert_sent(self, **fields: Any) -> Event:
        """Return the first message that has these fields, whatever else it has.

        Args:
            fields: Such as ``type="chat.message", text="Ahoy"``.

        Raises:
            AssertionError: There is none; the text shows what was sent instead.
        """
        for message in self:
            if all(key in message and message[key] == value for key, value in fields.items()):
                return message
        sent = "".join(f"\n  {message!r}" for message in self) or " nothing."
        raise AssertionError(
            f"Nothing with {fields!r} was sent to {self._what}. What was sent:{sent}"
        )

    def __enter__(self) -> Self:
        _complete(self._begin())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _complete(self._undo.aclose())

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._undo.aclose()

    async def _begin(self) -> None:
        layer = get_channel_layer(self._alias)
        if layer is None:
            raise LookupError(
                f"CHANNEL_LAYERS has no {self._alias!r}, so nothing can be sent to it."
            )
        try:
            await self._listen(layer)
        except BaseException:
            await self._undo.aclose()  # what has begun ends here: no block will
            raise

    async def _listen(self, layer: BaseChannelLayer) -> None:
        raise NotImplementedError

    def _take(self, payload: bytes) -> bool:
        self.append(decode(payload))
        return True

    def _watch(self, layer: BaseChannelLayer, verb: str, name: str, *, forward: bool) -> None:
        """Stand before a verb of a layer that cannot be joined from within."""
        real = getattr(layer, verb)

        async def watched(target: str, message: Event, *args: Any, **options: Any) -> Any:
            if target == name:
                self.append(deepcopy(message))
                if not forward:
                    return None
            return await real(target, message, *args, **options)

        self._undo.enter_context(mock.patch.object(layer, verb, watched))


class _GroupCapture(Capture):
    def __init__(self, group: str, alias: str) -> None:
        super().__init__(f"group {group!r}", alias)
        self._group = group

    async def _listen(self, layer: BaseChannelLayer) -> None:
        if not isinstance(layer, ChannelLayer):
            self._watch(layer, "group_send", self._group, forward=True)
            return
        member = layer.bind(_Member(self._take), prefix="capture")
        self._undo.push_async_callback(layer.unbind, member)
        await layer.group_add(self._group, member)


class _ChannelCapture(Capture):
    def __init__(self, channel: str, alias: str) -> None:
        super().__init__(f"channel {channel!r}", alias)
        self._channel = channel

    async def _listen(self, layer: BaseChannelLayer) -> None:
        if not isinstance(layer, InMemoryChannelLayer):
            self._watch(layer, "send", self._channel, forward=False)
            return
        layer.require_valid_channel_name(self._channel)
        before = layer.channels.get(self._channel)
        if isinstance(before, Mailbox):
            raise ValueError(
                f"Channel {self._channel} belongs to a consumer, which receives what is sent to it."
            )
        self._replace(layer, before, _Queue(self._channel, self._take))
        self._undo.callback(self._put_back, layer, before)

    def _put_back(self, layer: InMemoryChannelLayer, before: Endpoint | None) -> None:
        after = before or ChannelQueue(
            self._channel, layer.get_capacity(self._channel), layer.expiry, time.monotonic
        )
        self._replace(layer, layer.channels.get(self._channel), after)
        if not after.groups and before is None:
            del layer.channels[self._channel]

    def _replace(self, layer: InMemoryChannelLayer, old: Endpoint | None, new: Endpoint) -> None:
        """Let the channel stand for another queue, in its groups as well."""
        layer.channels[self._channel] = new
        new.groups = list(old.groups) if old is not None else []
        for group in new.groups:
            layer.groups[group].add(self._channel, new)


class _Member(Mailbox):
    """A member of a group that hands over what it gets, in the sender's thread and at once."""

    __slots__ = ("_take",)

    def __init__(self, take: Callable[[bytes], bool]) -> None:
        # No loop: the hub then crosses no thread, and the message is here when the send returns.
        super().__init__(None)  # type: ignore[arg-type]  # nobody ever waits in this mailbox
        self._take = take

    def put_message(self, payload: bytes) -> bool:
        return self._take(payload)


class _Queue(ChannelQueue):
    """A channel whose messages are handed over, and lie in no queue."""

    __slots__ = ("_hand_over",)

    def __init__(self, name: str, hand_over: Callable[[bytes], bool]) -> None:
        super().__init__(name, sys.maxsize, float("inf"), time.monotonic)
        self._hand_over = hand_over

    @property
    def idle(self) -> bool:
        return False  # so that the layer does not forget it

    def put_message(self, payload: bytes, delay: float = 0.0) -> bool:
        return self._hand_over(payload)


def capture_group(group: str, alias: str = DEFAULT_CHANNEL_LAYER) -> Capture:
    """Collect what is sent to a group, as one of its members.

    ::

        with capture_group("news") as sent:
            client.post("/articles/", {"title": "Ahoy"})
        assert sent == [{"type": "news.article", "title": "Ahoy"}]

    Whoever sends, from sync code, from async code, or from another thread, it is there when the
    send has returned. The other members get it as well. As ``with`` it works in sync and in async
    code on the in-memory layer; on layers that have to wait for a broker, async code needs
    ``async with``.

    Args:
        group: Its name.
        alias: The channel layer, by its alias in ``CHANNEL_LAYERS``.

    Raises:
        LookupError: There is no such layer.
        TypeError: The name is not valid.
    """
    return _GroupCapture(group, alias)


def capture_channel(channel: str, alias: str = DEFAULT_CHANNEL_LAYER) -> Capture:
    """Collect what is sent to a named channel, such as that of a worker.

    The messages go nowhere else: no worker gets them, and none waits after the block.

    Args:
        channel: Its name.
        alias: The channel layer, by its alias in ``CHANNEL_LAYERS``.

    Raises:
        LookupError: There is no such layer.
        TypeError: The name is not valid.
        ValueError: The channel is a consumer's own.
    """
    return _ChannelCapture(channel, alias)


@contextlib.contextmanager
def use_channel_layer(
    alias: str = DEFAULT_CHANNEL_LAYER, layer: BaseChannelLayer | None = None
) -> Iterator[BaseChannelLayer]:
    """Put a layer in the place of an alias: a new in-memory one, or the given one.

    Also a decorator, and for ``self.enterContext(use_channel_layer())`` in a test case. Code that
    keeps the result of an earlier ``get_channel_layer()`` goes on using that.

    Args:
        alias: Which one, by its alias in ``CHANNEL_LAYERS``.
        layer: What to put there.
    """
    new = layer if layer is not None else InMemoryChannelLayer()
    old = channel_layers.set(alias, new)
    try:
        yield new
    finally:
        if old is not None:
            channel_layers.set(alias, old)
        else:
            channel_layers.backends.pop(alias, None)
        if isinstance(new, InMemoryChannelLayer) and layer is None:
            trackers.discard(new)


@contextlib.contextmanager
def isolated_channel_layers() -> Iterator[None]:
    """Let a test begin, and leave, with in-memory layers that hold nothing of any other test.

    Messages that nobody received, memberships of channels, consumers that a test has not
    disconnected, and whoever lingers in :mod:`fairway.presence` are forgotten. The layers stay the
    same objects, also for code that keeps one. What lives on an event loop that is still open, such
    as the sockets of a live server, stays. Layers over a broker are left alone: what is in there
    may not be the test's.

    The pytest plugin does this for every test.
    """
    _forget_leftovers()
    try:
        yield
    finally:
        _forget_leftovers()


class ChannelLayerTestMixin:
    """For test cases of ``unittest``: every test has ``isolated_channel_layers``.

    ::

        class NewsTests(ChannelLayerTestMixin, TestCase):
            def test_news(self):
                with self.capture_group("news") as sent:
                    ...
    """

    capture_group = staticmethod(capture_group)
    capture_channel = staticmethod(capture_channel)

    def setUp(self) -> None:
        """Forget what other tests have left."""
        self.enterContext(isolated_channel_layers())  # type: ignore[attr-defined]  # TestCase's
        super().setUp()  # type: ignore[misc]  # TestCase's


def _forget_leftovers() -> None:
    for layer in list(channel_layers.backends.values()):
        if not isinstance(layer, InMemoryChannelLayer):
            continue
        for name, endpoint in list(layer.channels.items()):
            if isinstance(endpoint, ChannelQueue):
                endpoint.clear()
            elif isinstance(endpoint, _Member) or not endpoint.loop.is_closed():
                continue
            _step(layer.unbind(name))
        trackers.forget_the_gone(layer)


def _complete(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine to its end from sync code.

    Raises:
        RuntimeError: An event loop runs in this thread, and the coroutine has to wait.
    """

    async def run() -> None:
        await coroutine

    if native.running_loop() is None:
        async_to_sync(run)()
    else:
        _step(coroutine)


def _step(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that has nothing to wait for.

    Raises:
        RuntimeError: It has to wait.
    """
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError("This channel layer has to wait for others: use `async with`.")
