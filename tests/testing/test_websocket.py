"""What ``WebsocketCommunicator`` promises."""

import asyncio
import json
from typing import Any

import pytest

from fairway._types import Event, Receive, Scope, Send
from fairway.routing import URLRouter
from fairway.testing import WebsocketCommunicator, WebsocketRejected


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


@pytest.mark.row("1.9 WebsocketCommunicator")
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


@pytest.mark.row("1.9 WebsocketCommunicator")
class TestSend:
    @pytest.mark.pain(13)
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


@pytest.mark.row("1.9 WebsocketCommunicator")
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

    async def test_text_that_is_no_json(self) -> None:
        """The text is shown beside the decoder's complaint."""
        with pytest.raises(json.JSONDecodeError) as caught:
            await sending({"type": "websocket.send", "text": "You: Ahoy"}).receive_json_from()
        assert caught.value.__notes__ == ["The application sent: 'You: Ahoy'"]


@pytest.mark.row("1.9 WebsocketCommunicator")
class TestDisconnect:
    @pytest.mark.parametrize("code", [1000, 4000])
    async def test_the_application_is_told_and_awaited(self, code: int) -> None:
        """The application gets the close code and has ended when ``disconnect`` returns."""
        communicator = WebsocketCommunicator(echo, "/")
        await communicator.connect()
        await communicator.disconnect(code)
        assert communicator.future.done()
        assert communicator.scope["code"] == code


def path_of(scope: Scope) -> str:
    """What an application does that would not run on Channels' bare scopes."""
    host = dict(scope["headers"])[b"host"].decode()
    return f"{scope['scheme']}://{host}{scope['path']} from {scope['client'][0]}"


@pytest.mark.row("1.9 WebsocketCommunicator")
class TestClose:
    async def test_code_and_reason_are_readable(self) -> None:
        """``receive_close`` returns both, and they stay readable."""
        communicator = sending({"type": "websocket.close", "code": 4001, "reason": "Logged out"})
        assert (communicator.close_code, communicator.close_reason) == (None, None)
        assert await communicator.receive_close() == (4001, "Logged out")
        assert (communicator.close_code, communicator.close_reason) == (4001, "Logged out")

    async def test_the_code_is_1000_without_one(self) -> None:
        """A close without code or reason is what ASGI says it is."""
        assert await sending({"type": "websocket.close"}).receive_close() == (1000, "")

    async def test_a_message_is_no_close(self) -> None:
        """A message where the close should be fails the test, and the note shows it."""
        with pytest.raises(AssertionError) as caught:
            await sending({"type": "websocket.send", "text": "x"}).receive_close()
        assert str(caught.value) == "Expected type 'websocket.close', but was 'websocket.send'"
        assert caught.value.__notes__ == [
            "The application sent: {'type': 'websocket.send', 'text': 'x'}"
        ]

    async def test_a_close_where_a_message_should_be(self) -> None:
        """Its code and reason are in the note of the failure, and kept."""
        communicator = sending({"type": "websocket.close", "code": 4001})
        with pytest.raises(AssertionError) as caught:
            await communicator.receive_from()
        assert caught.value.__notes__ == [
            "The application sent: {'type': 'websocket.close', 'code': 4001}"
        ]
        assert communicator.close_code == 4001

    async def test_a_reason_can_be_given(self) -> None:
        """``disconnect`` takes a reason, which only then is in the event."""
        taken: list[Event] = []

        async def listen(scope: Scope, receive: Receive, send: Send) -> None:
            taken.append(await receive())

        await WebsocketCommunicator(listen, "/").disconnect(4000, reason="bye")
        await WebsocketCommunicator(listen, "/").disconnect()
        assert taken == [
            {"type": "websocket.disconnect", "code": 4000, "reason": "bye"},
            {"type": "websocket.disconnect", "code": 1000},
        ]


class TestSecondAttempt:
    async def test_connect_tries_anew_after_a_rejection(self) -> None:
        """The first application is told that its client is gone, and a second one is asked."""
        seen: list[Event] = []

        async def second_time_lucky(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(await receive())
            if len(seen) == 1:
                await send({"type": "websocket.close", "code": 4003, "reason": "full"})
                seen.append(await receive())
            else:
                await send({"type": "websocket.accept"})
                await receive()

        communicator = WebsocketCommunicator(second_time_lucky, "/")
        assert await communicator.connect() == (False, 4003)
        assert (communicator.close_code, communicator.close_reason) == (4003, "full")
        assert await communicator.connect() == (True, None)
        assert (communicator.close_code, communicator.close_reason) == (None, None)
        await communicator.disconnect()
        assert [event["type"] for event in seen] == [
            "websocket.connect",
            "websocket.disconnect",
            "websocket.connect",
        ]
        assert seen[1]["code"] == 1006


class TestContext:
    async def test_it_connects_and_disconnects(self) -> None:
        """Inside the block the socket is open; after it the application has ended."""
        async with WebsocketCommunicator(echo, "/", subprotocols=["chat"]) as communicator:
            assert communicator.subprotocol == "chat"
            await communicator.send_to(text_data="hello")
            assert await communicator.receive_from() == "hello"
        assert communicator.future.done()
        assert communicator.scope["code"] == 1000

    async def test_a_rejection_is_raised(self) -> None:
        """A close before the accept raises, with the status that a browser would see."""
        communicator = sending({"type": "websocket.close", "code": 4003, "reason": "full"})
        with pytest.raises(WebsocketRejected) as caught:
            await communicator.__aenter__()
        assert str(caught.value) == "The WebSocket for '/' was rejected by closing with 4003 (full)"
        error = caught.value
        assert (error.status, error.code, error.reason, error.body) == (403, 4003, "full", b"")

    async def test_a_denial_is_raised(self) -> None:
        """So does a denial response, with all that it has."""
        communicator = sending(
            {"type": "websocket.http.response.start", "status": 401, "headers": [(b"a", b"b")]},
            {"type": "websocket.http.response.body", "body": b"Who are you?"},
        )
        with pytest.raises(WebsocketRejected) as caught:
            await communicator.__aenter__()
        error = caught.value
        assert str(error) == "The WebSocket for '/' was rejected with HTTP 401: b'Who are you?'"
        assert (error.status, error.headers, error.body) == (401, [(b"a", b"b")], b"Who are you?")
        assert error.code is None

    async def test_the_applications_failure_is_raised_at_the_end(self) -> None:
        """What the application raises is not lost when the block ends well."""

        async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            raise LookupError("in disconnect")

        with pytest.raises(LookupError, match="in disconnect"):
            async with WebsocketCommunicator(fails_late, "/"):
                pass

    async def test_the_tests_own_failure_counts(self) -> None:
        """A test that fails in the block fails with its own error, which names the other one."""

        async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            raise LookupError("in disconnect")

        with pytest.raises(ZeroDivisionError) as caught:
            async with WebsocketCommunicator(fails_late, "/"):
                raise ZeroDivisionError
        assert caught.value.__notes__ == [
            "The application failed as well: LookupError('in disconnect')"
        ]

    async def test_a_stopped_application_is_left_alone(self) -> None:
        """A test may stop the application inside the block."""
        async with WebsocketCommunicator(echo, "/") as communicator:
            communicator.stop()
            await asyncio.wait({communicator.future})


@pytest.mark.row("1.9 WebsocketCommunicator")
class TestScope:
    def test_it_is_a_servers(self) -> None:
        """The scope has all that a server's has, but ``asgi``, which is for a server to say."""
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
            "headers": [(b"host", b"testserver"), *headers],
            "client": ("127.0.0.1", 0),
            "server": ("testserver", 80),
            "subprotocols": ["chat"],
            "state": {},
            "extensions": {},
        }

    @pytest.mark.pain(13)
    def test_what_applications_look_for_is_there(self) -> None:
        """Host, scheme and client are there without a word of the test's."""
        communicator = WebsocketCommunicator(echo, "/room/")
        assert path_of(communicator.scope) == "ws://testserver/room/ from 127.0.0.1"

    def test_a_host_of_the_tests_own_stays_alone(self) -> None:
        """``host`` is added only where it is missing."""
        headers = [(b"host", b"example.com")]
        assert WebsocketCommunicator(echo, "/", headers).scope["headers"] == headers

    async def test_served_an_unknown_path_is_denied(self) -> None:
        """A router answers a server, and raises in a test that does not play one."""
        router = URLRouter([])
        assert await WebsocketCommunicator(router, "/x/", served=True).connect() == (False, 404)
        with pytest.raises(ValueError, match=r"^No route found for path 'x/'\.$"):
            await WebsocketCommunicator(router, "/x/").connect()

    def test_spec_version_is_a_key_of_its_own(self) -> None:
        """``spec_version`` stands in the scope itself, where tests have come to look for it."""
        communicator = WebsocketCommunicator(echo, "/", spec_version="2.3")
        assert communicator.scope["spec_version"] == "2.3"
        served = WebsocketCommunicator(echo, "/", spec_version="2.3", served=True)
        assert served.scope["asgi"] == {"version": "3.0", "spec_version": "2.3"}

    def test_a_path_of_bytes_is_refused(self) -> None:
        """Only text can be a path."""
        with pytest.raises(TypeError) as caught:
            WebsocketCommunicator(echo, b"/")  # type: ignore[arg-type] # the mistake under test
        assert str(caught.value) == "Expected str, got <class 'bytes'>"
