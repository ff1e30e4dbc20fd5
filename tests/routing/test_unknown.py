"""What becomes of a connection whose path no route matches."""

import asyncio
import logging
import socket

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from fairway._types import Event
from fairway.middleware import BaseMiddleware
from fairway.routing import URLRouter
from tests.routing.applications import (
    Endpoint,
    call,
    nothing_to_receive,
    path,
    serve,
)

CONNECT = {"type": "websocket.connect"}
DENIAL: dict[str, object] = {"websocket.http.response": {}}
NOT_FOUND_HEADERS = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", b"9"),
]


@pytest.mark.pain(21)
@pytest.mark.row("1.5 URLRouter", "7 5")
class TestUnknownPath:
    """A path without a route."""

    @pytest.fixture(params=["flat", "nested"])
    def router(self, request: pytest.FixtureRequest) -> URLRouter:
        """A router without the route, by itself or inside another one."""
        inner = URLRouter([path("a/", Endpoint())])
        return inner if request.param == "flat" else URLRouter([path("", BaseMiddleware(inner))])

    async def test_without_a_server(self, router: URLRouter) -> None:
        """Tests, which call it without a server, see the exception of Channels."""
        with pytest.raises(ValueError, match=r"^No route found for path 'nope/'\.$"):
            await call(router, "/nope/")

    async def test_http(self, router: URLRouter) -> None:
        """An HTTP request is answered with 404."""
        sent, _ = await serve(router, type="http", path="/nope/")
        assert sent == [
            {"type": "http.response.start", "status": 404, "headers": NOT_FOUND_HEADERS},
            {"type": "http.response.body", "body": b"Not Found"},
        ]

    async def test_websocket(self, router: URLRouter) -> None:
        """A WebSocket is closed with 4404 before it is accepted."""
        sent, waiting = await serve(router, CONNECT, type="websocket", path="/nope/")
        assert sent == [{"type": "websocket.close", "code": 4404}]
        assert waiting == []

    @pytest.mark.parametrize("extensions", [None, {}, {"other": {}}])
    async def test_websocket_extensions(self, router: URLRouter, extensions: object) -> None:
        """Extensions of the server that are no denial response change nothing."""
        sent, _ = await serve(
            router, CONNECT, type="websocket", path="/nope/", extensions=extensions
        )
        assert sent == [{"type": "websocket.close", "code": 4404}]

    async def test_websocket_denial_response(self, router: URLRouter) -> None:
        """A WebSocket is answered with 404 by a server that can."""
        sent, _ = await serve(router, CONNECT, type="websocket", path="/nope/", extensions=DENIAL)
        assert sent == [
            {
                "type": "websocket.http.response.start",
                "status": 404,
                "headers": NOT_FOUND_HEADERS,
            },
            {"type": "websocket.http.response.body", "body": b"Not Found"},
        ]

    async def test_websocket_that_is_gone(self, router: URLRouter) -> None:
        """A client that left before it was let in gets no answer."""
        sent, _ = await serve(
            router, {"type": "websocket.disconnect", "code": 1006}, type="websocket", path="/nope/"
        )
        assert sent == []

    async def test_client_that_is_gone(self, router: URLRouter) -> None:
        """It is no error that the client does not wait for the answer."""

        async def send(event: Event) -> None:
            raise OSError("gone")

        await router(
            {"type": "http", "path": "/nope/", "asgi": {"version": "3.0"}},
            nothing_to_receive,
            send,
        )

    async def test_other_protocol(self, router: URLRouter) -> None:
        """For other types there is no answer that means it."""
        with pytest.raises(ValueError, match=r"^No route found for path 'nope/'\.$"):
            await serve(router, type="mqtt", path="/nope/")

    async def test_log(self, router: URLRouter, caplog: pytest.LogCaptureFixture) -> None:
        """It is one line without a traceback, in which the path cannot make another."""
        await serve(router, CONNECT, type="websocket", path="/nope/\nERROR fake")
        assert caplog.record_tuples == [
            (
                "fairway.routing",
                logging.WARNING,
                "Not Found: no route for the websocket path '/nope/\\nERROR fake'",
            )
        ]
        assert caplog.records[0].exc_info is None

    async def test_outside_of_the_root(self, router: URLRouter) -> None:
        """A path that is not below ``root_path`` is not found, either."""
        sent, _ = await serve(router, CONNECT, type="websocket", path="/a/", root_path="/r")
        assert sent == [{"type": "websocket.close", "code": 4404}]


@pytest.mark.pain(21)
async def test_unknown_path_under_another_server() -> None:
    """Under uvicorn, a path without a route is 404, for HTTP and WebSockets alike."""
    router = URLRouter([path("a/", Endpoint())])
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    config = uvicorn.Config(router, lifespan="off", log_config=None, ws="websockets-sansio")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        async with httpx.AsyncClient() as client:
            response = await client.get(f"http://{host}:{port}/nope/")
        assert (response.status_code, response.text) == (404, "Not Found")
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"ws://{host}:{port}/nope/", proxy=None)
        assert caught.value.response.status_code == 404
        assert caught.value.response.body == b"Not Found"
    finally:
        server.should_exit = True
        await serving
