"""What ``HttpCommunicator`` promises."""

import asyncio

import pytest

from fairway._types import Event, Receive, Scope, Send
from fairway.testing import HttpCommunicator


async def mirror(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the request's body in two parts."""
    request = await receive()
    assert request["type"] == "http.request"
    await send({"type": "http.response.start", "status": 201, "headers": [(b"x-kind", b"mirror")]})
    await send({"type": "http.response.body", "body": request["body"], "more_body": True})
    await send({"type": "http.response.body"})


def sending(*events: Event) -> HttpCommunicator:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)

    return HttpCommunicator(application, "GET", "/")


@pytest.mark.row("1.9 HttpCommunicator")
async def test_the_response_is_put_together() -> None:
    """``get_response`` returns status, headers and the whole body."""
    communicator = HttpCommunicator(mirror, "post", "/", body=b"hello")
    assert await communicator.get_response() == {
        "status": 201,
        "headers": [(b"x-kind", b"mirror")],
        "body": b"hello",
    }
    await communicator.wait()


async def test_headers_default_to_none_at_all() -> None:
    """A response that names no headers has an empty list of them."""
    communicator = sending(
        {"type": "http.response.start", "status": 204}, {"type": "http.response.body", "body": b""}
    )
    assert await communicator.get_response() == {"status": 204, "headers": [], "body": b""}


async def test_the_request_is_sent_once() -> None:
    """A request that was sent by hand is not sent again."""
    communicator = HttpCommunicator(mirror, "PUT", "/")
    await communicator.send_input({"type": "http.request", "body": b"by hand"})
    communicator.sent_request = True
    assert (await communicator.get_response())["body"] == b"by hand"


@pytest.mark.row("1.9 HttpCommunicator")
def test_the_scope_is_a_servers() -> None:
    """The scope has all that a server's has, but ``asgi``, which is for a server to say."""
    headers = [(b"host", b"example.com")]
    communicator = HttpCommunicator(mirror, "get", "/caf%C3%A9;a/ü?q=%20ü", headers=headers)
    assert communicator.scope == {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": "GET",
        "path": "/café;a/ü",
        "raw_path": b"/caf%C3%A9;a/%C3%BC",
        "query_string": "q=%20ü".encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 0),
        "server": ("testserver", 80),
        "state": {},
        "extensions": {},
    }


def test_a_body_of_text_is_refused() -> None:
    """Only bytes can be a body."""
    with pytest.raises(TypeError) as caught:
        HttpCommunicator(mirror, "GET", "/", body="text")  # type: ignore[arg-type] # the mistake under test
    assert str(caught.value) == "The body argument must be bytes, not str."


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (
            [{"type": "http.response.body"}],
            "Expected type 'http.response.start', but was 'http.response.body'",
        ),
        (
            [{"type": "http.response.start", "status": 200}, {"type": "websocket.send"}],
            "Expected type 'http.response.body', but was 'websocket.send'",
        ),
        (
            [
                {"type": "http.response.start", "status": 200},
                {"type": "http.response.body", "body": "x"},
            ],
            "The response body is not bytes, it is <class 'str'>",
        ),
    ],
)
async def test_anything_but_a_response_is_an_assertion(events: list[Event], message: str) -> None:
    """An application that does not answer as ASGI says fails the test by name."""
    with pytest.raises(AssertionError) as caught:
        await sending(*events).get_response()
    assert str(caught.value) == message


class TestPieces:
    async def test_the_start_comes_before_the_body(self) -> None:
        """``start`` returns when the response has begun; its status and headers are attributes."""

        async def events(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
            await asyncio.get_running_loop().create_future()

        communicator = HttpCommunicator(events, "GET", "/")
        assert (communicator.status, communicator.response_headers) == (None, None)
        assert await communicator.start() == {"status": 200, "headers": [(b"a", b"b")]}
        assert (communicator.status, communicator.response_headers) == (200, [(b"a", b"b")])
        communicator.stop()

    async def test_the_body_comes_in_the_pieces_that_were_sent(self) -> None:
        """Each piece comes as soon as it is sent, an empty one never, and None is the end."""
        communicator = sending(
            {"type": "http.response.start", "status": 200},
            {"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True},
            {"type": "http.response.body", "body": b"", "more_body": True},
            {"type": "http.response.body", "body": b"data: 2\n\n", "more_body": True},
            {"type": "http.response.body"},
        )
        await communicator.start()
        assert await communicator.receive_body_chunk() == b"data: 1\n\n"
        assert await communicator.receive_body_chunk() == b"data: 2\n\n"
        assert await communicator.receive_body_chunk() is None
        assert await communicator.receive_body_chunk() is None

    async def test_the_rest_can_be_had_at_once(self) -> None:
        """``get_response`` after some pieces has the rest of the body."""
        communicator = HttpCommunicator(mirror, "PUT", "/", body=b"hello")
        await communicator.start()
        assert await communicator.receive_body_chunk() == b"hello"
        assert await communicator.get_response() == {
            "status": 201,
            "headers": [(b"x-kind", b"mirror")],
            "body": b"",
        }

    async def test_the_pieces_can_be_iterated_over(self) -> None:
        """``body_chunks`` goes on to the end of the response."""
        communicator = sending(
            {"type": "http.response.start", "status": 200},
            {"type": "http.response.body", "body": b"1", "more_body": True},
            {"type": "http.response.body", "body": b"2"},
        )
        await communicator.start()
        assert [chunk async for chunk in communicator.body_chunks()] == [b"1", b"2"]

    async def test_the_request_can_be_sent_in_pieces(self) -> None:
        """``send_body`` sends a part, and ``start`` adds nothing to what was sent by it."""
        taken: list[Event] = []

        async def upload(scope: Scope, receive: Receive, send: Send) -> None:
            while True:
                taken.append(await receive())
                if not taken[-1].get("more_body"):
                    break
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

        communicator = HttpCommunicator(upload, "POST", "/")
        await communicator.send_body(b"1", more_body=True)
        await communicator.send_body(b"2")
        assert (await communicator.get_response())["status"] == 204
        assert taken == [
            {"type": "http.request", "body": b"1", "more_body": True},
            {"type": "http.request", "body": b"2"},
        ]

    async def test_the_client_can_go_away(self) -> None:
        """``disconnect`` tells the application, and returns when that has ended."""
        seen: list[str] = []

        async def long_poll(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append((await receive())["type"])
            await send({"type": "http.response.start", "status": 200})
            seen.append((await receive())["type"])

        communicator = HttpCommunicator(long_poll, "GET", "/")
        await communicator.start()
        await communicator.disconnect()
        assert communicator.future.done()
        assert seen == ["http.request", "http.disconnect"]


async def test_debug_information() -> None:
    """What an application says for tests is kept, if the test has offered to hear it (ASGI)."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if "http.response.debug" in scope["extensions"]:
            await send({"type": "http.response.debug", "info": {"a": 1}})
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    communicator = HttpCommunicator(application, "GET", "/")
    await communicator.get_response()
    assert communicator.debug_info is None
    communicator = HttpCommunicator(application, "GET", "/")
    communicator.scope["extensions"]["http.response.debug"] = {}
    assert (await communicator.get_response())["status"] == 200
    assert communicator.debug_info == {"a": 1}
