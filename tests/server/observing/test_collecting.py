"""The figures of one server."""

import asyncio
import threading
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from fairway._types import Receive, Scope, Send
from fairway.server.config import options
from fairway.server.observing.collecting import collect, label_gauges, limits
from fairway.server.observing.exposition import render
from fairway.wire.frames import Opcode
from tests.server.applications import body, echo_body, path, start
from tests.server.conftest import Serve
from tests.server.running import Logs, Running, until
from tests.wire.client import close, continuation, frame, text


def figures(running: Running) -> dict[str, float]:
    """What a server shows now, as Prometheus writes it."""
    return dict(_samples(running))


def _samples(running: Running) -> Iterator[tuple[str, float]]:
    for family in text_string_to_metric_families(render(collect(running.context)).decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            yield f"{sample.name}{{{labels}}}" if labels else sample.name, sample.value


def test_limits() -> None:
    """Each option that is a limit has its counter from the start on, and the system's has one."""
    assert limits() == [*(each.name for each in options() if each.answer), "file_descriptors"]


async def test_requests(serve: Serve) -> None:
    """Requests are counted by method and status, with the bytes of their bodies."""
    running = await serve(echo_body, metrics="127.0.0.1:0")
    client = await running.connect()
    for _ in range(2):
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        assert (await client.response()).body == b"hello"
    found = figures(running)
    assert found['fairway_requests_total{method="POST",status="2xx"}'] == 2
    assert found['fairway_bytes_total{protocol="http",direction="received"}'] == 10
    assert found['fairway_bytes_total{protocol="http",direction="sent"}'] == 10
    assert found["fairway_connections_opened_total"] == 1
    assert found["fairway_connections"] == 1
    assert found["fairway_request_duration_seconds_count"] == 2
    assert found["fairway_ready"] == 1
    assert found["fairway_uptime_seconds"] >= 0
    assert found["fairway_cpu_seconds_total"] > 0


async def test_websockets(serve: Serve) -> None:
    """WebSockets are counted with their messages, their bytes, and how they end."""

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] == "/no":
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": event["text"]})

    running = await serve(echo)
    client = await running.websocket()
    await client.open()
    await client.send(text("he", fin=False) + frame(Opcode.PING, b"") + continuation(b"llo"))
    assert await client.frame() == (Opcode.PONG, b"")
    assert await client.text() == "hello"
    refused = await running.websocket()
    assert b" 403 " in await refused.open("/no")
    found = figures(running)
    assert found["fairway_websockets"] == 1
    assert found["fairway_websockets_opened_total"] == 1
    assert found["fairway_websockets_rejected_total"] == 1
    assert found['fairway_messages_total{direction="received"}'] == 1
    assert found['fairway_messages_total{direction="sent"}'] == 1
    assert found['fairway_frames_total{direction="received"}'] == 3
    assert found['fairway_frames_total{direction="sent"}'] == 2
    assert found['fairway_bytes_total{protocol="websocket",direction="received"}'] == 23
    assert found['fairway_bytes_total{protocol="websocket",direction="sent"}'] == 7
    await client.send(close(4321))
    assert await client.goodbye() == (4321, "")
    await until(lambda: figures(running)["fairway_websockets"] == 0)
    found = figures(running)
    assert found['fairway_websockets_closed_total{code="4xxx"}'] == 1
    assert found['fairway_frames_total{direction="received"}'] == 4
    assert found['fairway_frames_total{direction="sent"}'] == 3
    assert found['fairway_bytes_total{protocol="websocket",direction="sent"}'] == 7


async def test_refusals(serve: Serve, logs: Logs) -> None:
    """Each limit has its counter, at nothing until it refuses something."""
    running = await serve(path, max_connections=1)
    await (await running.connect()).fetch()
    assert (await (await running.connect()).rest()).startswith(b"HTTP/1.1 503 ")
    logs.take()
    found = figures(running)
    assert found['fairway_refused_total{limit="max_connections"}'] == 1
    assert found['fairway_refused_total{limit="max_body_size"}'] == 0
    assert found['fairway_refused_total{limit="file_descriptors"}'] == 0


async def test_threads(serve: Serve) -> None:
    """Threads that work, and calls that wait for one, are seen while they do and counted after."""
    running = await serve(path, threads=1)
    pool = running.context.threads
    release = asyncio.get_running_loop().create_future()
    go_on, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait()

    def late() -> None:
        running.context.loop.call_soon_threadsafe(release.set_result, None)

    pool.run(work)
    begun.wait()
    pool.run(late)
    found = figures(running)
    assert found['fairway_threads{state="busy"}'] == 1
    assert found['fairway_threads{state="idle"}'] == 0
    assert found["fairway_thread_waiting"] == 1
    go_on.set()
    await release
    await until(lambda: figures(running)['fairway_threads{state="idle"}'] == 1)
    found = figures(running)
    assert found["fairway_thread_waiting"] == 0
    assert found["fairway_thread_waits_total"] == 1
    assert found["fairway_thread_wait_seconds_total"] > 0


async def test_off(serve: Serve) -> None:
    """Nothing is sampled for nobody."""
    running = await serve(path)
    assert (running.context.lag, running.context.durations) == (None, None)
    found = figures(running)
    sampled = ("fairway_event_loop_lag", "fairway_request_duration")
    assert not any(name.startswith(sampled) for name in found)


async def test_worker(serve: Serve) -> None:
    """Gauges say whose they are; counters do not."""
    running = await serve(path, metrics="127.0.0.1:0")
    families = {each.name: each for each in label_gauges(collect(running.context), "3")}
    assert families["fairway_tasks"].samples == {("", (("worker", "3"),)): 0}
    assert families["fairway_connections_opened"].samples == {("", ()): 0}
    await until(lambda: figures(running)["fairway_event_loop_lag_seconds_count"] > 0)


async def test_tasks(serve: Serve) -> None:
    """What the application is busy with is a gauge."""
    entered = asyncio.Event()
    leave = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        await leave.wait()
        await send(start())
        await send(body(b"done"))

    running = await serve(app)
    client = await running.connect()
    await client.get()
    await entered.wait()
    assert figures(running)["fairway_tasks"] == 1
    leave.set()
    assert (await client.response()).body == b"done"
