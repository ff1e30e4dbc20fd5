"""The one subscription of an event loop to news about users and sessions."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final

from django.conf import settings

from fairway import DEFAULT_CHANNEL_LAYER, layers
from fairway._types import Event
from fairway.delivery import Mailbox
from fairway.later import create_task_later
from fairway.layers.base import ChannelLayer
from fairway.layers.codec import decode

logger = logging.getLogger("fairway.auth")

#: The group in which every process with connections to watch listens.
GROUP: Final = "fairway.auth"

#: Seconds between two attempts to subscribe: at first, and at most.
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0

#: Seconds after which a layer that is not ours is asked again for its group. Memberships expire,
#: in channels_redis after a day.
REJOIN: Final = 3600.0


def layer_alias() -> str | None:
    """Return the alias of the channel layer that carries the news; None for none."""
    alias: str | None = getattr(settings, "FAIRWAY_AUTH_CHANNEL_LAYER", DEFAULT_CHANNEL_LAYER)
    return alias


class NewsLost(Exception):
    """More news came than could be kept."""


class Listener:
    """Hears what is published to :data:`GROUP`, until it is stopped.

    Args:
        loop: The running event loop.
        heard: Takes each message.
        missed: Called when messages may have been missed: the subscription has begun, begins anew,
            or the layer has a gap.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        heard: Callable[[Event], None],
        missed: Callable[[], None],
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._loop = loop
        self._heard = heard
        self._missed = missed
        self._sleep = sleep
        self._pause = FIRST_PAUSE
        self._down = False
        # A context of its own: the first connection's need not live as long as this. And later:
        # who makes this does not have it yet.
        self._task = create_task_later(loop, self._run(), Context())

    async def stop(self) -> None:
        """Leave the group; returns when that is done."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        alias = layer_alias()
        if alias is None:
            return
        while True:
            try:
                layer = layers.get_channel_layer(alias)
                if layer is None:
                    logger.warning(
                        "There is no channel layer %r to hear of revoked users from; their "
                        "connections are checked by their interval only. Name one in "
                        "FAIRWAY_AUTH_CHANNEL_LAYER.",
                        alias,
                    )
                    return
                if isinstance(layer, ChannelLayer):
                    await self._listen(layer)
                else:
                    await self._listen_to_other(layer)
            except Exception as error:  # noqa: BLE001  whatever a layer raises, it is tried again
                self._failed(error)
            await self._sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311  no secret
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    async def _listen(self, layer: ChannelLayer) -> None:
        mailbox = Mailbox(self._loop)
        mailbox.on_overflow = lambda: mailbox.fail(NewsLost("too many at once"))
        channel = layer.bind(mailbox, gaps=True)
        try:
            await layer.group_add(GROUP, channel)
            self._subscribed()
            while True:
                item = mailbox.take()
                if isinstance(item, bytes):
                    self._take(decode(item))
                elif item is None:
                    await mailbox.park()
        finally:
            mailbox.on_overflow = None
            await layer.unbind(channel)

    # A layer of somebody else's has the methods of Channels' specification, and no types.
    async def _listen_to_other(self, layer: Any) -> None:
        channel = await layer.new_channel()
        try:
            await layer.group_add(GROUP, channel)
            self._subscribed()
            while True:
                try:
                    async with asyncio.timeout(REJOIN):
                        message = await layer.receive(channel)
                except TimeoutError:
                    await layer.group_add(GROUP, channel)
                else:
                    self._take(message)
        finally:
            with contextlib.suppress(Exception):
                await layer.group_discard(GROUP, channel)

    def _take(self, message: Event) -> None:
        if message.get("type") == "layer.gap":
            self._missed()
        else:
            self._heard(message)

    def _subscribed(self) -> None:
        self._pause = FIRST_PAUSE
        if self._down:
            self._down = False
            logger.info("News of revoked users are heard again")
        self._missed()

    def _failed(self, error: Exception) -> None:
        if not self._down:
            self._down = True
            logger.warning(
                "News of revoked users cannot be heard; until then their connections are checked "
                "by their interval only: %s: %s",
                type(error).__name__,
                error,
            )
