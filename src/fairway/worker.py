"""Runs consumers for messages that were sent to named channels, outside of any connection."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final, Protocol

from asgiref.sync import ThreadSensitiveContext

from fairway._types import ASGIApplication, Event, Scope
from fairway.delivery import Mailbox

logger = logging.getLogger("django.channels.worker")

#: Seconds to wait after a channel layer failed, doubled up to the limit for each further failure.
FIRST_DELAY: Final = 1.0
MAX_DELAY: Final = 30.0


class Source(Protocol):
    """Where the messages come from: any channel layer."""

    async def receive(self, channel: str, /) -> Event:
        """Return the next message that was sent to the channel."""


class Worker:
    """Hands each message of some named channels to the application.

    Every channel has one instance of the application, with the scope
    ``{"type": "channel", "channel": name}``, started by the first message. Another message is taken
    from the layer only when the instance asks for it: those of one channel are handled one after
    the other, those of different channels at the same time, and what nobody has begun to work on
    stays in the layer. Synchronous code runs in one thread per instance.

    An exception in the application is logged and costs that one message; the next one meets a new
    instance. A message without ``type`` is logged and skipped. While the layer fails, it is logged
    and tried again after 1 s, then 2 s, up to every 30 s.

    Args:
        application: The ASGI application, usually a ``ProtocolTypeRouter`` whose ``"channel"``
            leads to a ``ChannelNameRouter``.
        channels: The names to listen to.
        channel_layer: Where to listen.
        max_applications: How many instances are kept. Beyond it the one that has been idle longest
            ends when another channel needs one; a working instance never does.

    Raises:
        ValueError: There is no channel layer.
    """

    def __init__(
        self,
        application: ASGIApplication,
        channels: Iterable[str],
        channel_layer: Source | None,
        max_applications: int = 1000,
    ) -> None:
        if channel_layer is None:
            raise ValueError("Channel layer is not valid")
        self.application = application
        self.channels = list(channels)
        self.channel_layer = channel_layer
        self.max_applications = max_applications
        # By channel, the one used longest ago first.
        self._instances: dict[str, _Instance] = {}

    def run(self) -> None:
        """Work until Ctrl-C, on an event loop of its own."""
        try:
            asyncio.run(self.handle())
        except KeyboardInterrupt:
            logger.info("Exiting due to Ctrl-C/interrupt")

    async def handle(self) -> None:
        """Work until cancelled; then cancel what the application is doing."""
        try:
            async with asyncio.TaskGroup() as group:
                for channel in dict.fromkeys(self.channels):
                    group.create_task(self.listener(channel))
        finally:
            instances = list(self._instances.values())
            self._instances.clear()
            await asyncio.gather(*(instance.end() for instance in instances))

    async def listener(self, channel: str) -> None:
        """Take the messages of one channel, each when the one before it is done with."""
        while True:
            message = await self._receive(channel)
            if not message.get("type"):
                logger.error(
                    "A message without type on channel %r was skipped; its keys are %s.",
                    channel,
                    list(message),
                )
                continue
            instance = await self._instance(channel)
            await instance.work_on(message)

    async def application_send(self, scope: Scope, message: Event) -> None:
        """Refuse what the application sends; a subclass may know what to do with it.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            f"A worker has no client to send {message.get('type')!r} to; "
            "send to a channel or a group of the channel layer instead."
        )

    async def application_exception(self, exception: Exception, scope: Scope) -> None:
        """Log an exception that the application let out; a subclass may tell others about it."""
        logger.error(
            "Exception in the worker for channel %r; its message is lost.",
            scope["channel"],
            exc_info=exception,
        )

    async def _receive(self, channel: str) -> Event:
        delay = FIRST_DELAY
        while True:
            try:
                return await self.channel_layer.receive(channel)
            except Exception:
                # Whatever the layer's client library raises; the cure is the same for all.
                logger.exception(
                    "The channel layer failed for channel %r; trying again in %g s.", channel, delay
                )
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_DELAY)

    async def _instance(self, channel: str) -> "_Instance":
        """Return the channel's running instance, as the one used last."""
        instance = self._instances.pop(channel, None)
        if instance is None or instance.ended:
            await self._make_room()
            instance = _Instance(self, channel)
        self._instances[channel] = instance
        return instance

    async def _make_room(self) -> None:
        if len(self._instances) < self.max_applications:
            return
        for channel, instance in self._instances.items():
            if instance.idle:
                del self._instances[channel]
                await instance.end()
                return


class _Instance:
    """One running application, fed through a mailbox that tells when it is empty."""

    def __init__(self, worker: Worker, channel: str) -> None:
        self._worker = worker
        self._scope: Scope = {"type": "channel", "channel": channel}
        self._mailbox = Mailbox(asyncio.get_running_loop())
        self._waits = asyncio.Event()
        self._mailbox.on_park = self._waits.set
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self._waits.set())

    @property
    def ended(self) -> bool:
        return self._task.done()

    @property
    def idle(self) -> bool:
        return self._waits.is_set()

    async def work_on(self, message: Event) -> None:
        """Give it a message, and wait until it asks for another one or ends."""
        self._waits.clear()
        self._mailbox.put_event(message)
        await self._waits.wait()

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            async with ThreadSensitiveContext():
                await self._worker.application(self._scope, self._mailbox, self._send)
        except Exception as error:  # noqa: BLE001  one failing job must not end the worker
            await self._worker.application_exception(error, self._scope)

    async def _send(self, event: Event) -> None:
        await self._worker.application_send(self._scope, event)
