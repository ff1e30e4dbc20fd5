"""An identifier for each request."""

import re
from typing import Any

import pytest

from fairway._types import Receive, Scope, Send
from fairway.server import Config
from fairway.server.observing.identifiers import RequestIds
from fairway.wire.http1 import HTTP1Connection, Request
from tests.server.applications import body, start
from tests.server.conftest import Serve

MADE = re.compile("[0-9a-f]{32}")


def request(*headers: str) -> Request:
    """A GET with these header fields."""
    lines = "".join(f"{line}\r\n" for line in headers)
    data = f"GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode("latin-1")
    found = HTTP1Connection().receive_data(data)[0]
    assert isinstance(found, Request)
    return found


def marked(peer: str, *headers: str, **options: Any) -> str:
    """The identifier of such a request, which stands in its headers once."""
    ids = RequestIds(Config(**options))
    found = request(*headers)
    ids.mark(found, (peer, 1) if peer else None)
    assert [name for name, _ in found.headers].count(ids.name) == 1
    return ids.of(found)


class TestMark:
    """Which identifier a request gets."""

    def test_made(self) -> None:
        """Each has another one, and a client cannot choose it."""
        first, second = (
            marked("127.0.0.1", "X-Request-ID: mine", request_ids="make") for _ in "ab"
        )
        assert MADE.fullmatch(first)
        assert MADE.fullmatch(second)
        assert first != second

    def test_underscores(self) -> None:
        """A name that some take for that of the header is taken out."""
        found = request("X_Request_ID: mine", "X_Other: 1")
        RequestIds(Config(request_ids="make")).mark(found, None)
        assert [name for name, _ in found.headers] == [b"host", b"x_other", b"x-request-id"]

    @pytest.mark.parametrize("peer", ["127.0.0.1", ""])
    def test_of_proxy(self, peer: str) -> None:
        """A trusted proxy's is taken."""
        assert marked(peer, "X-Request-ID: 4711-a", request_ids="proxy") == "4711-a"

    @pytest.mark.parametrize(
        ("peer", "headers"),
        [
            ("192.0.2.1", ["X-Request-ID: 4711"]),
            ("127.0.0.1", []),
            ("127.0.0.1", ["X-Request-ID: a", "X-Request-ID: b"]),
            ("127.0.0.1", ['X-Request-ID: "a b"']),
            ("127.0.0.1", ["X-Request-ID:"]),
            ("127.0.0.1", [f"X-Request-ID: {'a' * 129}"]),
        ],
    )
    def test_not_believed(self, peer: str, headers: list[str]) -> None:
        """Somebody else's, none, several, and what could mean something in a log are replaced."""
        assert MADE.fullmatch(marked(peer, *headers, request_ids="proxy"))

    def test_header(self) -> None:
        """The header may have another name."""
        found = marked("", "Trace: 1", request_ids="proxy", request_id_header="Trace")
        assert found == "1"

    def test_unmarked(self) -> None:
        """What was refused before has none."""
        assert RequestIds(Config(request_ids="make")).of(request()) == ""


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the identifier of the scope; has one of its own in a header."""
    if scope["type"] == "websocket":
        await receive()
        headers = [(b"who", scope["state"]["request_id"].encode())]
        await send({"type": "websocket.accept", "headers": headers})
        return
    (value,) = (value for name, value in scope["headers"] if name == b"x-request-id")
    assert value.decode() == scope["state"]["request_id"]
    await send(start(headers=[(b"x-request-id", b"another")]))
    await send(body(value))


class TestServed:
    """Requests that are served."""

    async def test_scope_and_log(self, serve: Serve) -> None:
        """Application and access log know the same identifier, the client does not."""
        running = await serve(tell, request_ids="make")
        response = await (await running.connect()).fetch("/", "X-Request-ID: mine")
        (record,) = running.records
        assert response.body.decode() == record.request_id
        assert MADE.fullmatch(record.request_id)
        assert response["x-request-id"] == "another"

    async def test_echo(self, serve: Serve) -> None:
        """If it is to, the client learns it, whatever the application says."""
        running = await serve(tell, request_ids="proxy", echo_request_id=True)
        response = await (await running.connect()).fetch("/", "X-Request-ID: 4711")
        assert (response["x-request-id"], response.body) == ("4711", b"4711")

    async def test_websocket(self, serve: Serve) -> None:
        """A WebSocket has one, too."""
        running = await serve(tell, request_ids="proxy", echo_request_id=True)
        client = await running.websocket()
        head = await client.open("/", "X-Request-ID: 4711")
        assert b"\r\nwho: 4711\r\n" in head
        assert {record.request_id for record in running.records} == {"4711"}

    async def test_off(self, serve: Serve) -> None:
        """Without the option nothing is touched."""
        seen: list[Scope] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope)
            await send(start())
            await send(body())

        running = await serve(app)
        await (await running.connect()).fetch("/", "X-Request-ID: mine")
        assert (b"x-request-id", b"mine") in seen[0]["headers"]
        assert "request_id" not in seen[0]["state"]
        assert running.records[0].request_id == ""
