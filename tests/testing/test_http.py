"""What ``HttpCommunicator`` promises."""

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


def test_the_scope_is_a_servers() -> None:
    """The scope has all that ASGI asks for, but ``asgi``, which is a server's to say."""
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
        "client": ["127.0.0.1", 0],
        "server": ["testserver", 80],
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
