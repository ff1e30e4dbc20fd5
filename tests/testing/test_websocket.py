"""What ``WebsocketCommunicator`` promises."""

from typing import Any

import pytest

from fairway._types import Event, Receive, Scope, Send
from fairway.testing import WebsocketCommunicator


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept and send back every message; keep the close code in the scope."""
    assert await receive() == {"type": "websocket.connect"}
    subprotocols = scope["subprotocols"]
    await send(
        {"type": "websocket.accept", "subprotocol": subprotocols[0] if subprotocols else None}
    )
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})
    scope["code"] = event["code"]


def sending(*events: Event) -> WebsocketCommunicator:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)

    return WebsocketCommunicator(application, "/")


class TestConnect:
    async def test_accepted(self) -> None:
        """An accepted socket gives True and the chosen subprotocol."""
        communicator = WebsocketCommunicator(echo, "/", subprotocols=["chat", "other"])
        assert await communicator.connect() == (True, "chat")
        await communicator.disconnect()

    async def test_accepted_without_subprotocol(self) -> None:
        """No subprotocol is None."""
        communicator = WebsocketCommunicator(echo, "/")
        assert await communicator.connect() == (True, None)
        assert communicator.response_headers == []
        await communicator.disconnect()

    async def test_headers_of_the_answer(self) -> None:
        """Headers that the application adds are kept."""
        communicator = sending({"type": "websocket.accept", "headers": [(b"x-room", b"1")]})
        assert await communicator.connect() == (True, None)
        assert communicator.response_headers == [(b"x-room", b"1")]

    @pytest.mark.parametrize(
        ("event", "code"),
        [({"type": "websocket.close"}, 1000), ({"type": "websocket.close", "code": 4003}, 4003)],
    )
    async def test_closed(self, event: Event, code: int) -> None:
        """A refused socket gives False and the code, 1000 if none is named."""
        assert await sending(event).connect() == (False, code)

    async def test_denied_by_a_response(self) -> None:
        """A denial response gives False and its status, and is kept whole."""
        communicator = sending(
            {
                "type": "websocket.http.response.start",
                "status": 404,
                "headers": [(b"content-type", b"text/plain")],
            },
            {"type": "websocket.http.response.body", "body": b"no ", "more_body": True},
            {"type": "websocket.http.response.body", "body": b"room"},
        )
        assert await communicator.connect() == (False, 404)
        assert communicator.denial_response == {
            "status": 404,
            "headers": [(b"content-type", b"text/plain")],
            "body": b"no room",
        }
        assert communicator.response_headers == [(b"content-type", b"text/plain")]

    async def test_anything_else_is_an_assertion(self) -> None:
        """An application that sends before it accepts fails the test by name."""
        with pytest.raises(AssertionError) as caught:
            await sending({"type": "websocket.send", "text": "x"}).connect()
        assert str(caught.value) == "Expected type 'websocket.accept', but was 'websocket.send'"


class TestSend:
    @pytest.mark.parametrize("text", ["hello", "", "ü"])
    async def test_text(self, text: str) -> None:
        """Text arrives as text, empty text too."""
        communicator = WebsocketCommunicator(echo, "/")
        await communicator.connect()
        await communicator.send_to(text_data=text)
        assert await communicator.receive_from() == text
        await communicator.disconnect()

    @pytest.mark.parametrize("data", [b"\x00\xff", b""])
    async def test_bytes(self, data: bytes) -> None:
        """Bytes arrive as bytes, none at all too."""
        communicator = WebsocketCommunicator(echo, "/")
        await communicator.connect()
        await communicator.send_to(bytes_data=data)
        assert await communicator.receive_from() == data
        await communicator.disconnect()

    async def test_json(self) -> None:
        """JSON goes out and comes back as text."""
        communicator = WebsocketCommunicator(echo, "/")
        await communicator.connect()
        await communicator.send_json_to({"name": "ada", "rooms": [1, None]})
        assert await communicator.receive_json_from() == {"name": "ada", "rooms": [1, None]}
        await communicator.disconnect()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({}, "You must supply exactly one of text_data or bytes_data"),
            (
                {"text_data": "a", "bytes_data": b"a"},
                "You must supply exactly one of text_data or bytes_data",
            ),
            (
                {"text_data": "", "bytes_data": b""},
                "You must supply exactly one of text_data or bytes_data",
            ),
            ({"text_data": b"a"}, "The text_data argument must be a str"),
            ({"bytes_data": "a"}, "The bytes_data argument must be bytes"),
        ],
    )
    async def test_wrong_arguments(self, arguments: dict[str, Any], message: str) -> None:
        """What is not one message of the right type is an assertion."""
        communicator = WebsocketCommunicator(echo, "/")
        await communicator.connect()
        with pytest.raises(AssertionError) as caught:
            await communicator.send_to(**arguments)
        assert str(caught.value) == message
        await communicator.disconnect()

    @pytest.mark.parametrize(
        "arguments", [{"text_data": "a", "bytes_data": b""}, {"text_data": "", "bytes_data": b"a"}]
    )
    async def test_an_empty_other_argument_is_ignored(self, arguments: dict[str, Any]) -> None:
        """Nothing beside something does not make two messages."""
        communicator = WebsocketCommunicator(echo, "/")
        await communicator.connect()
        await communicator.send_to(**arguments)
        assert await communicator.receive_from() in ("a", b"a")
        await communicator.disconnect()


class TestReceive:
    async def test_a_key_of_none_is_no_payload(self) -> None:
        """ASGI lets the other key be there with None."""
        communicator = sending({"type": "websocket.send", "text": "a", "bytes": None})
        assert await communicator.receive_from() == "a"

    @pytest.mark.parametrize(
        ("event", "message"),
        [
            (
                {"type": "websocket.close"},
                "Expected type 'websocket.send', but was 'websocket.close'",
            ),
            (
                {"type": "websocket.send"},
                "The response needs exactly one of 'text' or 'bytes'",
            ),
            (
                {"type": "websocket.send", "text": "a", "bytes": b"a"},
                "The response needs exactly one of 'text' or 'bytes'",
            ),
            (
                {"type": "websocket.send", "text": b"a"},
                "Text frame payload is not str, it is <class 'bytes'>",
            ),
            (
                {"type": "websocket.send", "bytes": "a"},
                "Binary frame payload is not bytes, it is <class 'str'>",
            ),
        ],
    )
    async def test_anything_but_a_message_is_an_assertion(self, event: Event, message: str) -> None:
        """What is not one message of the right type fails the test by name."""
        with pytest.raises(AssertionError) as caught:
            await sending(event).receive_from()
        assert str(caught.value) == message

    async def test_json_is_text(self) -> None:
        """JSON in a binary message is an assertion."""
        with pytest.raises(AssertionError) as caught:
            await sending({"type": "websocket.send", "bytes": b"{}"}).receive_json_from()
        assert str(caught.value) == "JSON data is not a text frame, it is <class 'bytes'>"


class TestDisconnect:
    @pytest.mark.parametrize("code", [1000, 4000])
    async def test_the_application_is_told_and_awaited(self, code: int) -> None:
        """The application gets the close code and has ended when ``disconnect`` returns."""
        communicator = WebsocketCommunicator(echo, "/")
        await communicator.connect()
        await communicator.disconnect(code)
        assert communicator.future.done()
        assert communicator.scope["code"] == code


class TestScope:
    def test_it_is_a_servers(self) -> None:
        """The scope has all that ASGI asks for, but ``asgi``, which is a server's to say."""
        headers = [(b"origin", b"http://example.com")]
        communicator = WebsocketCommunicator(
            echo, "/room/a%20b/?token=%26", headers=headers, subprotocols=["chat"]
        )
        assert communicator.scope == {
            "type": "websocket",
            "http_version": "1.1",
            "scheme": "ws",
            "path": "/room/a b/",
            "raw_path": b"/room/a%20b/",
            "query_string": b"token=%26",
            "root_path": "",
            "headers": headers,
            "client": ["127.0.0.1", 0],
            "server": ["testserver", 80],
            "subprotocols": ["chat"],
        }

    def test_spec_version_is_a_key_of_its_own(self) -> None:
        """``spec_version`` stands in the scope itself, where tests have come to look for it."""
        communicator = WebsocketCommunicator(echo, "/", spec_version="2.3")
        assert communicator.scope["spec_version"] == "2.3"

    def test_a_path_of_bytes_is_refused(self) -> None:
        """Only text can be a path."""
        with pytest.raises(TypeError) as caught:
            WebsocketCommunicator(echo, b"/")  # type: ignore[arg-type] # the mistake under test
        assert str(caught.value) == "Expected str, got <class 'bytes'>"
