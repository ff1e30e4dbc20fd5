"""The scopes of communicators beside those of our server, key by key."""

import pytest

from fairway._types import Receive, Scope, Send
from fairway.server.application.scope import http_scope, websocket_scope
from fairway.testing import HttpCommunicator, WebsocketCommunicator
from fairway.testing.scope import connection_scope
from fairway.wire.http1 import HTTP1Connection, Request

CLIENT, SERVER = ("127.0.0.1", 0), ("testserver", 80)


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand for an application."""


def parse(target: str) -> Request:
    """A request for a test's host, as our server reads it."""
    head = f"GET {target} HTTP/1.1\r\nHost: testserver\r\n\r\n".encode()
    (request,) = HTTP1Connection().receive_data(head)[:1]
    assert isinstance(request, Request)
    return request


@pytest.mark.pain(13)
@pytest.mark.parametrize("target", ["/", "/a%20b/%C3%A9?x=1&y=%20", "/room/?"])
class TestServed:
    """With ``served`` a scope is what our server makes of the same request."""

    def test_a_websockets(self, target: str) -> None:
        """All keys of a WebSocket's scope, and all values."""
        communicator = WebsocketCommunicator(
            nothing, target, subprotocols=["chat"], served=True, state={"pool": 1}
        )
        assert communicator.scope == websocket_scope(
            parse(target), "http", "", CLIENT, SERVER, {"pool": 1}, ["chat"]
        )

    def test_a_requests(self, target: str) -> None:
        """All keys of an HTTP request's scope, and all values but what a communicator cannot do."""
        communicator = HttpCommunicator(nothing, "GET", target, served=True, state={"pool": 1})
        served = http_scope(parse(target), "http", "", CLIENT, SERVER, {"pool": 1})
        assert communicator.scope == {**served, "extensions": {}}

    def test_only_a_servers_promises_are_missing_otherwise(self, target: str) -> None:
        """Without ``served``, ``asgi`` is not there, and no extension is offered."""
        served = WebsocketCommunicator(nothing, target, served=True).scope
        plain = WebsocketCommunicator(nothing, target).scope
        assert served.pop("asgi") == {"version": "3.0", "spec_version": "2.5"}
        assert served == {**plain, "extensions": {"websocket.http.response": {}}}


def test_the_state_is_a_copy() -> None:
    """As under a server, what one connection puts into its state is its own (ASGI, Lifespan)."""
    state = {"pool": 1}
    scope = connection_scope("http", "/", None, served=False, state=state)
    scope["state"]["mine"] = 2
    assert state == {"pool": 1}
