"""``daphne.server``."""

import http.client
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

import pytest

from fairway._types import Receive, Scope, Send
from fairway.compat.shims.daphne.server import Server

TCP = "tcp:port=0:interface=127.0.0.1"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells its root path and the address of its client."""
    assert scope["type"] != "lifespan"
    client = scope["client"][0]
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": f"{scope['root_path']}|{client}".encode()})


class Running:
    """A server in a thread, ended with the block."""

    def __init__(self, **arguments: Any) -> None:
        self.ready = threading.Event()
        self.server = Server(app, [TCP], ready_callable=self.ready.set, **arguments)
        self.thread = threading.Thread(target=self.server.run)

    def __enter__(self) -> Self:
        self.thread.start()
        assert self.ready.wait(30)
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.stop()
        self.thread.join(30)
        assert not self.thread.is_alive()

    def get(self, **headers: str) -> tuple[str, str | None]:
        """The body and the ``Server`` header of a response."""
        connection = http.client.HTTPConnection(*self.server.listening_addresses[0], timeout=30)
        connection.request("GET", "/a?b", headers=headers)
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return body, response.getheader("Server")


class TestRun:
    """Serving."""

    def test_serves(self) -> None:
        """It tells where it listens, and answers there."""
        with Running(root_path="/app") as running:
            assert running.get() == ("/app|127.0.0.1", "daphne")
            assert [host for host, _ in running.server.listening_addresses] == ["127.0.0.1"]
            assert isinstance(running.server.connections, frozenset)
        assert running.server.abort_start is False

    @pytest.mark.parametrize(("name", "header"), [("mine", "mine"), ("", None)])
    def test_server_name(self, name: str, header: str | None) -> None:
        """The ``Server`` header is as wanted."""
        with Running(server_name=name) as running:
            assert running.get()[1] == header

    def test_no_host(self) -> None:
        """A request without a Host is served, as by Daphne."""
        with (
            Running() as running,
            socket.create_connection(running.server.listening_addresses[0], 30) as client,
        ):
            client.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
            with client.makefile("rb") as answer:
                assert answer.read().startswith(b"HTTP/1.1 200 OK\r\n")

    def test_proxy(self) -> None:
        """A proxy's header is believed if it is named, from this machine."""
        with Running(proxy_forwarded_address_header="X-Real-IP") as running:
            assert running.get(**{"X-Real-IP": "192.0.2.1"})[0] == "|192.0.2.1"
        with Running() as running:
            assert running.get(**{"X-Forwarded-For": "192.0.2.1"})[0] == "|127.0.0.1"

    @pytest.mark.parametrize("header", [None, "X-Scheme", "X-Forwarded-Proto"])
    def test_proxys_scheme(self, header: str | None) -> None:
        """The header with the scheme is the one that is named, or none."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            raise NotImplementedError

        config = Server(app, proxy_forwarded_proto_header=header).get_config()
        assert config.proxy_headers_scheme == (header or "")

    def test_action_logger(self) -> None:
        """Every request is told to the action logger, in the words of Daphne."""
        told: list[tuple[str, str, Mapping[str, Any]]] = []
        with Running(action_logger=lambda *action: told.append(action)) as running:
            running.get()
        ((protocol, action, details),) = told
        assert (protocol, action) == ("http", "complete")
        client, time_taken = details["client"], details["time_taken"]
        assert client.startswith("127.0.0.1:")
        assert time_taken >= 0
        assert details == {
            "path": "/a?b",
            "status": 200,
            "method": "GET",
            "client": client,
            "time_taken": time_taken,
            "size": 10,
        }

    def test_no_endpoints(self, caplog: pytest.LogCaptureFixture) -> None:
        """Without endpoints the process ends with 1."""
        with pytest.raises(SystemExit) as caught:
            Server(app).run()
        assert caught.value.code == 1
        assert caplog.messages == ["No endpoints. This server will not listen on anything."]

    @pytest.mark.parametrize(
        ("endpoint", "why"),
        [
            (
                "unix:/no/such/directory/s",
                "Cannot listen on /no/such/directory/s: its directory does not exist.",
            ),
            (
                "what:80",
                "endpoints: Cannot listen on 'what:80': there is no kind 'what'",
            ),
        ],
    )
    def test_cannot_listen(self, endpoint: str, why: str, caplog: pytest.LogCaptureFixture) -> None:
        """An endpoint that cannot be had is logged, and noted for whoever has started it."""
        server = Server(app, [endpoint], signal_handlers=False)
        server.run()
        assert server.abort_start is True
        ((_, level, message),) = caplog.record_tuples
        assert level == logging.CRITICAL
        assert message.startswith(f"Listen failure: {why}")

    def test_stop_before(self) -> None:
        """Stopping what does not run is nothing."""
        server = Server(app, [TCP])
        server.stop()
        assert server.connections == frozenset()


class TestConfig:
    """Daphne's arguments in the words of Fairway."""

    @pytest.mark.row("7 17")
    @pytest.mark.parametrize(
        ("connect", "handshake", "limit"),
        [(20, 5, 5), (3, 5, 3), (-1, 5, 5), (-1, -1, 0), (None, None, 0), (7, None, 7)],
    )
    def test_connect_timeout(
        self, connect: float | None, handshake: float | None, limit: float
    ) -> None:
        """The shorter of the two limits counts, and -1 is none, as Daphne's help says."""
        server = Server(
            app, websocket_connect_timeout=connect, websocket_handshake_timeout=handshake
        )
        assert server.get_config().websocket_connect_timeout == limit

    def test_defaults(self) -> None:
        """Without a word they are Daphne's."""
        config = Server(app).get_config()
        assert (config.websocket_timeout, config.websocket_connect_timeout) == (86400, 5)
        assert (config.ping_interval, config.ping_timeout, config.http_timeout) == (20, 30, None)
        assert config.websocket_max_message_size == config.websocket_max_frame_size == 1024 * 1024
        assert (config.application_close_timeout, config.lifespan) == (10, "off")

    @pytest.mark.parametrize(
        "name", ["websocket_timeout", "ping_interval", "ping_timeout", "application_close_timeout"]
    )
    @pytest.mark.parametrize("value", [None, 0, -1])
    def test_no_limit(self, name: str, value: float | None) -> None:
        """None, 0 and -1 stand for no limit."""
        make: Callable[..., Server] = Server
        assert getattr(make(app, **{name: value}).get_config(), name) <= 0
