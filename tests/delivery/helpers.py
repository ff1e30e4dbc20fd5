"""Readers, and a flow that remembers what it was told."""

import asyncio

from fairway._types import Event
from fairway.delivery import Hub, Mailbox, Outbox
from fairway.wire.prepared import PreparedMessage


class RecordingFlow:
    """Stands in for a transport's reading side."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


def new_mailbox(flow: RecordingFlow | None = None, **options: object) -> Mailbox:
    """A mailbox of the running loop."""
    return Mailbox(asyncio.get_running_loop(), flow, **options)  # type: ignore[arg-type]  # passed on


def take_all(mailbox: Mailbox) -> list[Event | bytes]:
    """Everything that waits."""
    items = []
    while (item := mailbox.take()) is not None:
        items.append(item)
    return items


def open_outbox() -> tuple[Outbox, list[bytes], list[Event]]:
    """An outbox that may write, what it wrote, and the events that it handed to the server."""
    written: list[bytes] = []
    handled: list[Event] = []

    async def handle(event: Event) -> None:
        handled.append(event)

    outbox = Outbox(written.append, handle, lambda code, reason: None)
    outbox.ready = True
    return outbox, written, handled


def write_prepared(outbox: Outbox, message: PreparedMessage) -> bool:
    """Write a message as the hub does where the reader waits; says whether that could be done."""
    mailbox = new_mailbox()
    mailbox.direct = outbox
    mailbox.park()
    Hub()._deliver([mailbox], b"", message)
    return not take_all(mailbox)
