"""The ASGI application that stands for a consumer class: a new consumer for each connection."""

import functools
from collections.abc import Coroutine
from typing import Any

from fairway._types import Finished, Receive, Scope, Send
from fairway.consuming.advice import advise_on_making
from fairway.utils import name_that_thing


class ConsumerApplication:
    """What :meth:`~fairway.consumer.AsyncConsumer.as_asgi` returns.

    Servers look at an application to learn what it is, and not all do so with asgiref: to
    Hypercorn, what ``inspect`` does not call a coroutine function is WSGI's. So this is called with
    one. Routers and middleware of Fairway's know better, and call :meth:`_fw_begin`.

    Args:
        consumer_class: The consumer, which is called with scope, receive and send.
        initkwargs: Given to the constructor each time.

    Attributes:
        consumer_class: As above; it may be replaced, as the next.
        consumer_initkwargs: The arguments of the constructor.
    """

    consumer_class: Any  # a class, whose constructor is its author's
    consumer_initkwargs: dict[str, Any]

    def __init__(self, consumer_class: Any, initkwargs: dict[str, Any]) -> None:
        self.consumer_class = consumer_class
        self.consumer_initkwargs = initkwargs
        functools.update_wrapper(self, consumer_class, updated=())

    def __repr__(self) -> str:
        return f"<{name_that_thing(self.consumer_class)}.as_asgi()>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Finished:
        """Serve one connection with a new consumer."""
        return await self._fw_begin(scope, receive, send)

    def _fw_begin(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """Hand the consumer's coroutine on instead of awaiting it, for what awaits it anyway."""
        try:
            consumer = self.consumer_class(**self.consumer_initkwargs)
        except Exception as error:
            if advice := advise_on_making(error):
                error.add_note(advice)
            raise
        serving: Coroutine[Any, Any, None] = consumer(scope, receive, send)
        return serving
