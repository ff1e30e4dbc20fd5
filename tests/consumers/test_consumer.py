"""AsyncConsumer and SyncConsumer: one loop over one mailbox."""

import asyncio
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async

from fairway import db
from fairway._types import Event, Receive, Scope, Send
from fairway.consumer import AsyncConsumer, SyncConsumer
from fairway.delivery.mailbox import TURN
from fairway.exceptions import StopConsumer
from fairway.generic.http import AsyncHttpConsumer
from fairway.generic.polling import AsyncLongPollConsumer
from fairway.generic.sse import AsyncEventStreamConsumer
from fairway.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from fairway.layers import BaseChannelLayer, InMemoryChannelLayer, channel_layers
from tests.consumers.connections import WEBSOCKET, Connect, connected

MALFORMED = "Malformed type in message (leading underscore)"


class Recorder(AsyncWebsocketConsumer):
    """Remembers what happens to it."""

    groups = ["room"]

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Any] = []

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.log.append(text_data)
        if text_data == "boom":
            raise RuntimeError("boom")
        if text_data == "stop":
            raise StopConsumer
        await self.send(text_data=f"echo {text_data}")

    async def chat_message(self, event: Event) -> None:
        self.log.append(event)
        if event.get("boom"):
            raise RuntimeError("boom in a group message")
        await self.send(text_data=event["text"])

    async def disconnect(self, code: int) -> None:
        self.log.append(("disconnect", code, sorted(self.channel_layer.groups)))


class RawEcho(AsyncConsumer):
    """Sends back what it gets, and has no handler for the end."""

    async def websocket_connect(self, event: Event) -> None:
        await self.send({"type": "websocket.accept"})

    async def websocket_receive(self, event: Event) -> None:
        await self.send({"type": "websocket.send", "text": event["text"]})


class RawSyncEcho(SyncConsumer):
    """The same, sync."""

    def websocket_connect(self, event: Event) -> None:
        self.send({"type": "websocket.accept"})

    def websocket_receive(self, event: Event) -> None:
        self.send({"type": "websocket.send", "text": event["text"]})


class TestEvents:
    async def test_one_at_a_time_in_order(
        self, connect: Connect, layer: InMemoryChannelLayer
    ) -> None:
        """Client events and group messages are handled one after the other."""
        running = 0
        most = 0

        class Slow(AsyncWebsocketConsumer):
            async def receive(self, *args: Any, **kwargs: Any) -> None:
                nonlocal running, most
                running += 1
                most = max(most, running)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                running -= 1
                await self.send(text_data=kwargs["text_data"])

        async with connect(Slow()) as client:
            for text in "abc":
                client.text(text)
            assert [(await client.sent())["text"] for _ in range(3)] == ["a", "b", "c"]
        assert most == 1

    async def test_scope_and_names(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """A consumer knows its scope, its layer and its channel."""
        consumer = Recorder()
        async with connect(consumer):
            assert consumer.scope["path"] == "/ws/"
            assert consumer.channel_layer is layer
            assert layer.channels[consumer.channel_name]
            assert set(layer.groups["room"]) == {consumer.channel_name}

    async def test_message_to_its_channel(
        self, connect: Connect, layer: InMemoryChannelLayer
    ) -> None:
        """layer.send reaches this one consumer."""
        one, two = Recorder(), Recorder()
        async with connect(one) as first, connect(two) as second:
            await layer.send(one.channel_name, {"type": "chat.message", "text": "for one"})
            assert await first.sent() == {"type": "websocket.send", "text": "for one"}
            await second.settle()
            assert second.quiet

    @pytest.mark.row("1.1 channel_layer_alias")
    async def test_without_a_layer(self, connect: Connect, settings: Any) -> None:
        """With no channel layer a consumer works, and has no channel."""
        settings.CHANNEL_LAYERS = {}
        consumer = Recorder()
        consumer.groups = []
        async with connect(consumer) as client:
            client.text("hi")
            assert await client.sent() == {"type": "websocket.send", "text": "echo hi"}
        assert consumer.channel_layer is None
        assert not hasattr(consumer, "channel_name")

    @pytest.mark.row("1.1 dispatch")
    async def test_unknown_event(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """A client's event that the class cannot handle is an error."""
        async with connect(Recorder()) as client:
            client.put({"type": "something.else"})
            with pytest.raises(ValueError, match=r"No handler for message type something\.else"):
                await client.task


@pytest.mark.parametrize("consumer_class", [RawEcho, RawSyncEcho])
async def test_nobody_has_to_hear_of_the_end(
    connect: Connect, layer: InMemoryChannelLayer, consumer_class: type[AsyncConsumer]
) -> None:
    """A consumer without a handler for the disconnect ends without an error."""
    async with connect(consumer_class()) as client:
        client.text("hi")
        assert await client.sent() == {"type": "websocket.send", "text": "hi"}
        client.disconnect()
        await client.task


async def test_nobody_has_to_hear_of_the_end_of_a_request(
    connect: Connect, layer: InMemoryChannelLayer
) -> None:
    """So does one that answers a request."""

    class Hello(AsyncConsumer):
        async def http_request(self, event: Event) -> None:
            await self.send({"type": "http.response.start", "status": 204})
            await self.send({"type": "http.response.body"})

    async with connect(Hello(), WEBSOCKET | {"type": "http"}, accepted=False) as client:
        client.put({"type": "http.request"})
        assert await client.sent() == {"type": "http.response.start", "status": 204}
        assert await client.sent() == {"type": "http.response.body"}
        client.put({"type": "http.disconnect"})
        await client.task


async def test_a_test_hears_of_the_end(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """Where no server called us but a test, it is an error, as in Channels; of one exception."""
    scope: Scope = {key: value for key, value in WEBSOCKET.items() if key != "asgi"}
    async with connect(RawEcho(), scope) as client:
        client.disconnect()
        with pytest.raises(ValueError, match=r"type websocket\.disconnect") as caught:
            await client.task
    assert caught.value.__context__ is None


async def test_traceback(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """What on_error() raises again has no frames of on_error()."""

    class Failing(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            raise LookupError(text_data)

    async with connect(Failing()) as client:
        client.text("hi")
        with pytest.raises(LookupError) as caught:
            await client.task
    names = [place.name for place in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "receive"
    assert "on_error" not in names
    assert "_fw_on_error" not in names


async def test_foreign_servers_may_cut(layer: InMemoryChannelLayer) -> None:
    """A server that just cuts the connection when we raise is told to close it before."""
    async with connected(Recorder(), ours=False) as client:
        client.put({"type": "something.else"})
        assert await client.sent() == {"type": "websocket.close", "code": 1011}
        with pytest.raises(ValueError, match="No handler"):
            await client.task


async def test_no_lifespan(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A consumer without a handler for it says at once that it knows no lifespan."""
    async with connect(Recorder(), {"type": "lifespan"}, accepted=False) as client:
        with pytest.raises(ValueError, match=r"No handler for message type lifespan\.startup"):
            await client.task


@pytest.mark.row("1.2 disconnect", "7 4")
@pytest.mark.pain(10)
class TestDisconnect:
    """disconnect() runs exactly once for every connection that reached connect()."""

    async def test_client_goes(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """The client's code arrives, the groups are left, and the application ends."""
        consumer = Recorder()
        async with connect(consumer) as client:
            client.disconnect(1001)
            await client.task
        assert consumer.log == [("disconnect", 1001, [])]
        assert (layer.groups, layer.channels) == ({}, {})

    async def test_handler_raises(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """An exception ends this connection with 1011, after its disconnect() has run."""
        consumer = Recorder()
        async with connect(consumer) as client:
            client.text("boom")
            with pytest.raises(RuntimeError, match="boom") as caught:
                await client.task
        assert consumer.log == ["boom", ("disconnect", 1011, [])]
        assert caught.value.__notes__ == [
            "In tests.consumers.test_consumer.Recorder, serving '/ws/'"
        ]
        assert layer.groups == {}

    async def test_connect_raises(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """It ran even if connect() itself failed."""

        class Failing(Recorder):
            async def connect(self) -> None:
                raise RuntimeError("no")

        consumer = Failing()
        async with connect(consumer, accepted=False) as client:
            client.put({"type": "websocket.connect"})
            with pytest.raises(RuntimeError, match="no"):
                await client.task
        assert consumer.log == [("disconnect", 1011, [])]

    async def test_cancelled(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """The server cancels a handler that hangs after its client has gone."""

        class Hanging(Recorder):
            async def receive(self, *args: Any, **kwargs: Any) -> None:
                await asyncio.Event().wait()

        consumer = Hanging()
        async with connect(consumer) as client:
            client.text("hang")
            await client.settle()
            client.disconnect(1006)
            await client.settle()
            client.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await client.task
        assert consumer.log == [("disconnect", 1006, [])]

    async def test_consumer_stops(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """A consumer that stops by itself has ended normally."""
        consumer = Recorder()
        async with connect(consumer) as client:
            client.text("stop")
            await client.task
        assert consumer.log == ["stop", ("disconnect", 1000, [])]

    async def test_disconnect_raises(
        self,
        connect: Connect,
        layer: InMemoryChannelLayer,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """An exception in a late disconnect() is logged and hides nothing."""

        class Failing(Recorder):
            async def disconnect(self, code: int) -> None:
                raise ValueError("bad goodbye")

        async with connect(Failing()) as client:
            client.text("boom")
            with pytest.raises(RuntimeError, match="boom"):
                await client.task
        assert "Failing raised in its disconnect" in caplog.text
        assert "bad goodbye" in caplog.text

    async def test_not_connected(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """Where nothing was connected, nothing is disconnected."""
        consumer = Recorder()
        async with connect(consumer, accepted=False) as client:
            client.put({"type": "nonsense"})
            with pytest.raises(ValueError, match="nonsense"):
                await client.task
        assert consumer.log == []

    async def test_renamed(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """Whatever a consumer calls its channel, the layer keeps nothing of it."""

        class Renaming(Recorder):
            async def connect(self) -> None:
                await self.accept()
                self.channel_name = "mine"

        async with connect(Renaming()) as client:
            client.disconnect()
            await client.task
        assert (layer.channels, layer.groups) == ({}, {})

    async def test_cancelled_while_leaving(
        self, connect: Connect, layer: InMemoryChannelLayer
    ) -> None:
        """disconnect() runs also if the server's patience ends while the groups are being left."""
        leaving = asyncio.Event()

        class Slow(InMemoryChannelLayer):
            async def unbind(self, channel: str) -> None:
                await super().unbind(channel)
                if not leaving.is_set():
                    leaving.set()
                    await asyncio.Event().wait()

        channel_layers.set("default", Slow())
        consumer = Recorder()
        async with connect(consumer) as client:
            client.disconnect(1001)
            await leaving.wait()
            client.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await client.task
        assert consumer.log == [("disconnect", 1001, [])]

    @pytest.mark.parametrize("late", [False, True])
    async def test_layer_fails_in_leaving(
        self,
        connect: Connect,
        layer: InMemoryChannelLayer,
        caplog: pytest.LogCaptureFixture,
        late: bool,
    ) -> None:
        """disconnect() runs also if the layer has lost its connection."""

        class Failing(InMemoryChannelLayer):
            async def unbind(self, channel: str) -> None:
                await super().unbind(channel)
                raise ConnectionError("no bus")

        channel_layers.set("default", Failing())
        consumer = Recorder()
        async with connect(consumer) as client:
            if late:
                client.text("stop")
            else:
                client.disconnect(1001)
            with pytest.raises(ConnectionError, match="no bus"):
                await client.task
        assert consumer.log[-1] == ("disconnect", 1000 if late else 1001, [])
        assert "could not leave its groups" in caplog.text


class TestErrors:
    @pytest.mark.row("7 3")
    @pytest.mark.pain(10)
    async def test_unknown_layer_message(
        self,
        connect: Connect,
        layer: InMemoryChannelLayer,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A mistyped group_send is logged and closes nobody (pain 10)."""
        async with connect(Recorder()) as client:
            await layer.group_send("room", {"type": "chat.mesage", "text": "typo"})
            await layer.group_send("room", {"text": "no type"})
            await layer.group_send("room", {"type": "_private"})
            await layer.group_send("room", {"type": "chat.message", "text": "right"})
            assert await client.sent() == {"type": "websocket.send", "text": "right"}
        name = "tests.consumers.test_consumer.Recorder"
        assert [record.getMessage() for record in caplog.records] == [
            (
                f"{name} ignores a channel layer message: No handler for message type chat.mesage "
                "(its handler would be chat_mesage())"
            ),
            (
                f"{name} ignores a channel layer message: Incoming message has no 'type' attribute "
                '("chat.message", say, as type calls chat_message(); it is None)'
            ),
            (
                f"{name} ignores a channel layer message: {MALFORMED} "
                "(\"chat.message\", say, as type calls chat_message(); it is '_private')"
            ),
        ]

    async def test_malformed_layer_message_in_a_test(
        self, connect: Connect, layer: InMemoryChannelLayer
    ) -> None:
        """Where no server called us but a test, a malformed message is raised, as Channels does."""
        scope: Scope = {key: value for key, value in WEBSOCKET.items() if key != "asgi"}
        async with connect(Recorder(), scope) as client:
            await layer.group_send("room", {"type": "_private"})
            with pytest.raises(ValueError, match="Malformed type in message"):
                await client.sent()

    async def test_protected_methods(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """No layer message calls what is for the consumer itself."""
        consumer = Recorder()
        async with connect(consumer) as client:
            for kind in ("disconnect", "websocket.disconnect", "accept", "close", "dispatch"):
                await layer.group_send("room", {"type": kind, "code": 1000})
            await layer.group_send("room", {"type": "chat.message", "text": "alive"})
            assert await client.sent() == {"type": "websocket.send", "text": "alive"}
            assert consumer.log == [{"type": "chat.message", "text": "alive"}]

    async def test_one_member_fails(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """A member whose handler raises takes no other member with it."""

        class Fragile(Recorder):
            async def chat_message(self, event: Event) -> None:
                raise RuntimeError("mine alone")

        async with connect(Fragile()) as fragile, connect(Recorder()) as sturdy:
            await layer.group_send("room", {"type": "chat.message", "text": "hi"})
            assert await sturdy.sent() == {"type": "websocket.send", "text": "hi"}
            with pytest.raises(RuntimeError, match="mine alone"):
                await fragile.task
            sturdy.text("still here")
            assert await sturdy.sent() == {"type": "websocket.send", "text": "echo still here"}

    async def test_on_error(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """on_error decides: here it replies and goes on."""

        class Polite(Recorder):
            async def on_error(self, exception: Exception, event: Event) -> None:
                await self.send(text_data=f"sorry: {exception} ({event['type']})")

        async with connect(Polite()) as client:
            client.text("boom")
            assert (await client.sent())["text"] == "sorry: boom (websocket.receive)"
            await layer.group_send("room", {"type": "chat.message", "boom": True})
            text = (await client.sent())["text"]
            assert text == "sorry: boom in a group message (chat.message)"
            client.text("go on")
            assert (await client.sent())["text"] == "echo go on"

    async def test_client_is_gone(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """What is sent to a client that has just gone is dropped, and the handler goes on."""

        class Sender(Recorder):
            async def receive(self, *args: Any, **kwargs: Any) -> None:
                self.base_send = self.broken
                await self.send(text_data="nobody reads this")
                self.log.append("went on")

            async def broken(self, event: Event) -> None:
                raise ConnectionResetError

        consumer = Sender()
        async with connect(consumer) as client:
            client.text("go")
            await client.settle()
            client.disconnect(1006)
            await client.task
        assert consumer.log == ["went on", ("disconnect", 1006, [])]


class TestWebsocketSend:
    """A group message of type websocket.send is what the clients receive."""

    EVENT = {"type": "websocket.send", "text": "to all"}

    async def test_reaches_the_client(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """No handler is needed, async or sync, and order is kept."""
        async with connect(Recorder()) as client:
            await layer.group_send("room", {"type": "chat.message", "text": "1"})
            await layer.group_send("room", {**self.EVENT, "text": "2"})
            await layer.group_send("room", {"type": "chat.message", "text": "3"})
            assert [(await client.sent())["text"] for _ in range(3)] == ["1", "2", "3"]
            await client.settle()
            await layer.group_send("room", self.EVENT)
            assert await client.sent() == self.EVENT

    async def test_overridden_send_sees_it(
        self, connect: Connect, layer: InMemoryChannelLayer
    ) -> None:
        """A class that overrides send, dispatch or websocket_send gets to see the message."""
        seen: list[Any] = []

        class Send(Recorder):
            async def send(self, *args: Any, **kwargs: Any) -> None:
                seen.append(kwargs)
                await super().send(*args, **kwargs)

        class Dispatch(Recorder):
            async def dispatch(self, message: Event) -> None:
                if message["type"] == "websocket.send":
                    seen.append(message)
                await super().dispatch(message)

        class Handler(Recorder):
            async def websocket_send(self, message: Event) -> None:
                seen.append(message["text"])
                await super().websocket_send(message)

        for cls in (Send, Dispatch, Handler):
            async with connect(cls()) as client:
                await client.settle()
                await layer.group_send("room", self.EVENT)
                assert await client.sent() == self.EVENT
        assert seen == [{"text_data": "to all", "bytes_data": None}, self.EVENT, "to all"]

    async def test_replaced_base_send_sees_it(
        self, connect: Connect, layer: InMemoryChannelLayer
    ) -> None:
        """So does whoever replaces base_send on the consumer."""
        seen: list[Event] = []
        consumer = Recorder()

        async def replacement(event: Event) -> None:
            seen.append(event)

        async with connect(consumer) as client:
            consumer.base_send = replacement
            await client.settle()
            await layer.group_send("room", self.EVENT)
            await client.settle()
        assert seen == [self.EVENT]

    async def test_close(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """websocket.close to a group closes every member with its code."""
        async with connect(Recorder()) as client:
            await layer.group_send(
                "room", {"type": "websocket.close", "code": 4001, "reason": "moved"}
            )
            assert await client.sent() == {
                "type": "websocket.close",
                "code": 4001,
                "reason": "moved",
            }


class TestOverflow:
    async def test_slow_reader_is_closed(
        self, connect: Connect, layer: InMemoryChannelLayer
    ) -> None:
        """A socket whose handler is too slow for its group is closed with 1013."""
        release = asyncio.Event()

        class Slow(Recorder):
            async def receive(self, *args: Any, **kwargs: Any) -> None:
                await release.wait()

        consumer = Slow()
        async with connect(consumer) as client:
            client.text("block")
            await client.settle()
            for _ in range(3):
                await layer.group_send("room", {"type": "chat.message", "text": "x" * 400_000})
            event = await client.sent()
            assert (event["type"], event["code"]) == ("websocket.close", 1013)
            words, _, retry = event["reason"].partition(" retry=")
            assert words == "Too many messages were waiting."
            assert 0 <= float(retry or 0) <= 5  # which our server adds itself
            release.set()
            client.disconnect(1013)
            await client.task
        assert consumer.log == [("disconnect", 1013, [])]

    async def test_sends_afterwards_are_dropped(
        self, connect: Connect, layer: InMemoryChannelLayer
    ) -> None:
        """What the slow handler still sends is no error of its own: it did not close anything."""
        release = asyncio.Event()

        class Slow(Recorder):
            async def receive(self, *args: Any, **kwargs: Any) -> None:
                await release.wait()
                await self.send(text_data="late")

        async with connect(Slow()) as client:
            client.text("block")
            await client.settle()
            for _ in range(3):
                await layer.group_send("room", {"type": "chat.message", "text": "x" * 400_000})
            assert (await client.sent())["code"] == 1013
            release.set()
            client.disconnect(1013)
            await client.task
            assert client.quiet


async def test_long_queues_give_way(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A consumer with much to handle lets others have their turn in between."""
    release = asyncio.Event()

    class Counting(Recorder):
        async def receive(self, *args: Any, **kwargs: Any) -> None:
            await release.wait()

        async def chat_message(self, event: Event) -> None:
            self.log.append(event)

    consumer = Counting()
    async with connect(consumer) as client:
        client.text("block")
        await client.settle()
        for _ in range(10 * TURN):
            await layer.group_send("room", {"type": "chat.message"})
        release.set()
        turns = 0
        while len(consumer.log) < 10 * TURN:
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 10


class ForeignLayer(BaseChannelLayer):
    """A layer as third parties write them."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: asyncio.Queue[Event] = asyncio.Queue()
        self.groups: dict[str, set[str]] = {}

    async def new_channel(self, prefix: str = "specific") -> str:
        return "specific.foreign!one"

    async def receive(self, channel: str) -> Event:
        assert channel == "specific.foreign!one"
        return await self.queue.get()

    async def group_add(self, group: str, channel: str) -> None:
        self.groups.setdefault(group, set()).add(channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self.groups[group].discard(channel)


async def test_foreign_layer(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """Our consumers accept any Channels layer; its messages have no more rights than others."""
    foreign = ForeignLayer()
    channel_layers.set("default", foreign)
    consumer = Recorder()
    async with connect(consumer) as client:
        assert foreign.groups == {"room": {"specific.foreign!one"}}
        foreign.queue.put_nowait({"type": "disconnect", "code": 1})
        foreign.queue.put_nowait({"type": "chat.message", "text": "hello"})
        assert await client.sent() == {"type": "websocket.send", "text": "hello"}
        client.disconnect(1000)
        await client.task
    assert foreign.groups == {"room": set()}
    assert consumer.log[-1][:2] == ("disconnect", 1000)


class CountingLayer(InMemoryChannelLayer):
    """One of ours with methods of a project's own."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def new_channel(self, prefix: str = "specific") -> str:
        self.asked.append("new_channel")
        return await super().new_channel("counted")

    async def receive(self, channel: str) -> Event:
        message = await super().receive(channel)
        self.asked.append(message["type"])
        return message


async def test_layer_with_methods_of_its_own(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """What a project overrides in a layer of ours sees each channel and each message."""
    counting = CountingLayer()
    channel_layers.set("default", counting)
    consumer = Recorder()
    async with connect(consumer) as client:
        assert consumer.channel_name.startswith("counted.")
        await counting.group_send("room", {"type": "chat.message", "text": "hello"})
        assert await client.sent() == {"type": "websocket.send", "text": "hello"}
        client.disconnect(1000)
        await client.task
    assert counting.asked == ["new_channel", "chat.message"]
    assert counting.groups == {}


async def test_foreign_layer_keeps_what_is_not_handled(
    connect: Connect, layer: InMemoryChannelLayer
) -> None:
    """A slow handler leaves messages where they are, and the client's input is not held up."""
    foreign = ForeignLayer()
    channel_layers.set("default", foreign)
    release = asyncio.Event()

    class Slow(Recorder):
        async def chat_message(self, event: Event) -> None:
            await release.wait()
            self.log.append(event)

    consumer = Slow()
    async with connect(consumer) as client:
        for number in range(5):
            foreign.queue.put_nowait({"type": "chat.message", "number": number})
        await client.settle()
        assert foreign.queue.qsize() == 3
        release.set()
        await client.settle()
        assert [event["number"] for event in consumer.log] == [0, 1, 2, 3, 4]
        assert {type(event) for event in consumer.log} == {dict}


async def test_foreign_layer_fails(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A layer that fails leaves no task behind, and disconnect() is called where it began."""

    class Failing(ForeignLayer):
        async def group_discard(self, group: str, channel: str) -> None:
            raise ConnectionError("no layer")

    channel_layers.set("default", Failing())
    consumer = Recorder()
    async with connect(consumer) as client:
        client.disconnect(1001)
        with pytest.raises(ConnectionError, match="no layer"):
            await client.task
    assert consumer.log[-1][:2] == ("disconnect", 1001)


async def test_foreign_layer_without_a_channel(
    connect: Connect, layer: InMemoryChannelLayer
) -> None:
    """A connection that cannot have a channel ends, and no task stays behind."""

    class Failing(ForeignLayer):
        async def new_channel(self, prefix: str = "specific") -> str:
            raise ConnectionError("no layer")

    channel_layers.set("default", Failing())
    before = asyncio.all_tasks()
    async with connect(Recorder(), accepted=False) as client:
        with pytest.raises(ConnectionError, match="no layer"):
            await client.task
    assert asyncio.all_tasks() == before


async def test_old_connections(
    connect: Connect, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first call that a handler sends to a thread, old connections are closed there."""
    log: list[str] = []
    monkeypatch.setattr(db, "close_old_connections", lambda: log.append("close"))

    class Using(Recorder):
        async def receive(self, *args: Any, **kwargs: Any) -> None:
            for _ in range(2):
                await sync_to_async(log.append)("query")
            await self.send(text_data="done")

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        async with ThreadSensitiveContext(executor=executor):
            await Using()(scope, receive, send)

    with ThreadPoolExecutor(1) as executor:
        async with connect(served) as client:
            for _ in range(2):
                client.text("use")
                assert (await client.sent())["text"] == "done"
    assert log == ["close", "query", "query"] * 2


@pytest.mark.row("1.1 as_asgi")
class TestAsAsgi:
    def test_attributes(self) -> None:
        """The application tells which class it makes, and with what."""
        app: Any = Recorder.as_asgi()
        assert (app.consumer_class, app.consumer_initkwargs) == (Recorder, {})
        assert app.__name__ == "Recorder"
        assert app.__doc__ == Recorder.__doc__

    async def test_an_instance_for_each_connection(
        self, connect: Connect, layer: InMemoryChannelLayer
    ) -> None:
        """Connections share no state, and the constructor gets what as_asgi was given."""
        made: list[AsyncConsumer] = []

        class Counting(AsyncWebsocketConsumer):
            def __init__(self, name: str) -> None:
                super().__init__()
                made.append(self)
                self.name = name

        app = Counting.as_asgi(name="x")
        async with connect(app), connect(app):
            pass
        assert [consumer.name for consumer in made] == ["x", "x"]  # type: ignore[attr-defined]  # Counting
        assert made[0] is not made[1]


class SyncRecorder(WebsocketConsumer):
    """Remembers what happens to it, and in which thread."""

    groups = ["room"]

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Any] = []

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.log.append(threading.get_ident())
        if text_data == "boom":
            raise RuntimeError("boom")
        self.send(text_data=f"echo {text_data}")

    def chat_message(self, event: Event) -> None:
        self.send(text_data=event["text"])

    def disconnect(self, code: int) -> None:
        self.log.append(("disconnect", code, sorted(self.channel_layer.groups)))


@pytest.mark.django_db(transaction=True)
class TestSync:
    async def test_in_a_thread(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """Handlers are ordinary functions and do not run on the event loop's thread."""
        consumer = SyncRecorder()
        async with connect(consumer) as client:
            client.text("hi")
            assert await client.sent() == {"type": "websocket.send", "text": "echo hi"}
            await layer.group_send("room", {"type": "chat.message", "text": "group"})
            assert await client.sent() == {"type": "websocket.send", "text": "group"}
            await layer.group_send("room", {"type": "websocket.send", "text": "direct"})
            assert await client.sent() == {"type": "websocket.send", "text": "direct"}
            client.disconnect(1001)
            await client.task
        assert consumer.log[0] != threading.get_ident()
        assert consumer.log[1:] == [("disconnect", 1001, [])]

    async def test_exception(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """An exception ends the connection after its disconnect() has run."""
        consumer = SyncRecorder()
        async with connect(consumer) as client:
            client.text("boom")
            with pytest.raises(RuntimeError, match="boom"):
                await client.task
        assert consumer.log[1:] == [("disconnect", 1011, [])]

    async def test_on_error(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """on_error is an ordinary function too."""

        class Polite(SyncRecorder):
            def on_error(self, exception: Exception, event: Event) -> Any:
                self.send(text_data=f"sorry: {exception}")

        async with connect(Polite()) as client:
            client.text("boom")
            assert (await client.sent())["text"] == "sorry: boom"

    async def test_bare_sync_consumer(self, connect: Connect, layer: InMemoryChannelLayer) -> None:
        """A SyncConsumer handles any protocol's events."""

        class Bare(SyncConsumer):
            def test_ping(self, event: Event) -> None:
                self.send({"type": "test.pong", "value": event["value"]})

        async with connect(Bare(), {"type": "test"}, accepted=False) as client:
            client.put({"type": "test.ping", "value": 7})
            assert await client.sent() == {"type": "test.pong", "value": 7}


@pytest.mark.parametrize(
    "cls",
    [
        AsyncConsumer,
        SyncConsumer,
        WebsocketConsumer,
        AsyncWebsocketConsumer,
        AsyncHttpConsumer,
        AsyncEventStreamConsumer,
        AsyncLongPollConsumer,
    ],
)
def test_private_names_of_projects(cls: type) -> None:
    """No private name of ours is one that a project would think of."""
    ours = {name for base in cls.__mro__[:-1] for name in vars(base)} | set(vars(cls()))
    private = {name for name in ours if name.startswith("_") and not name.endswith("__")}
    assert {name for name in private if not name.startswith("_fw_")} <= {"_sync"}


@pytest.mark.parametrize("where", ["fairway.consumer", "fairway.layers"])
async def test_layers_that_tests_put_in(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may patch get_channel_layer where Channels has it, in either place."""
    layer = InMemoryChannelLayer()
    monkeypatch.setattr(f"{where}.get_channel_layer", lambda alias: layer)
    seen: list[object] = []

    class Consumer(AsyncConsumer):
        async def websocket_connect(self, event: Event) -> None:
            seen.append(self.channel_layer)

    async with connected(Consumer.as_asgi(), ours=True, accepted=False) as connection:
        connection.put({"type": "websocket.connect"})
        await connection.settle()
    assert seen == [layer]
