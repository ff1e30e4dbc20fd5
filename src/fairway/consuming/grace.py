"""The time that handlers have after their client has gone, and what the log says at its end."""

import asyncio
import logging
from concurrent.futures import Executor

from fairway._types import Event
from fairway.consuming.lanes import Arrival, Lanes
from fairway.consuming.threads import calls_in
from fairway.delivery import Mailbox
from fairway.server.application.stacks import format_stack
from fairway.utils import name_that_thing

logger = logging.getLogger("fairway.consumer")


class Grace:
    """Cancels a consumer that is still busy some time after its client has gone.

    For servers that do not do so, and for classes that want another time than the server's. Unlike
    a cancellation by the server, the consumer takes this one back and ends by itself.

    Args:
        consumer: Whose; its task is the current one.
        seconds: How long after :meth:`begin`.
        executor: Where its sync code runs, for the log.
    """

    __slots__ = ("_consumer", "_executor", "_interrupted", "_seconds", "_task", "_timer")

    def __init__(self, consumer: object, seconds: float, executor: Executor | None) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._consumer = consumer
        self._seconds = seconds
        self._executor = executor
        self._task = task
        self._timer: asyncio.Handle | None = None
        self._interrupted = False

    def begin(self) -> None:
        """The client has gone."""
        loop = self._task.get_loop()
        if self._seconds > 0:
            self._timer = loop.call_later(self._seconds, self.interrupt)
        else:
            self._timer = loop.call_soon(self.interrupt)

    def close(self) -> None:
        """Nothing is to be interrupted any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def take_back(self) -> bool:
        """Whether the cancellation that has arrived was this one, and no other."""
        return self._interrupted and self._task.uncancel() == 0

    def interrupt(self) -> None:
        """Cancel the consumer now."""
        if self._seconds > 0:
            logger.warning("%s", self._text())
        self._interrupted = True
        self._task.cancel()

    def _text(self) -> str:
        name = name_that_thing(self._consumer)
        text = f"{name} went on for more than {self._seconds:g} s after its client had gone; "
        text += f"it was interrupted. It was waiting here:\n{format_stack(self._task)}"
        if calls := calls_in(self._executor):
            text += f"\nIts sync code, which cannot be cancelled, was here:\n{calls}"
        mailbox: Mailbox | None = getattr(self._consumer, "_fw_mailbox", None)
        if mailbox is not None and mailbox.on_overdue is not None:
            text += f"\n{mailbox.on_overdue()}"
        return text


def describe(
    consumer: object, mailbox: Mailbox, event: Event | None, lanes: Lanes[Arrival] | None
) -> str:
    """What a consumer is doing, as text for the log.

    Args:
        consumer: Which.
        mailbox: Where its events wait.
        event: What it handles, if that is one event at a time.
        lanes: What it handles otherwise, each with its stack.
    """
    events, messages = mailbox.waiting
    name = name_that_thing(consumer)
    if lanes is None:
        doing = f"handling {_kind(event)}" if event is not None else "handling no event"
        return f"{name} was {doing}; {_waiting(events, messages)}"
    running = list(lanes.running())
    text = f"{name} was handling {len(running)} at the same time; "
    text += _waiting(events, messages)
    if lanes.waiting:
        text = f"{text[:-1]}, and {lanes.waiting} for their lane."
    for arrival, task in running:
        text += f"\n{_kind(arrival.event)} was here:\n{format_stack(task)}"
        if calls := calls_in(arrival.executor):
            text += f"\nwith its sync code, which cannot be cancelled, here:\n{calls}"
    return text


def _kind(event: Event) -> str:
    return repr(event.get("type"))


def _waiting(events: int, messages: int) -> str:
    return f"{events} events of its client and {messages} layer messages were waiting."
