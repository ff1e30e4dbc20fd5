"""Into a mailbox from elsewhere: a foreign server's ``receive``, a foreign layer's channel.

Under our own server and layers nothing here is needed: they put into the mailbox themselves.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from fairway._types import Event
from fairway.delivery.mailbox import Mailbox

logger = logging.getLogger("fairway.delivery")

#: Seconds to wait after a foreign layer failed, doubled up to the limit for each further failure.
FIRST_DELAY: Final = 1.0
MAX_DELAY: Final = 30.0
#: Events after which a client sends no more.
DISCONNECTS: Final = frozenset({"http.disconnect", "websocket.disconnect"})


class LayerMessage(dict[str, object]):
    """A message that came from a foreign channel layer, to be told from the client's events.

    Attributes:
        taken: To be set by the reader; the next message is not received from the layer before.
    """

    __slots__ = ("taken",)

    def __init__(self, message: Event) -> None:
        super().__init__(message)
        self.taken = asyncio.Event()


class Gate:
    """The flow of a mailbox whose source cannot be paused: the pump waits instead."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    def pause_reading(self) -> None:
        """Take nothing more from the source."""
        self._open.clear()

    def resume_reading(self) -> None:
        """Take from the source again."""
        self._open.set()

    async def wait(self) -> None:
        """Wait until the mailbox takes more."""
        await self._open.wait()


def pump_client(receive: Callable[[], Awaitable[Event]], mailbox: Mailbox) -> "asyncio.Task[None]":
    """Put the client's events into ``mailbox`` until it disconnects.

    If ``receive`` raises, the reader of the mailbox gets that exception.
    """
    gate = Gate()
    mailbox.flow = gate

    async def pump() -> None:
        try:
            while True:
                event = await receive()
                if event.get("type") in DISCONNECTS:
                    mailbox.put_disconnect(event)
                    return
                mailbox.put_event(event, payload_size(event))
                await gate.wait()
        except Exception as error:  # noqa: BLE001  it is the reader's to handle
            mailbox.fail(error)

    return asyncio.ensure_future(pump())


def pump_layer(receive: Callable[[], Awaitable[Event]], mailbox: Mailbox) -> "asyncio.Task[None]":
    """Put the messages of a foreign layer's channel into ``mailbox`` until cancelled.

    One at a time: what else there is stays in the layer, where its capacity and expiry apply. If
    ``receive`` raises, it is logged and tried again, after 1 s, then 2 s, up to every 30 s: what
    connects the processes may be down for a while, and no connection ends for it.
    """

    async def pump() -> None:
        delay = FIRST_DELAY
        while True:
            try:
                message = LayerMessage(await receive())
            except Exception:
                # Whatever the layer's client library raises; the cure is the same for all.
                logger.exception(
                    "The channel layer failed for channel %s; trying again in %g s. Its messages "
                    "may be missed until then.",
                    mailbox.channel,
                    delay,
                )
                await asyncio.sleep(delay)
                delay = min(2 * delay, MAX_DELAY)
                continue
            delay = FIRST_DELAY
            mailbox.put_event(message)
            await message.taken.wait()

    return asyncio.ensure_future(pump())


def payload_size(event: Event) -> int:
    """Bytes (or characters) that a client's event carries."""
    return sum(
        len(value)
        for key in ("text", "bytes", "body")
        if isinstance(value := event.get(key), (str, bytes))
    )
