"""Captures of what was sent, and layers that hold nothing of another test."""

import asyncio
import threading
import unittest
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.signals import post_save
from django.test import TestCase, override_settings

from fairway._types import Event
from fairway.exceptions import MessageNotSerializable
from fairway.generic.websocket import AsyncWebsocketConsumer
from fairway.layers import (
    BaseChannelLayer,
    ChannelLayer,
    InMemoryChannelLayer,
    channel_layers,
    get_channel_layer,
)
from fairway.testing import (
    ChannelLayerTestMixin,
    WebsocketCommunicator,
    capture_channel,
    capture_group,
    isolated_channel_layers,
    use_channel_layer,
)

NEWS = {"type": "news.item", "title": "Ahoy"}


def default_layer() -> ChannelLayer:
    layer = get_channel_layer()
    assert isinstance(layer, ChannelLayer)
    return layer


def announce(title: str) -> None:
    """Send to a group, as sync code does."""
    async_to_sync(default_layer().group_send)("news", {"type": "news.item", "title": title})


class Reader(AsyncWebsocketConsumer):
    """A member of the group."""

    groups = ["news"]

    async def news_item(self, message: Event) -> None:
        """Pass the news on."""
        await self.send(message["title"])


class ForeignLayer(BaseChannelLayer):
    """A layer of somebody else's make, which no capture can be a member of."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str]] = []

    async def send(self, channel: str, message: Event) -> None:
        self.sent.append(("send", channel))

    async def group_send(self, group: str, message: Event) -> None:
        self.sent.append(("group_send", group))


class TestCaptureGroup:
    async def test_from_async_code(self) -> None:
        """What is sent to the group is there when the send returns; other groups' is not."""
        with capture_group("news") as sent:
            await default_layer().group_send("news", NEWS)
            assert sent == [NEWS]
            await default_layer().group_send("other", NEWS)
        await default_layer().group_send("news", NEWS)
        assert sent == [NEWS]

    async def test_as_an_asynchronous_block(self) -> None:
        """``async with`` does the same, on layers that have to wait as well."""
        async with capture_group("news") as sent:
            await default_layer().group_send("news", NEWS)
        assert sent == [NEWS]

    def test_from_sync_code(self) -> None:
        """So does sync code, through asgiref and through the layer's own sync verbs."""
        with capture_group("news") as sent:
            announce("one")
            default_layer().sync.group_send("news", {"type": "news.item", "title": "two"})
        assert [message["title"] for message in sent] == ["one", "two"]

    def test_from_another_thread(self) -> None:
        """Any thread may send."""
        with capture_group("news") as sent:
            thread = threading.Thread(target=announce, args=["from a thread"])
            thread.start()
            thread.join()
        assert [message["title"] for message in sent] == ["from a thread"]

    async def test_other_members_get_it_too(self) -> None:
        """A capture is one more member, and what it gets is a copy."""
        async with WebsocketCommunicator(Reader.as_asgi(), "/") as socket:
            with capture_group("news") as sent:
                await default_layer().group_send("news", NEWS)
                sent[0]["title"] = "changed by the test"
            assert await socket.receive_from(timeout=10) == "Ahoy"

    async def test_messages_that_need_no_handler(self) -> None:
        """``websocket.send``, which the layer writes past the consumers, is captured as well."""
        with capture_group("news") as sent:
            await default_layer().group_send("news", {"type": "websocket.send", "text": "hello"})
        assert sent == [{"type": "websocket.send", "text": "hello"}]

    async def test_any_number_of_messages(self) -> None:
        """No capacity applies to a capture."""
        with capture_group("news") as sent:
            for number in range(300):
                await default_layer().group_send("news", {"type": "n", "number": number})
        assert [message["number"] for message in sent] == list(range(300))

    async def test_what_cannot_be_sent_fails_as_ever(self) -> None:
        """The message goes the whole way, so a value that no layer carries is refused."""
        with capture_group("news") as sent, pytest.raises(MessageNotSerializable):
            await default_layer().group_send("news", {"type": "n", "value": object()})
        assert sent == []

    async def test_nothing_is_left(self) -> None:
        """After the block the layer is as it was."""
        layer = default_layer()
        assert isinstance(layer, InMemoryChannelLayer)
        with capture_group("news"):
            assert list(layer.groups) == ["news"]
        assert (layer.groups, layer.channels) == ({}, {})

    async def test_a_layer_of_another_make(self) -> None:
        """Where a capture cannot be a member, it stands before ``group_send``."""
        foreign = ForeignLayer()
        with use_channel_layer("other", foreign), capture_group("news", "other") as sent:
            await foreign.group_send("news", NEWS)
            await foreign.group_send("elsewhere", NEWS)
        assert sent == [NEWS]
        assert foreign.sent == [("group_send", "news"), ("group_send", "elsewhere")]
        await foreign.group_send("news", NEWS)
        assert sent == [NEWS]

    def test_without_a_layer(self) -> None:
        """An alias that is not there is named."""
        with (
            pytest.raises(
                LookupError, match=r"^CHANNEL_LAYERS has no 'missing', so nothing can be sent to it"
            ),
            capture_group("news", "missing"),
        ):
            pass

    def test_an_invalid_name(self) -> None:
        """A name that no message can be sent to is refused."""
        with pytest.raises(TypeError, match=r"^Group name must be"), capture_group("no spaces"):
            pass


class TestAssertSent:
    async def test_the_message_is_returned(self) -> None:
        """The first one with all the fields, whatever else it has."""
        with capture_group("news") as sent:
            await default_layer().group_send("news", {"type": "news.item", "title": "1", "id": 1})
            await default_layer().group_send("news", {"type": "news.item", "title": "2", "id": 2})
        assert sent.assert_sent(type="news.item", title="2")["id"] == 2

    async def test_what_was_sent_instead_is_shown(self) -> None:
        """A failure lists all that was sent."""
        with capture_group("news") as sent:
            await default_layer().group_send("news", NEWS)
        with pytest.raises(AssertionError) as caught:
            sent.assert_sent(title="Hello")
        assert str(caught.value) == (
            "Nothing with {'title': 'Hello'} was sent to group 'news'. What was sent:\n"
            "  {'type': 'news.item', 'title': 'Ahoy'}"
        )

    def test_nothing_was_sent(self) -> None:
        """Also if that is nothing."""
        with capture_channel("jobs") as sent:
            pass
        with pytest.raises(AssertionError) as caught:
            sent.assert_sent(type="job")
        assert str(caught.value) == (
            "Nothing with {'type': 'job'} was sent to channel 'jobs'. What was sent: nothing."
        )


class TestCaptureChannel:
    async def test_from_async_code(self) -> None:
        """What is sent to the channel is captured and goes nowhere else."""
        layer = default_layer()
        with capture_channel("jobs") as sent:
            for number in range(300):  # more than a channel holds
                await layer.send("jobs", {"type": "job", "number": number})
        assert [message["number"] for message in sent] == list(range(300))
        assert isinstance(layer, InMemoryChannelLayer)
        assert layer.channels == {}

    def test_from_sync_code(self) -> None:
        """Sync code's messages are there as well."""
        with capture_channel("jobs") as sent:
            async_to_sync(default_layer().send)("jobs", {"type": "job"})
            default_layer().sync.send("jobs", {"type": "job"})
        assert sent == [{"type": "job"}, {"type": "job"}]

    async def test_what_waited_before_waits_again(self) -> None:
        """Messages of before the block are still there after it."""
        layer = default_layer()
        await layer.send("jobs", {"type": "before"})
        with capture_channel("jobs") as sent:
            await layer.send("jobs", {"type": "inside"})
        await layer.send("jobs", {"type": "after"})
        assert sent == [{"type": "inside"}]
        assert [(await layer.receive("jobs"))["type"] for _ in range(2)] == ["before", "after"]

    async def test_messages_of_its_groups(self) -> None:
        """A named channel in a group gets the group's messages, before, in and after the block."""
        layer = default_layer()
        await layer.group_add("all", "jobs")
        with capture_channel("jobs") as sent:
            await layer.group_send("all", {"type": "inside"})
        await layer.group_send("all", {"type": "after"})
        assert sent == [{"type": "inside"}]
        assert await layer.receive("jobs") == {"type": "after"}

    async def test_a_group_joined_inside(self) -> None:
        """A membership that begins in the block is not lost with it."""
        layer = default_layer()
        with capture_channel("jobs"):
            await layer.group_add("all", "jobs")
        await layer.group_send("all", {"type": "after"})
        assert await layer.receive("jobs") == {"type": "after"}

    async def test_a_layer_of_another_make(self) -> None:
        """Elsewhere it stands before ``send``, and lets nothing through."""
        foreign = ForeignLayer()
        with use_channel_layer("other", foreign), capture_channel("jobs", "other") as sent:
            await foreign.send("jobs", {"type": "job"})
            await foreign.send("elsewhere", {"type": "job"})
        assert sent == [{"type": "job"}]
        assert foreign.sent == [("send", "elsewhere")]

    async def test_a_consumers_channel_is_its_own(self) -> None:
        """The channel of a consumer cannot be captured; its messages are in its handlers."""
        layer = default_layer()
        assert isinstance(layer, InMemoryChannelLayer)
        async with WebsocketCommunicator(Reader.as_asgi(), "/"):
            (channel,) = layer.channels
            with (
                pytest.raises(ValueError, match=r"belongs to a consumer, which receives what is"),
                capture_channel(channel),
            ):
                pass


class TestUseChannelLayer:
    def test_a_new_one(self) -> None:
        """A fresh in-memory layer is in the alias's place, and then the old one again."""
        before = get_channel_layer()
        with use_channel_layer() as layer:
            assert isinstance(layer, InMemoryChannelLayer)
            assert get_channel_layer() is layer is not before
        assert get_channel_layer() is before

    def test_one_of_the_tests_own(self) -> None:
        """An alias that is not in the settings may be given a layer, and is gone afterwards."""
        mine = InMemoryChannelLayer(capacity=1)
        with use_channel_layer("other", mine):
            assert get_channel_layer("other") is mine
        assert get_channel_layer("other") is None

    @use_channel_layer()
    def test_as_a_decorator(self) -> None:
        """A function may be run with one."""
        assert "default" in channel_layers.backends


class TestIsolation:
    async def test_what_nobody_took_is_forgotten(self) -> None:
        """Messages and memberships do not outlive the block; the layer does."""
        with use_channel_layer() as layer:
            assert isinstance(layer, InMemoryChannelLayer)
            with isolated_channel_layers():
                await layer.send("jobs", {"type": "job"})
                await layer.group_add("all", "jobs")
            assert (layer.channels, layer.groups) == ({}, {})
            assert get_channel_layer() is layer

    def test_consumers_that_were_not_disconnected(self) -> None:
        """A consumer whose event loop is closed is in no group any more."""

        async def forget(communicators: list[WebsocketCommunicator]) -> None:
            communicators.append(WebsocketCommunicator(Reader.as_asgi(), "/"))
            await communicators[0].connect()

        with use_channel_layer() as layer:
            assert isinstance(layer, InMemoryChannelLayer)
            loop = asyncio.new_event_loop()
            communicators: list[WebsocketCommunicator] = []
            loop.run_until_complete(forget(communicators))
            with isolated_channel_layers():
                assert list(layer.groups) == ["news"]  # its loop may yet run
            task = communicators[0].future
            task.cancel()
            loop.run_until_complete(asyncio.wait({task}))
            loop.close()

    async def test_sockets_on_an_open_loop_stay(self) -> None:
        """A live server's sockets are in their groups in every test that they live in."""
        async with WebsocketCommunicator(Reader.as_asgi(), "/") as socket:
            with isolated_channel_layers():
                await default_layer().group_send("news", NEWS)
                assert await socket.receive_from(timeout=10) == "Ahoy"

    async def test_a_broker_is_left_alone(self) -> None:
        """Nothing is flushed that may not be the test's."""
        with use_channel_layer("other", ForeignLayer()), isolated_channel_layers():
            pass

    @pytest.mark.parametrize("turn", [1, 2])
    async def test_the_plugin_isolates_every_test(self, turn: int) -> None:
        """What one test leaves, the next does not find."""
        layer = default_layer()
        assert isinstance(layer, InMemoryChannelLayer)
        assert layer.channels == {}
        await layer.send("jobs", {"type": "job", "turn": turn})
        await layer.group_add("all", "jobs")


class TestMixin(ChannelLayerTestMixin, TestCase):
    """The same for unittest, with the database."""

    def setUp(self) -> None:
        super().setUp()
        post_save.connect(self.on_save, sender=User)
        self.addCleanup(post_save.disconnect, self.on_save, sender=User)

    def on_save(self, instance: User, **kwargs: Any) -> None:
        transaction.on_commit(lambda: announce(instance.username))

    def test_on_commit(self) -> None:
        """What is sent when the transaction commits is captured where that is executed."""
        with self.capture_group("news") as sent:
            with self.captureOnCommitCallbacks(execute=True):
                User.objects.create(username="ada")
                assert sent == []
            sent.assert_sent(title="ada")

    async def test_on_commit_in_an_asynchronous_test(self) -> None:
        """In an asynchronous test that is a matter of the thread of the database."""

        @sync_to_async
        def post() -> None:
            with self.captureOnCommitCallbacks(execute=True):
                User.objects.create(username="ada")

        with self.capture_group("news") as sent:
            await post()
        sent.assert_sent(title="ada")

    def test_channels(self) -> None:
        """Named channels can be captured by the method, too."""
        with self.capture_channel("jobs") as sent:
            default_layer().sync.send("jobs", {"type": "job"})
        assert sent == [{"type": "job"}]


@override_settings(CHANNEL_LAYERS={"default": {"BACKEND": "fairway.layers.InMemoryChannelLayer"}})
class TestMixinIsolates(ChannelLayerTestMixin, TestCase):
    """Each test of the case finds the layer empty, whoever runs it."""

    def both(self) -> None:
        layer = get_channel_layer()
        assert isinstance(layer, InMemoryChannelLayer)
        assert layer.channels == {}
        layer.sync.send("jobs", {"type": "job"})

    def test_one(self) -> None:
        """The first."""
        self.both()

    def test_two(self) -> None:
        """The second."""
        self.both()


def test_the_mixin_works_with_any_test_case() -> None:
    """Django's classes are not needed."""

    class Plain(ChannelLayerTestMixin, unittest.TestCase):
        def test(self) -> None:
            with self.capture_group("news") as sent:
                announce("plain")
            assert [message["title"] for message in sent] == ["plain"]

    result = unittest.TestResult()
    unittest.TestSuite([Plain("test")]).run(result)
    assert result.wasSuccessful(), result.failures + result.errors
