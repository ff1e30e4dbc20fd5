"""Handler tables: which message reaches which method, decided when the class is made."""

import functools

import pytest

from fairway._types import Event
from fairway.consumer import AsyncConsumer, get_handler_name, handles
from fairway.consuming.handlers import HandlerTable, NoHandler, is_ours
from fairway.generic.websocket import AsyncWebsocketConsumer


class Chat(AsyncWebsocketConsumer):
    async def chat_message(self, event: Event) -> None: ...

    async def connect(self) -> None: ...

    async def disconnect(self, code: int) -> None: ...

    async def _secret(self, event: Event) -> None: ...

    not_callable = "chat"


class Marked(AsyncWebsocketConsumer):
    @handles("chat.message", "chat.notice")
    async def on_chat(self, event: Event) -> None: ...

    async def chat_other(self, event: Event) -> None: ...


@pytest.mark.row("1.1 get_handler_name")
class TestGetHandlerName:
    def test_dots_become_underscores(self) -> None:
        """A type names its method."""
        assert get_handler_name({"type": "chat.room.message"}) == "chat_room_message"

    @pytest.mark.parametrize("kind", ["_secret", ".secret", "__init__"])
    def test_leading_underscore(self, kind: str) -> None:
        """A type cannot name a private method, in either spelling."""
        with pytest.raises(ValueError, match=r"^Malformed type in message \(leading underscore\)$"):
            get_handler_name({"type": kind})

    def test_no_type(self) -> None:
        """A message without a type is refused."""
        with pytest.raises(ValueError, match=r"^Incoming message has no 'type' attribute$"):
            get_handler_name({"text": "x"})


class TestFromTheLayer:
    """A message from a channel layer may come from anybody who can send to a group."""

    @pytest.mark.parametrize(
        ("kind", "method"),
        [
            ("chat.message", "chat_message"),
            ("chat_message", "chat_message"),
            ("websocket.receive", "websocket_receive"),
            ("websocket.send", "websocket_send"),
            ("websocket.close", "websocket_close"),
        ],
    )
    def test_reachable(self, kind: str, method: str) -> None:
        """Public methods of users' classes, and three of ours."""
        assert HandlerTable(Chat).find({"type": kind}, from_layer=True) == method

    @pytest.mark.parametrize(
        "kind",
        [
            "send",
            "accept",
            "close",
            "dispatch",
            "connect",
            "disconnect",
            "receive",
            "on.error",
            "as.asgi",
            "websocket.connect",
            "websocket.disconnect",
            "channel.layer",
            "not.callable",
            "chat.unknown",
            "mro",
        ],
    )
    def test_out_of_reach(self, kind: str) -> None:
        """Nothing that the package itself defines or calls, overridden or not."""
        with pytest.raises(NoHandler) as caught:
            HandlerTable(Chat).find({"type": kind}, from_layer=True)
        assert str(caught.value) == f"No handler for message type {kind}"

    @pytest.mark.parametrize(
        "kind",
        ["websocket.connect", "websocket.disconnect", "http.request", "http.disconnect", "Form"],
    )
    def test_out_of_reach_of_bare_consumers(self, kind: str) -> None:
        """Only a server tells what a server tells, also a class that defines it all by itself."""

        class Bare(AsyncConsumer):
            class Form:
                """Callable, but no method."""

            async def websocket_connect(self, event: Event) -> None: ...
            async def websocket_disconnect(self, event: Event) -> None: ...
            async def http_request(self, event: Event) -> None: ...
            async def http_disconnect(self, event: Event) -> None: ...

        with pytest.raises(NoHandler):
            HandlerTable(Bare).find({"type": kind}, from_layer=True)

    @pytest.mark.parametrize("kind", [None, 5, ["chat.message"], {"chat.message": 1}])
    def test_type_that_is_no_text(self, kind: object) -> None:
        """What cannot be a type has no handler, like any unknown one."""
        with pytest.raises(NoHandler, match=r"^Malformed type in message"):
            HandlerTable(Chat).find({"type": kind}, from_layer=True)

    @pytest.mark.parametrize("kind", ["chat.message", "chat.notice"])
    def test_marked_methods(self, kind: str) -> None:
        """A marked method handles the types that it names."""
        assert HandlerTable(Marked).find({"type": kind}, from_layer=True) == "on_chat"

    @pytest.mark.parametrize("kind", ["chat.other", "on.chat"])
    def test_marks_close_the_rest(self, kind: str) -> None:
        """Once a class marks any method, its other methods are out of reach."""
        with pytest.raises(NoHandler):
            HandlerTable(Marked).find({"type": kind}, from_layer=True)


class TestFromTheClient:
    @pytest.mark.parametrize(
        ("kind", "method"),
        [
            ("websocket.connect", "websocket_connect"),
            ("websocket.disconnect", "websocket_disconnect"),
            ("chat.message", "chat_message"),
        ],
    )
    def test_protocol_events(self, kind: str, method: str) -> None:
        """Events of the protocol, ASGI's or one of the user's own."""
        assert HandlerTable(Chat).find({"type": kind}, from_layer=False) == method

    def test_unknown(self) -> None:
        """An event without a handler is a mistake."""
        with pytest.raises(ValueError, match=r"^No handler for message type http\.request$"):
            HandlerTable(Chat).find({"type": "http.request"}, from_layer=False)

    @pytest.mark.parametrize(
        ("kind", "shown"),
        [("x\nERROR", r"'x\nERROR'"), ("\ud800", r"'\ud800'"), ("x" * 1000, f"'{'x' * 200}'")],
    )
    def test_type_that_a_client_chose(self, kind: str, shown: str) -> None:
        """What is in the error stays in one line, and a short one."""
        table = HandlerTable(Chat)
        for find in (table.find, functools.partial(table.find_in, Chat())):
            with pytest.raises(NoHandler) as caught:
                find({"type": kind}, from_layer=True)
            assert str(caught.value) == f"No handler for message type {shown}"


def test_is_ours() -> None:
    """The package knows its own classes and functions from others."""
    assert is_ours(AsyncWebsocketConsumer)
    assert is_ours(AsyncWebsocketConsumer.send)
    assert not is_ours(Chat)
    assert not is_ours(Chat.chat_message)


class TestFoundLate:
    """Methods that a class, or an instance, has got since the class was made."""

    def test_from_a_class_decorator(self) -> None:
        """What is set on the class afterwards is a handler like any other."""

        class Consumer(AsyncConsumer):
            pass

        async def chat_ping(self: Consumer, event: Event) -> None: ...

        with pytest.raises(NoHandler):
            Consumer._fw_handlers.find({"type": "chat.ping"}, from_layer=True)
        Consumer.chat_ping = chat_ping  # type: ignore[attr-defined]  # as decorators do
        assert Consumer._fw_handlers.find({"type": "chat.ping"}, from_layer=True) == "chat_ping"

    def test_descriptors(self) -> None:
        """What gives a method when it is asked for one is one."""

        class Consumer(AsyncConsumer):
            async def _any(self, word: str, event: Event) -> None: ...

            chat_part = functools.partialmethod(_any, "part")

        assert Consumer._fw_handlers.find({"type": "chat.part"}, from_layer=True) == "chat_part"

    def test_of_an_instance(self) -> None:
        """What is assigned to an instance counts, unless the name is ours."""

        class Consumer(AsyncConsumer):
            pass

        consumer = Consumer()
        consumer.chat_ping = print  # type: ignore[attr-defined]  # as projects do
        consumer.channel_receive = print  # type: ignore[assignment]  # something that is called
        table, find = Consumer._fw_handlers, Consumer._fw_handlers.find_in
        assert find(consumer, {"type": "chat.ping"}, from_layer=True) is print
        with pytest.raises(NoHandler, match=r"^No handler for message type channel\.receive$"):
            find(consumer, {"type": "channel.receive"}, from_layer=True)
        assert "chat.ping" not in table

    def test_made_when_asked_for(self) -> None:
        """A server's event also reaches what __getattr__ makes; a layer's message does not."""

        class Consumer(AsyncConsumer):
            def __getattr__(self, name: str) -> object:
                if name.startswith("_"):
                    raise AttributeError(name)
                return print

        find = Consumer._fw_handlers.find_in
        assert find(Consumer(), {"type": "custom.event"}, from_layer=False) is print
        with pytest.raises(NoHandler):
            find(Consumer(), {"type": "custom.event"}, from_layer=True)
