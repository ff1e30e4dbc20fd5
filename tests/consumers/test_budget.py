"""How many layer messages may wait for a WebSocket, and what becomes of those beyond."""

import asyncio
import logging
import re

import pytest

from fairway._types import Event
from fairway.consuming import budget
from fairway.consuming.budget import Budget, make_budget
from fairway.delivery import Overflow
from fairway.generic.websocket import AsyncWebsocketConsumer
from fairway.layers import InMemoryChannelLayer
from tests.consumers.connections import Connect


class Slow(AsyncWebsocketConsumer):
    """Handles nothing before the client has sent something."""

    groups = ["prices"]
    max_waiting_messages = 4

    async def price_changed(self, event: Event) -> None:
        await self.send(text_data=f"{event['of']}{event['price']}")


class Stuck(Slow):
    disconnect_grace = 0

    async def price_changed(self, event: Event) -> None:
        await asyncio.Event().wait()


class Latest(Slow):
    overflow = "latest"

    def latest_key(self, message: Event) -> str:
        of: str = message["of"]
        return of


class DropOldest(Slow):
    overflow = "drop-oldest"


class DropNewest(Slow):
    overflow = "drop-newest"


async def sent(layer: InMemoryChannelLayer, connect: Connect, consumer: type[Slow]) -> list[Event]:
    """What a client of a slow consumer gets, and how its connection goes on."""
    async with connect(consumer.as_asgi()) as connection:
        for number, of in enumerate("ababac"):  # nothing is handled in between
            await layer.group_send("prices", {"type": "price.changed", "of": of, "price": number})
        await connection.settle()
        found = []
        while not connection.quiet:
            found.append(await connection.sent())
        return found


def texts(*values: str) -> list[Event]:
    return [{"type": "websocket.send", "text": value} for value in values]


@pytest.mark.parametrize(
    ("consumer", "expected"),
    [
        (Latest, texts("b3", "a4", "c5")),
        (DropOldest, texts("a2", "b3", "a4", "c5")),
        (DropNewest, texts("a0", "b1", "a2", "b3")),
    ],
)
async def test_policies(
    layer: InMemoryChannelLayer, connect: Connect, consumer: type[Slow], expected: list[Event]
) -> None:
    """Each policy does what its name says."""
    assert await sent(layer, connect, consumer) == expected


async def test_usual_policy(layer: InMemoryChannelLayer, connect: Connect) -> None:
    """The usual one closes with 1013, and says when to come back; so does our server for it.

    Senders wait for a while before it applies, in vain here.
    """
    (event,) = await sent(layer, connect, Stuck)
    assert (event["type"], event["code"]) == ("websocket.close", 1013)
    assert re.fullmatch(r"Too many messages were waiting\.( retry=[0-5]\.\d)?", event["reason"])


def test_usual() -> None:
    """A class that asks for nothing costs its connections nothing."""
    assert make_budget(AsyncWebsocketConsumer) is None
    assert make_budget(Latest) == Budget(Overflow.LATEST, 4, 1024 * 1024)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (
            {"overflow": "drop"},
            "Wrong.overflow is 'drop'; "  # noqa: ISC004  one text
            "it can be 'disconnect', 'drop-oldest', 'drop-newest', 'latest'.",
        ),
        (
            {"max_waiting_messages": 0},
            "Wrong.max_waiting_messages is 0; it must be a number from 1 on.",
        ),
        (
            {"max_waiting_bytes": "1 MB"},
            "Wrong.max_waiting_bytes is '1 MB'; it must be a number from 1 on.",
        ),
    ],
)
def test_mistakes(attributes: dict[str, object], message: str) -> None:
    """What cannot be is said when the class is made."""
    with pytest.raises(ValueError, match=r"^Wrong\.") as caught:
        type("Wrong", (AsyncWebsocketConsumer,), attributes)
    assert str(caught.value) == message


class Mistaken(Slow):
    overflow = "latest"

    def latest_key(self, message: Event) -> object:
        if message["of"] == "a":
            raise KeyError(message)
        return [message["of"]]  # no key


async def test_mistaken_key(
    layer: InMemoryChannelLayer, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """A consumer's mistake is logged once, and whoever has sent the message does not meet it."""
    assert await sent(layer, connect, Mistaken) == texts("b3", "a4", "c5")
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == [
        "Mistaken.latest_key() failed; such messages make room when they have waited longest."
    ]
    budget._mistaken.clear()
