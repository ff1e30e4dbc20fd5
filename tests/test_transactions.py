"""Messages that are sent when the transaction commits."""

import logging

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction

from fairway.exceptions import (
    ChannelLayerUnavailable,
    InvalidChannelLayerError,
    MessageNotSerializable,
)
from fairway.layers import BaseChannelLayer, InMemoryChannelLayer
from fairway.layers.sync import SyncVerbs
from fairway.testing import capture_channel, capture_group, use_channel_layer
from fairway.transactions import (
    agroup_send_on_commit,
    asend_on_commit,
    group_send_on_commit,
    send_on_commit,
)

pytestmark = pytest.mark.django_db(transaction=True)

MESSAGE = {"type": "order.placed", "id": 7}


class Undo(Exception):
    """Ends a transaction."""


@transaction.atomic
def undone() -> None:
    group_send_on_commit("orders", MESSAGE)
    raise Undo


def test_committed() -> None:
    """It is sent when the transaction commits, and not before."""
    with capture_group("orders") as sent:
        with transaction.atomic():
            group_send_on_commit("orders", MESSAGE)
            assert sent == []
        assert sent == [MESSAGE]


def test_rolled_back() -> None:
    """It is not sent if the transaction, or the part of it, is rolled back."""
    with capture_group("orders") as sent:
        with pytest.raises(Undo):
            undone()
        with transaction.atomic(), pytest.raises(Undo):
            undone()
        assert sent == []


def test_without_a_transaction() -> None:
    """It is sent at once where there is nothing to wait for."""
    with capture_group("orders") as sent:
        group_send_on_commit("orders", MESSAGE)
        assert sent == [MESSAGE]


def test_channel() -> None:
    """A job is one of those messages, also one for later."""
    with capture_channel("jobs") as sent, transaction.atomic():
        send_on_commit("jobs", MESSAGE)
        assert sent == []
    layer = InMemoryChannelLayer()
    with use_channel_layer("default", layer):
        send_on_commit("jobs", MESSAGE, delay=0.01)
        assert layer.sync.receive("jobs", timeout=60) == MESSAGE


def test_as_it_was() -> None:
    """What the sender does with the message afterwards is its own affair."""
    message = {"type": "order.placed", "lines": [1]}
    with capture_group("orders") as sent:
        with transaction.atomic():
            group_send_on_commit("orders", message)
            message["lines"] = []
        assert sent == [{"type": "order.placed", "lines": [1]}]


def test_mistakes_are_raised_where_they_are_made() -> None:
    """Nobody looks for them at the end of the transaction."""
    with transaction.atomic():
        with pytest.raises(MessageNotSerializable):
            group_send_on_commit("orders", {"type": "x", "what": object()})
        with pytest.raises(TypeError):
            group_send_on_commit("or ders", MESSAGE)
        with pytest.raises(TypeError):
            send_on_commit("jo bs", MESSAGE)
        with pytest.raises(ValueError, match="belongs to one process: nothing waits for it"):
            send_on_commit("specific.here!there", MESSAGE, delay=5)
        with pytest.raises(
            InvalidChannelLayerError, match="There is no 'nobody' in CHANNEL_LAYERS"
        ):
            group_send_on_commit("orders", MESSAGE, layer="nobody")


def test_layer_that_is_down(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The transaction is committed all the same; whoever wants to know of it is told."""

    def group_send(self: SyncVerbs, group: str, message: object) -> None:
        raise ChannelLayerUnavailable("Redis is not there.")

    monkeypatch.setattr(SyncVerbs, "group_send", group_send)
    with transaction.atomic():
        group_send_on_commit("orders", MESSAGE)
    assert [r.levelno for r in caplog.records] == [logging.ERROR]
    with pytest.raises(ChannelLayerUnavailable), transaction.atomic():
        group_send_on_commit("orders", MESSAGE, robust=False)


def test_foreign_layer() -> None:
    """A layer of somebody else's is asked as Channels' users ask it."""

    class Foreign(BaseChannelLayer):
        sent: list[object] = []

        async def group_send(self, group: str, message: object) -> None:
            self.sent.append((group, message))

    with use_channel_layer("default", Foreign()):
        with transaction.atomic():
            group_send_on_commit("orders", MESSAGE)
            assert Foreign.sent == []
        assert Foreign.sent == [("orders", MESSAGE)]


def test_async_code_within_a_transaction() -> None:
    """Async code that sync code waits for is in the transaction of that sync code."""

    async def place() -> None:
        await agroup_send_on_commit("orders", MESSAGE)
        await asend_on_commit("jobs", MESSAGE)

    with capture_group("orders") as sent, capture_channel("jobs") as jobs:
        with transaction.atomic():
            async_to_sync(place)()
            assert (sent, jobs) == ([], [])
        assert (sent, jobs) == ([MESSAGE], [MESSAGE])


async def test_async_code_by_itself() -> None:
    """Without a transaction, it is sent at once."""
    with capture_group("orders") as sent:
        await agroup_send_on_commit("orders", MESSAGE)
        assert sent == [MESSAGE]


async def test_sync_code_in_a_thread() -> None:
    """A transaction in a thread of its own ends like any other."""

    def place() -> None:
        with transaction.atomic():
            group_send_on_commit("orders", MESSAGE)

    with capture_group("orders") as sent:
        await sync_to_async(place)()
        assert sent == [MESSAGE]
