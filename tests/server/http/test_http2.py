"""Connections that speak HTTP/2: RFC 9113, with sockets, timers and the end of the server."""

import asyncio
from typing import Any

import pytest

from fairway._types import Receive, Scope, Send
from fairway.server.http.http2 import MAX_REPLIES
from fairway.wire.http2_events import ErrorCode
from tests.server.applications import Held, Listens, body, echo_body, path, responds, start
from tests.server.conftest import Serve
from tests.server.http.http2_client import connect, connections
from tests.server.running import DEADLINE, Logs, Running, until
from tests.wire import http2_client as h2
from tests.wire.http2_client import GET, POST, PREFACE

OPTIONS: dict[str, Any] = {"http2_cleartext": True}
LARGE = responds(start(), body(b"x" * 8_000_000))


def refused(running: Running) -> dict[str, int]:
    """What was refused, by the limit."""
    return running.context.counters.refused


class TestConnection:
    """What belongs to all of its streams."""

    async def test_registered(self, serve: Serve) -> None:
        """It is one of the server's connections until it ends."""
        running = await serve(path, **OPTIONS)
        client = await connect(running)
        (connection,) = connections(running)
        assert connection in running.server.connections
        client.close()
        await until(lambda: not running.server.connections)

    async def test_error(self, serve: Serve) -> None:
        """A broken rule of the connection ends all of its requests, with the reason."""
        app = Listens()
        running = await serve(app, **OPTIONS)
        client = await connect(running)
        await client.request(1)
        await app.entered.acquire()
        await client.send(h2.frame(h2.PUSH_PROMISE, h2.END_HEADERS, 1, bytes(4)))
        await client.end()
        assert client.goaways == [(1, ErrorCode.PROTOCOL_ERROR, "A client cannot push.")]
        async with asyncio.timeout(DEADLINE):
            await app.left.acquire()
        client.close()
        await until(lambda: running.context.quiet)

    async def test_last_request(self, serve: Serve) -> None:
        """After max_requests_per_connection the client is told to begin another connection."""
        running = await serve(path, max_requests_per_connection=2, **OPTIONS)
        client = await connect(running)
        assert (await client.fetch_on(1)).body == b"/"
        assert client.goaways == []
        assert (await client.fetch_on(3)).body == b"/"
        await client.end()
        assert client.goaways == [(2**31 - 1, 0, ""), (3, 0, "")]
        assert refused(running) == {"max_requests_per_connection": 1}

    async def test_refused_head(self, serve: Serve) -> None:
        """A HEAD that is refused gets no body, either."""
        client = await connect(await serve(path, **OPTIONS))
        head = [(b":method", b"HEAD"), *GET[1:3], (b":path", b"/a#b")]
        answer = await client.fetch_on(1, head)
        assert (answer.status, answer.body) == (400, b"")
        assert int(answer["content-length"]) > 0

    async def test_error_of_a_stream(self, serve: Serve) -> None:
        """A malformed request resets its stream, and nothing else (§8.1.1)."""
        client = await connect(await serve(path, **OPTIONS))
        bad = await client.fetch_on(1, [*GET, (b"connection", b"close")])
        assert (bad.fields, bad.reset) == ([], ErrorCode.PROTOCOL_ERROR)
        assert (await client.fetch_on(3)).body == b"/"

    async def test_refused(self, serve: Serve) -> None:
        """What the server does not serve is answered, and nothing else ends."""
        client = await connect(await serve(path, **OPTIONS))
        answer = await client.fetch_on(1, [(b":method", b"BREW"), *GET[1:]])
        assert (answer.status, answer.body) == (
            501, b"This server does not implement the request method.\n"
        )  # fmt: skip
        answer = await client.fetch_on(3, [(b":method", b"BREW"), *GET[1:]], b"beans")
        assert (answer.status, answer.reset) == (501, None)
        assert (await client.fetch_on(5)).body == b"/"

    async def test_client_goes_away(self, serve: Serve) -> None:
        """A client that begins nothing more gets its answers, and then the end (§6.8)."""
        held = Held()
        running = await serve(held, **OPTIONS)
        client = await connect(running)
        await client.request(1)
        await client.send(h2.frame(h2.GOAWAY, 0, 0, bytes(8)))
        await held.entered.acquire()
        held.let_go()
        assert (await client.answer(1)).body == b"done"
        await client.end()
        assert client.goaways == [(1, 0, "")]

    async def test_half_closed(self, serve: Serve) -> None:
        """A client that closes its side has gone."""
        app = Listens()
        running = await serve(app, **OPTIONS)
        client = await connect(running)
        await client.request(1)
        await app.entered.acquire()
        client.half_close()
        async with asyncio.timeout(DEADLINE):
            await app.left.acquire()
        await until(lambda: running.context.quiet)

    async def test_ping(self, serve: Serve) -> None:
        """A PING is answered."""
        client = await connect(await serve(path, **OPTIONS))
        await client.send(h2.ping(b"abcdefgh"))
        await client.until(lambda: any(each.payload == b"abcdefgh" for each in client.others))

    async def test_one_write_for_many(self, serve: Serve) -> None:
        """What several streams say in one turn of the loop goes out together."""
        held = Held()
        running = await serve(held, **OPTIONS)
        client = await connect(running)
        for stream_id in (1, 3, 5):
            await client.request(stream_id)
            await held.entered.acquire()
        (connection,) = connections(running)
        writes: list[bytes] = []
        transport = connection._transport

        class Spy:
            def write(self, data: bytes) -> None:
                writes.append(data)
                transport.write(data)

            def __getattr__(self, name: str) -> Any:
                return getattr(transport, name)

        connection._transport = Spy()  # type: ignore[assignment]  # as far as it is used
        held.let_go()
        for stream_id in (1, 3, 5):
            assert (await client.answer(stream_id)).body == b"done"
        connection._transport = transport
        assert len(writes) == 1  # the fields and the bodies of all


class TestLimits:
    """Each limit has its option, is counted under its name, and logged once."""

    async def test_streams(self, serve: Serve, logs: Logs) -> None:
        """More streams than allowed are refused, so that they are tried again."""
        held = Held()
        running = await serve(held, http2_max_streams=2, **OPTIONS)
        client = await connect(running)
        await client.request(1)
        await client.request(3)
        assert (await client.fetch_on(5)).reset == ErrorCode.REFUSED_STREAM
        assert refused(running) == {"http2_max_streams": 1}
        held.let_go()
        assert (await client.answer(1)).body == b"done"
        assert (await client.fetch_on(7)).body == b"done"
        address = client.address
        assert logs.take() == [
            f"WARNING The limit http2_max_streams (2) refused {address}: REFUSED_STREAM"
        ]

    async def test_rapid_reset(self, serve: Serve, logs: Logs) -> None:
        """Who begins and resets all the time is told to be calm (CVE-2023-44487)."""
        app = Listens()
        running = await serve(app, http2_max_resets=10, **OPTIONS)
        client = await connect(running)
        attack = b"".join(
            client.speaker.headers(stream_id) + h2.reset(stream_id)
            for stream_id in range(1, 101, 2)
        )
        await client.send(attack)
        await client.end()
        ((last, code, text),) = client.goaways
        assert (code, text) == (ErrorCode.ENHANCE_YOUR_CALM, "Too many streams ended early.")
        assert last <= 23
        assert refused(running) == {"http2_max_resets": 1}
        await until(lambda: not running.context.tasks)
        assert logs.take()[0].endswith(": GOAWAY ENHANCE_YOUR_CALM")

    async def test_control_frames(self, serve: Serve, logs: Logs) -> None:
        """So is who sends frames that carry nothing."""
        running = await serve(path, http2_max_control_frames=10, **OPTIONS)
        client = await connect(running)
        await client.send(h2.settings() * 50)
        await client.end()
        assert client.goaways[0][1] == ErrorCode.ENHANCE_YOUR_CALM
        assert refused(running) == {"http2_max_control_frames": 1}
        assert len(logs.take()) == 1

    async def test_answers_that_nobody_reads(self, serve: Serve, logs: Logs) -> None:
        """Who asks for answers and does not read them is cut, before they fill the memory."""
        running = await serve(LARGE, http2_max_control_frames=0, **OPTIONS)
        client = await connect(running)
        client.stop_reading()
        await client.request(1)
        await until(lambda: connections(running)[0].writing_paused)
        count = MAX_REPLIES // len(h2.ping()) + 1
        client.writer.write(h2.ping() * count)
        await until(lambda: running.context.quiet)
        assert refused(running) == {"http2_max_control_frames": 1}
        assert logs.take()[0].endswith(": the connection is cut")

    @pytest.mark.parametrize(
        ("options", "field", "status"),
        [
            ({"max_header_size": 500}, (b"x", b"y" * 500), 431),
            ({"max_header_count": 2}, (b"x", b"y"), 431),
            ({"max_request_line": 1}, None, 414),
        ],
        ids=["size", "count", "path"],
    )
    async def test_head(
        self,
        options: dict[str, Any],
        field: tuple[bytes, bytes] | None,
        status: int,
        serve: Serve,
        logs: Logs,
    ) -> None:
        """The limits of HTTP/1.1 hold, with the same answers, and the connection goes on."""
        running = await serve(path, **options, **OPTIONS)
        client = await connect(running)
        fields = [*GET[:3], (b":path", b"/" if field else b"/long")]
        fields += [(b"a", b"b"), field] if field else []
        answer = await client.fetch_on(1, fields)
        assert answer.status == status
        assert (await client.fetch_on(3)).body == b"/"
        (name,) = options
        assert refused(running) == {name: 1}
        assert logs.take()[0].endswith(f": {status}")

    async def test_header_bomb(self, serve: Serve, logs: Logs) -> None:
        """Fields that grow without end when decoded end the connection."""
        running = await serve(path, max_header_size=1000, **OPTIONS)
        client = await connect(running)
        await client.send(client.speaker.headers(1, [*GET, *[(b"x", b"y" * 500)] * 100]))
        await client.end()
        assert client.goaways[0][1] == ErrorCode.ENHANCE_YOUR_CALM
        assert refused(running) == {"max_header_size": 1}
        assert len(logs.take()) == 1

    async def test_continuations(self, serve: Serve, logs: Logs) -> None:
        """Fields without an end do so, too (CVE-2024-27316)."""
        running = await serve(path, **OPTIONS)
        client = await connect(running)
        flood = h2.frame(h2.CONTINUATION, 0, 1, b"\0\1a\1b" * 3000) * 6
        await client.send(client.speaker.headers(1, flags=0) + flood)
        await client.end()
        assert client.goaways[0][1] == ErrorCode.ENHANCE_YOUR_CALM
        assert refused(running) == {"max_header_size": 1}
        assert len(logs.take()) == 1

    async def test_announced_body(self, serve: Serve, logs: Logs) -> None:
        """A body that is announced as too large never reaches the application."""
        running = await serve(echo_body, max_body_size=10, **OPTIONS)
        client = await connect(running)
        answer = await client.fetch_on(1, [*POST, (b"content-length", b"11")], b"x" * 11)
        assert answer.status == 413
        assert (await client.fetch_on(3, POST, b"x" * 10)).body == b"x" * 10
        assert refused(running) == {"max_body_size": 1}
        assert len(logs.take()) == 1
        assert [record.status for record in running.records] == [413, 200]

    async def test_growing_body(self, serve: Serve, logs: Logs) -> None:
        """One that grows too large is refused while it comes; its application is told."""
        app = Listens()
        running = await serve(app, max_body_size=10, **OPTIONS)
        client = await connect(running)
        await client.request(1, POST, end=False)
        await app.entered.acquire()
        await client.send(h2.data(1, b"x" * 11))
        assert (await client.answer(1)).status == 413
        async with asyncio.timeout(DEADLINE):
            await app.left.acquire()
        assert refused(running) == {"max_body_size": 1}
        assert len(logs.take()) == 1

    async def test_growing_body_of_an_answer(self, serve: Serve, logs: Logs) -> None:
        """Behind the beginning of a response only a reset can say so."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start())
            await send(body(b"abc", more=True))
            while (await receive())["type"] != "http.disconnect":
                pass

        running = await serve(app, max_body_size=10, **OPTIONS)
        client = await connect(running)
        await client.request(1, POST, end=False)
        await client.until(lambda: 1 in client.answers and client.answers[1].body)
        await client.send(h2.data(1, b"x" * 11))
        assert (await client.answer(1)).reset == ErrorCode.INTERNAL_ERROR
        assert len(logs.take()) == 1


class TestDrain:
    """The end of the server: RFC 9113 §6.8."""

    async def test_two_steps(self, serve: Serve) -> None:
        """What is on its way is served, then nothing more, and the connection ends."""
        held = Held()
        running = await serve(held, **OPTIONS)
        client = await connect(running)
        client.polite = False
        await client.request(1)
        await held.entered.acquire()
        running.stop()
        await client.until(lambda: client.goaways)
        assert client.goaways == [(2**31 - 1, 0, "")]
        await client.request(3)
        await held.entered.acquire()
        (question,) = [each for each in client.others if each.kind == h2.PING]
        await client.send(h2.frame(h2.PING, h2.ACK, 0, question.payload))
        await client.until(lambda: len(client.goaways) == 2)
        assert client.goaways[1] == (3, 0, "")
        assert (await client.fetch_on(5)).reset == ErrorCode.REFUSED_STREAM
        held.let_go()
        for stream_id in (1, 3):
            assert (await client.answer(stream_id)).body == b"done"
        await client.end()
        await running.ended()

    async def test_idle(self, serve: Serve) -> None:
        """An idle connection ends as soon as its client knows."""
        running = await serve(path, **OPTIONS)
        client = await connect(running)
        running.stop()
        await client.end()
        assert client.goaways == [(2**31 - 1, 0, ""), (0, 0, "")]
        client.close()
        await running.ended()

    async def test_silent(self, serve: Serve) -> None:
        """A client that does not answer the PING holds nobody up for long."""
        running = await serve(path, **OPTIONS)
        client = await connect(running)
        client.polite = False
        running.stop()
        await client.end()
        assert len(client.goaways) == 2
        client.close()
        await running.ended()

    async def test_deadline(self, serve: Serve, logs: Logs) -> None:
        """What does not end in time is cut."""
        held = Held()
        running = await serve(held, graceful_timeout=0.2, **OPTIONS)
        client = await connect(running)
        await client.request(1)
        await held.entered.acquire()
        running.stop()
        await client.end()
        await running.ended()
        assert logs.take()

    async def test_while_it_begins(self, serve: Serve) -> None:
        """A connection that is not settled yet is told, too."""
        running = await serve(path, **OPTIONS)
        client = await connect(running, reads=False)
        client.go_on_reading()
        await client.send(PREFACE + h2.settings()[:4])
        await until(lambda: connections(running))
        running.stop()
        await client.end()
        client.close()
        await running.ended()
