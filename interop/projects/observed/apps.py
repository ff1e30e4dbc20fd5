"""Writes down when a room's consumer connects and when its ``disconnect()`` has run."""

import os
from pathlib import Path
from typing import Any

from django.apps import AppConfig


class ObservedConfig(AppConfig):
    """Looks on, from outside: the chat's own code stays what it is."""

    name = "observed"

    def ready(self) -> None:
        """Wrap the two methods of the consumer."""
        from chat.consumers import RoomConsumer  # noqa: PLC0415

        connect, disconnect = RoomConsumer.connect, RoomConsumer.disconnect

        async def noted_connect(consumer: Any) -> None:
            await connect(consumer)
            consumer.let_in = True
            _note("connect")

        async def noted_disconnect(consumer: Any, code: int) -> None:
            await disconnect(consumer, code)
            if hasattr(consumer, "let_in"):
                _note("disconnect")

        for name, method in (("connect", noted_connect), ("disconnect", noted_disconnect)):
            setattr(RoomConsumer, name, method)


def _note(event: str) -> None:
    # One write for each line, so that those of several processes do not mix.
    with Path(os.environ["INTEROP_DIARY"]).open("a", encoding="utf-8") as diary:
        diary.write(f"{event} {os.getpid()}\n")
