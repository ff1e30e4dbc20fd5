"""Sync code of consumers: in order within a connection, in parallel between connections."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from django.contrib.auth.models import Group
from django.test import TestCase

from fairway._types import Event
from fairway.consuming.threads import (
    calls_in,
    current_executor,
    finished_in_thread,
    needs_thread,
    returned,
    thread_maker,
)
from fairway.db import database_sync_to_async
from fairway.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from fairway.layers import InMemoryChannelLayer
from fairway.server.application.threads import LentThread, ThreadPool
from fairway.testing import WebsocketCommunicator
from tests.consumers.servers import SERVERS, served, websocket
from tests.server.running import DEADLINE

each_server = pytest.mark.parametrize("server", SERVERS)


@pytest.mark.row("1.1 SyncConsumer", "7 13", "7 19")
@pytest.mark.pain(2)
@each_server
async def test_connections_in_parallel(server: str, layer: InMemoryChannelLayer) -> None:
    """Three sockets meet in their sync handlers, which they could not one after the other."""
    barrier = threading.Barrier(3)

    class Meeting(WebsocketConsumer):
        def receive(self, *args: Any, **kwargs: Any) -> None:
            barrier.wait(DEADLINE)
            self.send(text_data=threading.current_thread().name)

    async with served(server, Meeting.as_asgi()) as port:
        clients = [await websocket(port) for _ in range(3)]
        for client in clients:
            await client.send("meet")
        names = {await client.recv() for client in clients}
        for client in clients:
            await client.close()
    assert len(names) == 3
    assert all(str(name).startswith("fairway-") for name in names)


@pytest.mark.pain(2)
@each_server
async def test_async_consumers_too(server: str, layer: InMemoryChannelLayer) -> None:
    """The same holds for what an async handler sends to a thread."""
    barrier = threading.Barrier(3)

    class Meeting(AsyncJsonWebsocketConsumer):
        async def receive_json(self, content: Any, **kwargs: Any) -> None:
            await database_sync_to_async(barrier.wait)(DEADLINE)
            await self.send_json("met")

    async with served(server, Meeting.as_asgi()) as port:
        clients = [await websocket(port) for _ in range(3)]
        for client in clients:
            await client.send("1")
        assert [await client.recv() for client in clients] == ['"met"'] * 3
        for client in clients:
            await client.close()


@each_server
async def test_order_within_a_connection(server: str, layer: InMemoryChannelLayer) -> None:
    """Handlers of one connection run one at a time and in order, whatever thread each gets."""
    running = 0

    class Counting(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            nonlocal running
            running += 1
            self.send(text_data=f"{text_data} {running}")
            running -= 1

    async with served(server, Counting.as_asgi()) as port, websocket(port) as client:
        for number in range(20):
            await client.send(str(number))
        assert [await client.recv() for _ in range(20)] == [f"{n} 1" for n in range(20)]


@pytest.mark.pain(11)
@each_server
async def test_concurrency(server: str, layer: InMemoryChannelLayer) -> None:
    """A sync consumer that asks for it handles events of one connection in several threads."""
    barrier = threading.Barrier(3)

    class Meeting(WebsocketConsumer):
        groups = ["room"]
        concurrency = 3

        def receive(self, *args: Any, **kwargs: Any) -> None:
            self.meet()

        def chat_message(self, event: Event) -> None:
            self.meet()

        def meet(self) -> None:
            barrier.wait(DEADLINE)
            self.send(text_data="met")

    async with served(server, Meeting.as_asgi()) as port, websocket(port) as client:
        await client.send("slow")
        await client.send("slow")
        await layer.group_send("room", {"type": "chat.message"})
        assert [await client.recv() for _ in range(3)] == ["met"] * 3


class SyncRoom(JsonWebsocketConsumer):
    concurrency = 4

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        Group.objects.create(name=content)
        self.send_json(Group.objects.count())


class AsyncRoom(AsyncJsonWebsocketConsumer):
    concurrency = 4

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await Group.objects.acreate(name=content)
        await self.send_json(await Group.objects.acount())


class TestInTests(TestCase):
    """Under a communicator sync code stays in the thread of the test, concurrency or not."""

    async def test_sees_the_test(self) -> None:
        """It sees what the test has not committed."""
        await Group.objects.acreate(name="of the test")
        for count, room in enumerate((SyncRoom, AsyncRoom), start=2):
            communicator = WebsocketCommunicator(room.as_asgi(), "/ws/")
            await communicator.connect()
            await communicator.send_json_to(room.__name__)
            assert await communicator.receive_json_from(DEADLINE) == count
            await communicator.disconnect()

    async def test_foreign_tools(self) -> None:
        """Also under test tools whose scope looks like a server's."""
        assert not needs_thread({"type": "http", "asgi": {"version": "3.0"}})


async def test_needs_thread() -> None:
    """Only under a server that has not seen to it."""
    scope = {"type": "websocket", "asgi": {"version": "3.0"}}
    assert needs_thread(scope)
    assert not needs_thread({"type": "websocket"})
    async with ThreadSensitiveContext():
        assert not needs_thread(scope)


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    """Two threads."""
    pool = ThreadPool(2)
    yield pool
    pool.close()


async def test_thread_maker(pool: ThreadPool) -> None:
    """Further executors lend threads of the same pool, under the same label."""
    assert (current_executor(), thread_maker()) == (None, None)
    lent = LentThread(pool, "GET /")
    async with ThreadSensitiveContext(executor=lent):
        assert current_executor() is lent
        make = thread_maker()
        assert make is not None
        other = make()
    assert (other.pool, other.label) == (pool, "GET /")
    assert other is not lent


async def test_no_thread_maker() -> None:
    """An executor that is nobody's pool stays the only one."""
    async with ThreadSensitiveContext():
        await sync_to_async(int)()
        assert thread_maker() is None


async def test_where_it_is(pool: ThreadPool) -> None:
    """The calls of sync code can be seen while it runs, and its return be waited for."""
    entered, leave = threading.Event(), threading.Event()

    def hang() -> None:
        entered.set()
        leave.wait(DEADLINE)

    lent = LentThread(pool)
    assert calls_in(lent) == calls_in(None) == ""
    lent.submit(hang)
    assert entered.wait(DEADLINE)
    assert "in hang\n    leave.wait(DEADLINE)" in calls_in(lent)
    waiting = asyncio.ensure_future(returned(lent))
    await asyncio.sleep(0)
    assert not waiting.done()
    leave.set()
    await waiting


async def test_returned_from_a_closed_pool(pool: ThreadPool) -> None:
    """A pool that has ended is not waited for."""
    pool.close()
    await returned(LentThread(pool))


class Left(WebsocketConsumer):
    """As in many tests, nobody disconnects it."""

    groups = ["everyone"]

    def disconnect(self, code: int) -> None:
        async_to_sync(self.channel_layer.group_discard)("more", self.channel_name)


def leave_open() -> None:
    async def test() -> None:
        communicator = WebsocketCommunicator(Left.as_asgi(), "/")
        await communicator.connect()

    asyncio.run(test())


def test_communicators_that_are_left_open() -> None:
    """The event loop ends, and sync code that waits for it ends, too."""

    async def sync_code() -> int:
        return await sync_to_async(threading.get_ident)()

    for _ in range(10):
        thread = threading.Thread(target=leave_open, daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        assert asyncio.run(sync_code())  # the thread that all share is free


class TestFinishedInThread:
    """Sync code that ends whatever becomes of the task that waits for it."""

    async def test_cancelled_again(self) -> None:
        """A task that is cancelled while it waits goes on waiting, and then is cancelled."""
        began, going_on = threading.Event(), threading.Event()
        ended: list[str] = []

        def work() -> None:
            began.set()
            going_on.wait()
            ended.append("ended")

        task = asyncio.ensure_future(finished_in_thread(work))
        await asyncio.to_thread(began.wait)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        going_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["ended"]

    async def test_cancelled_task(self) -> None:
        """Code of a task that was cancelled before needs no event loop but its own."""
        loops: list[object] = []

        async def here() -> None:
            loops.append(asyncio.get_running_loop())

        async def late() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                assert await finished_in_thread(async_to_sync(here))

        task = asyncio.ensure_future(late())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(loops) == 1
        assert loops[0] is not asyncio.get_running_loop()
