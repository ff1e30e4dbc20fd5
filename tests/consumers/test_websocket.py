"""The generic WebSocket consumers, sync and async alike."""

import asyncio
import datetime
import decimal
import inspect
import json
import uuid
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.utils.translation import gettext_lazy

from fairway._types import Event
from fairway.exceptions import AcceptConnection, DenyConnection, InvalidChannelLayerError
from fairway.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from fairway.layers import InMemoryChannelLayer
from fairway.utils import name_that_thing
from tests.consumers.connections import WEBSOCKET, Connect

pytestmark = pytest.mark.django_db(transaction=True)


class AsyncScript(AsyncWebsocketConsumer):
    """Does what the client's text says, in Python."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if bytes_data is not None:
            await self.send(bytes_data=bytes_data[::-1])
            return
        name, arguments = json.loads(text_data or "")
        await getattr(self, name)(**arguments)


class SyncScript(WebsocketConsumer):
    """Does what the client's text says, in Python."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if bytes_data is not None:
            self.send(bytes_data=bytes_data[::-1])
            return
        name, arguments = json.loads(text_data or "")
        getattr(self, name)(**arguments)


SCRIPTS = pytest.mark.parametrize("script", [AsyncScript, SyncScript])


@SCRIPTS
@pytest.mark.parametrize(
    ("call", "sent"),
    [
        (("send", {"text_data": "hi"}), [{"type": "websocket.send", "text": "hi"}]),
        (("send", {"text_data": ""}), [{"type": "websocket.send", "text": ""}]),
        (
            ("send", {"text_data": "bye", "close": True}),
            [{"type": "websocket.send", "text": "bye"}, {"type": "websocket.close"}],
        ),
        (
            ("send", {"text_data": "bye", "close": 4000}),
            [{"type": "websocket.send", "text": "bye"}, {"type": "websocket.close", "code": 4000}],
        ),
        (("close", {}), [{"type": "websocket.close"}]),
        (("close", {"code": True}), [{"type": "websocket.close"}]),
        (
            ("close", {"code": 4001, "reason": "enough"}),
            [{"type": "websocket.close", "code": 4001, "reason": "enough"}],
        ),
    ],
)
@pytest.mark.row("1.2 send", "1.2 close")
async def test_what_is_sent(
    connect: Connect,
    layer: InMemoryChannelLayer,
    script: Any,
    call: tuple[str, dict[str, Any]],
    sent: list[Event],
) -> None:
    """send() and close() send what ASGI asks for, and only the keys that were given."""
    async with connect(script()) as client:
        client.text(json.dumps(call))
        assert [await client.sent() for _ in sent] == sent


@pytest.mark.parametrize("base", [WebsocketConsumer, AsyncWebsocketConsumer])
@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ({}, "type: str"),
        ({"text": {"a": 1}}, "type: str, text: dict"),
        ({"bytes": "b"}, "type: str, bytes: str"),
    ],
)
async def test_group_message_with_nothing_to_send(
    base: Any,
    wrong: dict[str, Any],
    found: str,
    connect: Connect,
    layer: InMemoryChannelLayer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What one sender has forgotten closes no member: it is logged."""

    class Member(base):  # type: ignore[misc]  # either of two
        groups = ("room",)

    async with connect(Member()) as client:
        await client.settle()
        await layer.group_send("room", {"type": "websocket.send", **wrong})
        await layer.group_send("room", {"type": "websocket.send", "text": "right"})
        assert await client.sent() == {"type": "websocket.send", "text": "right"}
    (line,) = caplog.messages
    name = f"{Member.__module__}.{Member.__qualname__}"
    assert line == (
        f"{name} ignores a channel layer message: websocket.send needs a str as its text, or bytes "
        f"as its bytes (it has {found}; whoever calls group_send() with it has forgotten one, or "
        "json.dumps())"
    )


async def test_send_of_its_own(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A consumer that overrides send() gets whatever a group message has as its text."""

    class Member(AsyncWebsocketConsumer):
        groups = ("room",)

        async def send(self, text_data: Any = None, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]  # as AsyncWebsocketConsumer's
            await super().send(json.dumps(text_data), *args, **kwargs)

    async with connect(Member()) as client:
        await client.settle()
        await layer.group_send("room", {"type": "websocket.send", "text": {"a": 1}})
        assert await client.sent() == {"type": "websocket.send", "text": '{"a": 1}'}


@SCRIPTS
async def test_nothing_to_send(connect: Connect, layer: InMemoryChannelLayer, script: Any) -> None:
    """Neither text nor bytes is a mistake."""
    async with connect(script()) as client:
        client.text(json.dumps(("send", {})))
        with pytest.raises(ValueError, match="You must pass one of bytes_data or text_data"):
            await client.task


@SCRIPTS
@pytest.mark.row("1.2 websocket_receive", "1.2 receive")
async def test_bytes(connect: Connect, layer: InMemoryChannelLayer, script: Any) -> None:
    """A binary message comes as bytes_data, also under servers that send both keys."""
    async with connect(script()) as client:
        client.put({"type": "websocket.receive", "bytes": b"ab", "text": None})
        assert await client.sent() == {"type": "websocket.send", "bytes": b"ba"}


@SCRIPTS
async def test_after_closing(connect: Connect, layer: InMemoryChannelLayer, script: Any) -> None:
    """After close() nothing more is sent, and it is no error to try."""
    async with connect(script()) as client:
        for call in (("close", {}), ("close", {}), ("send", {"text_data": "late"})):
            client.text(json.dumps(call))
        assert await client.sent() == {"type": "websocket.close"}
        client.disconnect(1000)
        await client.task
        assert client.quiet


async def test_talks_on_after_closing(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """Who goes on all the same lets others have their turns."""
    turns: list[bool] = []

    class Talker(AsyncWebsocketConsumer):
        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            await self.close()
            asyncio.get_running_loop().call_soon(turns.append, True)
            for _ in range(1000):
                await self.send("late")
            turns.append(False)

    async with connect(Talker()) as client:
        client.text("go")
        assert await client.sent() == {"type": "websocket.close"}
        client.disconnect(1000)
        await client.task
    assert turns == [True, False]


@pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (AcceptConnection, {"type": "websocket.accept", "subprotocol": None}),
        (DenyConnection, {"type": "websocket.close"}),
    ],
)
@pytest.mark.row("1.2 websocket_connect", "1.2 connect")
async def test_connect_raises(
    connect: Connect, layer: InMemoryChannelLayer, base: Any, error: type, sent: Event
) -> None:
    """connect() may decide by exception."""

    class Deciding(base):  # type: ignore[misc]  # one of two bases
        def connect(self) -> Any:
            raise error

    async with connect(Deciding(), accepted=False) as client:
        client.put({"type": "websocket.connect"})
        assert await client.sent() == sent


@pytest.mark.row("1.2 accept")
async def test_accept(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """accept() takes a subprotocol and headers, and runs the hooks that middleware left."""

    class Accepting(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.accept("chat.v2", headers=[(b"x-a", b"1")])

    async def hook(event: Event) -> None:
        event["headers"].append((b"set-cookie", b"a=b"))

    scope = {**WEBSOCKET, "fairway.on_accept": [hook]}
    async with connect(Accepting(), scope, accepted=False) as client:
        client.put({"type": "websocket.connect"})
        assert await client.sent() == {
            "type": "websocket.accept",
            "subprotocol": "chat.v2",
            "headers": [(b"x-a", b"1"), (b"set-cookie", b"a=b")],
        }


@pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
@pytest.mark.row("1.2 WebsocketConsumer", "1.2 AsyncWebsocketConsumer")
async def test_groups_need_a_layer(connect: Connect, settings: Any, base: Any) -> None:
    """Groups without a layer that has groups are a clear error."""
    settings.CHANNEL_LAYERS = {}
    consumer = type("Grouped", (base,), {"groups": ["room"]})()
    async with connect(consumer, accepted=False) as client:
        client.put({"type": "websocket.connect"})
        with pytest.raises(InvalidChannelLayerError) as caught:
            await client.sent()
    assert str(caught.value) == "BACKEND is unconfigured or doesn't support groups"


async def test_own_attribute_error(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A mistake in the user's own code is not taken for a missing layer."""

    class Mistaken(AsyncWebsocketConsumer):
        groups = ["room"]

        async def connect(self) -> None:
            self.nothing.here()  # type: ignore[attr-defined]  # the mistake in question

    async with connect(Mistaken(), accepted=False) as client:
        client.put({"type": "websocket.connect"})
        with pytest.raises(AttributeError, match="nothing"):
            await client.sent()


async def test_constructor_without_super(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A subclass that forgets super().__init__() works."""

    class Forgetful(AsyncScript):
        def __init__(self) -> None:
            self.mine = True

    async with connect(Forgetful()) as client:
        client.text(json.dumps(("close", {})))
        assert await client.sent() == {"type": "websocket.close"}
        client.disconnect(1000)
        await client.task


class AsyncJson(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json({"got": content}, close=content == "bye")


class SyncJson(JsonWebsocketConsumer):
    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.send_json({"got": content}, close=content == "bye")


JSONS = pytest.mark.parametrize("cls", [AsyncJson, SyncJson])


@JSONS
async def test_json(connect: Connect, layer: InMemoryChannelLayer, cls: Any) -> None:
    """JSON in, JSON out, as Python's json writes it."""
    async with connect(cls()) as client:
        client.text('{"a": [1, null]}')
        assert await client.sent() == {
            "type": "websocket.send",
            "text": '{"got": {"a": [1, null]}}',
        }
        client.text('"bye"')
        assert await client.sent() == {"type": "websocket.send", "text": '{"got": "bye"}'}
        assert await client.sent() == {"type": "websocket.close"}


NO_TEXT = "No text section for incoming WebSocket frame!"


@pytest.mark.row("1.2 JsonWebsocketConsumer", "1.2 AsyncJsonWebsocketConsumer")
@pytest.mark.pain(10)
@JSONS
@pytest.mark.parametrize(
    "event",
    [
        {"text": ""},
        {"bytes": b"{}"},
        {"text": "{nonsense"},
        {"text": "[" * 100_000},
        {"text": "1" * 5000},
    ],
    ids=["empty", "binary", "nonsense", "nested", "digits"],
)
async def test_not_json(
    connect: Connect, layer: InMemoryChannelLayer, cls: Any, event: Event
) -> None:
    """What is no JSON text is ignored, and the connection goes on."""
    async with connect(cls()) as client:
        client.put({"type": "websocket.receive", **event})
        client.text("1")
        assert await client.sent() == {"type": "websocket.send", "text": '{"got": 1}'}


@JSONS
async def test_not_json_is_told_of_once(
    connect: Connect,
    layer: InMemoryChannelLayer,
    cls: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first such message of a class is a warning, and no flood of them fills the log."""

    class Told(cls):  # type: ignore[misc]  # one of two bases
        """Nobody else has sent it anything."""

    async with connect(Told()) as client:
        client.text("hello")
        client.text("hello again")
        client.text("1")
        assert await client.sent() == {"type": "websocket.send", "text": '{"got": 1}'}
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.getMessage() for record in warnings] == [
        (
            f"{name_that_thing(Told)} ignores a message that is no JSON: Expecting value: line 1 "
            "column 1 (char 0) (invalid_json() may do something else with it; more of them are "
            "logged at the level DEBUG)"
        )
    ]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"text": ""}, NO_TEXT),
        ({"bytes": b"{}"}, NO_TEXT),
        ({"text": "{"}, "Expecting property name enclosed in double quotes: line 1 column 2"),
        ({"text": "[" * 100_000}, "The JSON is nested too deeply."),
    ],
    ids=["empty", "binary", "nonsense", "nested"],
)
@JSONS
async def test_invalid_json_hook(
    connect: Connect, layer: InMemoryChannelLayer, cls: Any, event: Event, message: str
) -> None:
    """The hook gets the error and the message; what it raises is an error like any other."""
    seen: list[Any] = []

    class Strict(cls):  # type: ignore[misc]  # one of two bases
        def invalid_json(self, error: ValueError, *args: Any) -> Any:
            seen.append((str(error), *args))
            raise error

    async with connect(Strict()) as client:
        client.put({"type": "websocket.receive", **event})
        with pytest.raises(ValueError, match=r"No text|Expecting|The JSON"):
            await client.task
    ((text, text_data, bytes_data),) = seen
    assert text.startswith(message)
    assert (text_data, bytes_data) == (event.get("text"), event.get("bytes"))


@JSONS
async def test_own_value_error(connect: Connect, layer: InMemoryChannelLayer, cls: Any) -> None:
    """A ValueError of the consumer's own is not taken for one of the client's."""

    class Mistaken(cls):  # type: ignore[misc]  # one of two bases
        def receive_json(self, content: Any, **kwargs: Any) -> Any:
            raise ValueError("mine")

    async with connect(Mistaken()) as client:
        client.text("1")
        with pytest.raises(ValueError, match="mine"):
            await client.task


@pytest.mark.pain(25)
@JSONS
async def test_what_django_encodes(connect: Connect, layer: InMemoryChannelLayer, cls: Any) -> None:
    """Dates, UUIDs, decimals and lazy text go out as Django writes them."""

    class Rich(cls):  # type: ignore[misc]  # one of two bases
        def receive_json(self, content: Any, **kwargs: Any) -> Any:
            return self.send_json(
                [
                    datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
                    datetime.date(2026, 1, 2),
                    datetime.timedelta(hours=1),
                    decimal.Decimal("1.50"),
                    uuid.UUID(int=1),
                    gettext_lazy("word"),
                ]
            )

    async with connect(Rich()) as client:
        client.text("1")
        assert json.loads((await client.sent())["text"]) == [
            "2026-01-02T03:04:05Z",
            "2026-01-02",
            "P0DT01H00M00S",
            "1.50",
            "00000000-0000-0000-0000-000000000001",
            "word",
        ]


async def test_json_hooks(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """Encoding and decoding can be overridden."""

    class Shouting(AsyncJson):
        @classmethod
        async def decode_json(cls, text_data: str) -> Any:
            return text_data.upper()

        @classmethod
        async def encode_json(cls, content: Any) -> str:
            return f"<{content['got']}>"

    async with connect(Shouting()) as client:
        client.text("hey")
        assert await client.sent() == {"type": "websocket.send", "text": "<HEY>"}


@SCRIPTS
async def test_neither_text_nor_bytes(
    connect: Connect, layer: InMemoryChannelLayer, script: Any
) -> None:
    """A message with neither is no message, and no error."""
    async with connect(script()) as client:
        client.put({"type": "websocket.receive"})
        client.put({"type": "websocket.receive", "text": None, "bytes": None})
        client.put({"type": "websocket.receive", "bytes": b""})
        assert await client.sent() == {"type": "websocket.send", "bytes": b""}


@pytest.mark.row("1.2 websocket_disconnect", "1.2 disconnect")
@pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
async def test_disconnect_without_a_code(
    connect: Connect, layer: InMemoryChannelLayer, base: Any
) -> None:
    """A server that gives no code has not received one (RFC 6455 §7.1.5)."""
    codes: list[int] = []

    class Leaving(base):  # type: ignore[misc]  # one of two bases
        def disconnect(self, code: int) -> Any:
            codes.append(code)
            return asyncio.sleep(0) if base is AsyncWebsocketConsumer else None

    async with connect(Leaving()) as client:
        client.put({"type": "websocket.disconnect"})
        await client.task
    assert codes == [1005]


@pytest.mark.filterwarnings("ignore:async_to_sync was passed a non-async-marked callable")
@pytest.mark.row("1.1 send")
async def test_async_to_sync_of_its_own_methods(
    connect: Connect, layer: InMemoryChannelLayer
) -> None:
    """In a sync consumer ``async_to_sync(self.send)`` does what ``self.send`` does."""

    class Roundabout(JsonWebsocketConsumer):
        def connect(self) -> None:
            async_to_sync(self.accept)()

        def receive_json(self, content: Any, **kwargs: Any) -> None:
            async_to_sync(self.send)(text_data="text")
            self.send(text_data="plainly")
            async_to_sync(self.send_json)({})
            async_to_sync(self.channel_layer.send)(self.channel_name, {"type": "last.words"})

        def last_words(self, event: Event) -> None:
            async_to_sync(self.close)()

    async with connect(Roundabout()) as client:
        client.text("1")
        texts = [(await client.sent())["text"] for _ in range(3)]
        assert texts == ["text", "plainly", "{}"]
        assert await client.sent() == {"type": "websocket.close"}


async def test_driven_without_being_called(layer: InMemoryChannelLayer) -> None:
    """Who sets base_send and calls the methods needs no ``__call__``, as packages' tests do."""
    sent: list[Event] = []
    consumer = AsyncJson()

    async def send(event: Event) -> None:
        sent.append(event)

    assert consumer.base_send is None
    consumer.base_send = send
    consumer.channel_layer = layer
    consumer.channel_name = "mine"
    await consumer.dispatch({"type": "websocket.connect"})
    await consumer.dispatch({"type": "websocket.receive", "text": "1"})
    assert [event["type"] for event in sent] == ["websocket.accept", "websocket.send"]


SIGNATURES = {
    "accept": "subprotocol=None, headers=None",
    "connect": "",
    "receive": "text_data=None, bytes_data=None",
    "send": "text_data=None, bytes_data=None, close=False",
    "close": "code=None, reason=None",
    "disconnect": "code",
    "websocket_connect": "message",
    "websocket_receive": "message",
    "websocket_disconnect": "message",
}
JSON_SIGNATURES = {
    "receive": "text_data=None, bytes_data=None, **kwargs",
    "receive_json": "content, **kwargs",
    "send_json": "content, close=False",
    "decode_json": "text_data",
    "encode_json": "content",
}


def signature(cls: type, name: str) -> str:
    """The parameters of a method, called on an instance, with their defaults."""
    parameters = inspect.signature(getattr(cls(), name)).parameters.values()
    empty = inspect.Parameter.empty
    return ", ".join(str(p.replace(annotation=empty)) for p in parameters)


@pytest.mark.parametrize(
    ("cls", "wanted"),
    [
        (WebsocketConsumer, SIGNATURES),
        (AsyncWebsocketConsumer, SIGNATURES),
        (JsonWebsocketConsumer, SIGNATURES | JSON_SIGNATURES),
        (AsyncJsonWebsocketConsumer, SIGNATURES | JSON_SIGNATURES),
    ],
)
def test_signatures(cls: type, wanted: dict[str, str]) -> None:
    """The methods take what Channels' take, and are coroutines where its are."""
    assert {name: signature(cls, name) for name in wanted} == wanted
    is_async = issubclass(cls, AsyncWebsocketConsumer)
    assert {inspect.iscoroutinefunction(getattr(cls, name)) for name in wanted} == {is_async}
