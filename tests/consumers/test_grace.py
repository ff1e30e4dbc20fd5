"""A client's disconnect interrupts what hangs, and the log says where it hung."""

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from fairway._types import Event
from fairway.consuming import serving
from fairway.consuming.grace import describe
from fairway.generic.http import AsyncHttpConsumer
from fairway.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from fairway.layers import InMemoryChannelLayer, channel_layers
from tests.consumers.connections import Connect
from tests.consumers.servers import SERVERS, http, served, websocket
from tests.consumers.test_consumer import ForeignLayer
from tests.server.running import until

each_server = pytest.mark.parametrize("server", SERVERS)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under servers that do not care, the grace time is short."""
    monkeypatch.setattr(serving, "DISCONNECT_GRACE", 0.01)


class Hanging(AsyncWebsocketConsumer):
    """Hangs in the handler of each message."""

    groups = ["room"]
    log: list[str] = []

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.log.append("hangs")
        try:
            await asyncio.Event().wait()
        finally:
            self.log.append("finally")

    async def disconnect(self, code: int) -> None:
        self.log.append(f"disconnect {code} {sorted(self.channel_layer.groups)}")


@pytest.mark.pain(3)
@pytest.mark.parametrize("concurrency", [1, 2])
@each_server
async def test_async_handler(
    server: str, concurrency: int, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """It is cancelled, disconnect() runs, and the log shows stack, event and queue."""

    class Here(Hanging):
        log: list[str] = []

    Here.concurrency = concurrency
    before = asyncio.all_tasks()
    application = Here.as_asgi()
    async with served(server, application, application_close_timeout=0.01) as port:
        async with websocket(port) as client:
            for _ in range(concurrency + 1):
                await client.send("hang")
            await until(lambda: len(Here.log) == concurrency)
        await until(lambda: Here.log[-1].startswith("disconnect"))
    assert Here.log == [
        *["hangs"] * concurrency,
        *["finally"] * concurrency,
        "disconnect 1000 []",
    ]
    assert asyncio.all_tasks() == before
    (text,) = [r.getMessage() for r in caplog.records if "0.01 s" in r.getMessage()]
    assert "    await asyncio.Event().wait()\n" in text
    name = "tests.consumers.test_grace.test_async_handler.<locals>.Here"
    waiting = "1 events of its client and 0 layer messages were waiting."
    if concurrency == 1:
        assert text.endswith(f"\n{name} was handling 'websocket.receive'; {waiting}")
    else:
        assert f"\n{name} was handling 2 at the same time; {waiting}\n'websocket.receive'" in text


@pytest.mark.row("7 4")
@pytest.mark.pain(3)
@pytest.mark.parametrize("concurrency", [1, 2])
@each_server
async def test_sync_handler(
    server: str, concurrency: int, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """It cannot be cancelled: groups are left, the log shows its thread, disconnect() waits."""
    entered, leave = threading.Event(), threading.Event()
    log: list[str] = []

    class Hung(WebsocketConsumer):
        groups = ["room"]

        def receive(self, *args: Any, **kwargs: Any) -> None:
            entered.set()
            leave.wait()
            log.append("returned")

        def disconnect(self, code: int) -> None:
            log.append(f"disconnect {code}")

    Hung.concurrency = concurrency
    application = Hung.as_asgi()
    async with served(server, application, application_close_timeout=0.01) as port:
        try:
            async with websocket(port) as client:
                await client.send("hang")
                await until(entered.is_set)
                assert list(layer.groups) == ["room"]
            await until(lambda: not layer.groups)
            assert log == []
        finally:
            leave.set()
        await until(lambda: len(log) == 2)
    assert log == ["returned", "disconnect 1000"]
    (text,) = [r.getMessage() for r in caplog.records if "0.01 s" in r.getMessage()]
    assert "in receive\n    leave.wait()\n" in text
    assert "sync code, which cannot be cancelled" in text


@pytest.mark.pain(20)
@each_server
async def test_http(server: str, layer: InMemoryChannelLayer) -> None:
    """The handle() of a request whose client has gone is interrupted at once."""
    log: list[str] = []

    class Endless(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            await self.send_headers()
            await self.send_body(b"begun", more_body=True)
            try:
                await asyncio.Event().wait()
            finally:
                log.append("finally")

        async def disconnect(self) -> None:
            log.append("disconnect")

    async with served(server, Endless.as_asgi()) as port:
        client = await http(port)
        await client.get()
        await client.head()
        client.abort()
        await until(lambda: len(log) == 2)
    assert log == ["finally", "disconnect"]


async def test_own_time(
    connect: Connect, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """A class may name its own time, under every server."""

    class Quick(Hanging):
        log: list[str] = []
        disconnect_grace = 0.02

    async with connect(Quick()) as client:
        client.text("hang")
        await client.settle()
        client.disconnect(1001)
        await client.task
    assert Quick.log == ["hangs", "finally", "disconnect 1001 []"]
    assert caplog.records[-1].getMessage().startswith(
        "tests.consumers.test_grace.test_own_time.<locals>.Quick went on for more than 0.02 s "
        "after its client had gone; it was interrupted. It was waiting here:\n"
    )  # fmt: skip


async def test_at_once(
    connect: Connect, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """With no time at all there is nothing to report: that is how the class is meant."""

    class Impatient(Hanging):
        log: list[str] = []
        disconnect_grace = 0.0

    async with connect(Impatient()) as client:
        client.text("hang")
        await client.settle()
        client.disconnect(1001)
        await client.task
    assert Impatient.log == ["hangs", "finally", "disconnect 1001 []"]
    assert caplog.records == []


async def test_hanging_disconnect(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """A disconnect() that hangs is cancelled, too."""

    class Stuck(AsyncWebsocketConsumer):
        disconnect_grace = 0.01
        cancelled = False

        async def disconnect(self, code: int) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise

    consumer = Stuck()
    async with connect(consumer) as client:
        client.disconnect(1001)
        await client.task
    assert consumer.cancelled


async def test_cancelled_by_others(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """Only its own cancellation is taken back: one by the server ends the task."""

    class Patient(Hanging):
        log: list[str] = []
        disconnect_grace = 1000.0

    async with connect(Patient()) as client:
        client.text("hang")
        await client.settle()
        client.disconnect(1001)
        await client.settle()
        client.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client.task
    assert Patient.log == ["hangs", "finally", "disconnect 1001 []"]


async def test_asked(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """What holds a mailbox tells what it does when it is asked, and leaves its groups."""
    consumer = Hanging()
    async with connect(consumer) as client:
        client.text("hang")
        await client.settle()
        client.text("next")
        await client.settle()
        assert consumer._fw_mailbox is not None
        text = consumer._fw_overdue()
        await client.settle()
        assert layer.groups == {}
    assert text == (
        "tests.consumers.test_grace.Hanging was handling 'websocket.receive'; 1 events of its "
        "client and 0 layer messages were waiting."
    )


async def test_idle(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """One that waits for events says so."""
    consumer = Hanging()
    async with connect(consumer) as client:
        await client.settle()
        assert consumer._fw_mailbox is not None
        event: Event | None = consumer._fw_event
        assert describe(consumer, consumer._fw_mailbox, event, None) == (
            "tests.consumers.test_grace.Hanging was handling no event; 0 events of its client and "
            "0 layer messages were waiting."
        )


async def test_foreign_layer(connect: Connect, layer: InMemoryChannelLayer) -> None:
    """The groups of a class are left early on a foreign layer, too."""
    foreign = ForeignLayer()
    channel_layers.set("default", foreign)
    leave = asyncio.Event()

    class Slow(AsyncWebsocketConsumer):
        groups = ["room"]
        disconnect_grace = 0.01

        async def receive(self, *args: Any, **kwargs: Any) -> None:
            while not leave.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await leave.wait()

    async with connect(Slow()) as client:
        client.text("hang")
        await client.settle()
        client.disconnect(1001)
        await until(lambda: foreign.groups == {"room": set()})
        assert not client.task.done()
        leave.set()
        await client.task
