"""Where sync code runs: a bounded pool, in order for one connection, in parallel for several."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from typing import TypeVar

import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async

from fairway._types import Receive, Scope, Send
from fairway.server.application.threads import LentThread, ThreadPool, streaming
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, until
from tests.wire.client import close, text

T = TypeVar("T")


def result(future: "Future[T]") -> T:
    """What a call returned."""
    return future.result(DEADLINE)


class Gate:
    """Sync code that can be held inside.

    Attributes:
        entered: Set when it is inside.
    """

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._leave = threading.Event()

    def __call__(self) -> int:
        """Be inside until the gate opens; returns the thread."""
        self.entered.set()
        assert self._leave.wait(DEADLINE)
        return threading.get_ident()

    def open(self) -> None:
        """Let it go on, and everybody after it."""
        self._leave.set()


class TestThreadPool:
    """Threads that are started when they are needed and then kept."""

    def test_started_when_needed(self, pool: ThreadPool) -> None:
        """There is none before the first call, and one for calls that follow each other."""
        assert pool._threads == []
        names = set()
        for _ in range(5):
            lent = LentThread(pool)
            names.add(result(lent.submit(lambda: threading.current_thread().name)))
            result(LentThread(pool).submit(int))
        assert names <= {"fairway-1", "fairway-2"}
        assert all(thread.daemon for thread in pool._threads)

    def test_bounded(self, pool: ThreadPool) -> None:
        """What comes while all threads are busy waits its turn."""
        inside, leave = threading.Semaphore(0), threading.Event()

        def work() -> int:
            inside.release()
            leave.wait(DEADLINE)
            return threading.get_ident()

        calls = [LentThread(pool).submit(work) for _ in range(6)]
        assert inside.acquire(timeout=DEADLINE)
        assert inside.acquire(timeout=DEADLINE)
        assert not inside.acquire(blocking=False)
        leave.set()
        assert len({result(call) for call in calls}) == 2
        assert len(pool._threads) == 2

    def test_closed(self, pool: ThreadPool) -> None:
        """What was given to it before it is closed is done; then it takes nothing more."""
        gate, busy = Gate(), LentThread(pool)
        first = busy.submit(gate)
        second = busy.submit(int)
        assert gate.entered.wait(DEADLINE)
        queued = LentThread(pool).submit(lambda: 1)
        pool.close()
        pool.close()
        with pytest.raises(
            RuntimeError, match=r"^The server has ended, so no sync code can be run"
        ):
            LentThread(pool).submit(int)
        gate.open()
        assert result(first)
        assert result(queued) == 1
        with pytest.raises(CancelledError):
            result(second)

    def test_keeps_nothing(self, pool: ThreadPool) -> None:
        """An idle thread holds on to nothing of its last call."""

        class Connection:
            pass

        connection = Connection()
        gone = weakref.ref(connection)
        result(LentThread(pool).submit(id, connection))
        with pytest.raises(AttributeError):
            result(LentThread(pool).submit(getattr, connection, "missing"))
        del connection
        # Two calls at once, so that each thread has got past the call before.
        barrier = threading.Barrier(2)
        for call in [LentThread(pool).submit(barrier.wait, DEADLINE) for _ in range(2)]:
            result(call)
        gc.collect()
        assert gone() is None


class TestLentThread:
    """The executor of one connection."""

    def test_result_and_exception(self, pool: ThreadPool) -> None:
        """A call gets its arguments; what it returns or raises is in the future."""
        lent = LentThread(pool)
        assert result(lent.submit(divmod, 7, 2)) == (3, 1)
        assert result(lent.submit(int, "11", base=2)) == 3
        with pytest.raises(ZeroDivisionError):
            result(lent.submit(divmod, 1, 0))
        with pytest.raises(SystemExit):
            result(lent.submit(exit))
        assert result(lent.submit(int)) == 0

    def test_in_order(self, pool: ThreadPool) -> None:
        """Calls of one connection run one at a time, in the order in which they came."""
        lent = LentThread(pool)
        order: list[int] = []
        running = threading.Lock()

        def work(number: int) -> None:
            assert running.acquire(blocking=False)
            order.append(number)
            running.release()

        for call in [lent.submit(work, number) for number in range(100)]:
            result(call)
        assert order == list(range(100))

    def test_fair(self, pool: ThreadPool) -> None:
        """A connection with many calls gives way after each to those that wait."""
        order: list[str] = []
        first, second, third = (LentThread(pool) for _ in range(3))
        blocked, busy = Gate(), Gate()
        first.submit(blocked)
        second.submit(busy)
        calls = [second.submit(order.append, "second") for _ in range(3)]
        calls += [third.submit(order.append, "third")]
        assert blocked.entered.wait(DEADLINE)
        assert busy.entered.wait(DEADLINE)
        busy.open()
        for call in calls:
            result(call)
        blocked.open()
        assert order[0] == "third"

    def test_cancelled(self, pool: ThreadPool) -> None:
        """A call that was cancelled before its turn is not made, and does not stop the next."""
        lent = LentThread(pool)
        gate = Gate()
        made: list[int] = []
        lent.submit(gate)
        second, third = lent.submit(made.append, 2), lent.submit(made.append, 3)
        assert second.cancel()
        gate.open()
        result(third)
        assert made == [3]

    def test_thread(self, pool: ThreadPool) -> None:
        """While its code runs, one can find out in which thread."""
        lent = LentThread(pool, "GET /")
        assert lent.label == "GET /"
        assert lent.thread is None
        gate = Gate()
        call = lent.submit(gate)
        assert gate.entered.wait(DEADLINE)
        running_in = lent.thread
        gate.open()
        assert result(call) == running_in

    async def test_with_asgiref(self, pool: ThreadPool) -> None:
        """Sync code that awaits gives its thread back, and async code in it runs on the loop."""
        loop_thread = threading.get_ident()

        async def inner() -> tuple[int, int]:
            return threading.get_ident(), await sync_to_async(threading.get_ident)()

        def outer() -> tuple[int, tuple[int, int]]:
            return threading.get_ident(), async_to_sync(inner)()

        async with ThreadSensitiveContext(executor=LentThread(pool)):
            mine, (middle, nested) = await sync_to_async(outer)()
        assert middle == loop_thread
        assert mine == nested != loop_thread


@pytest.fixture
def as_stream() -> Iterator[None]:
    """What is submitted counts as a part of a streaming response."""
    token = streaming.set(True)
    yield
    streaming.reset(token)


class TestStreams:
    """Iterators of streaming responses, which may wait as long as they like."""

    def test_they_leave_threads_for_others(self, pool: ThreadPool) -> None:
        """However many of them wait, they hold half of the threads at most."""
        gates = [Gate(), Gate()]
        token = streaming.set(True)
        futures = [LentThread(pool).submit(gate) for gate in gates]
        streaming.reset(token)
        assert gates[0].entered.wait(DEADLINE)
        for _ in range(3):
            assert result(LentThread(pool).submit(threading.get_ident))
        assert not gates[1].entered.is_set()
        gates[0].open()
        assert gates[1].entered.wait(DEADLINE)
        gates[1].open()
        assert [result(future) for future in futures]

    @pytest.mark.usefixtures("as_stream")
    def test_in_order_with_other_calls(self, pool: ThreadPool) -> None:
        """A connection's calls stay in order, whatever they are for."""
        gate, lent = Gate(), LentThread(pool)
        first = lent.submit(gate)
        second = lent.submit(threading.get_ident)
        gate.open()
        assert result(first)
        assert result(second)

    @pytest.mark.parametrize(
        ("size", "streams", "most"), [(32, 0, 16), (1, 0, 1), (3, 0, 1), (8, 6, 6), (4, 9, 4)]
    )
    def test_how_many(self, size: int, streams: int, most: int) -> None:
        """Half of the threads, or what was asked for, and no more than there are."""
        assert ThreadPool(size, streams).streams == most

    @pytest.mark.usefixtures("as_stream")
    def test_closing(self, pool: ThreadPool) -> None:
        """One that waits when the pool is closed is called nonetheless: someone waits for it."""
        gates = [Gate(), Gate()]
        futures = [LentThread(pool).submit(gate) for gate in gates]
        assert gates[0].entered.wait(DEADLINE)
        pool.close()
        for gate in gates:
            gate.open()
        assert [result(future) for future in futures]


class TestInServer:
    """What it is for: sync code under the server."""

    @pytest.mark.row("7 13")
    async def test_parallel(self, serve: Serve) -> None:
        """Sync code of different connections runs in parallel: all are inside at once."""
        together = threading.Barrier(5)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await sync_to_async(together.wait)(DEADLINE)
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"all there"})

        running = await serve(app, threads=5)
        clients = [await running.connect() for _ in range(5)]
        responses = await asyncio.gather(*(client.fetch() for client in clients))
        assert [response.body for response in responses] == [b"all there"] * 5

    async def test_one_connection_in_order(self, serve: Serve) -> None:
        """Sync code of one connection runs one call at a time, in order."""
        order: list[int] = []
        running = threading.Lock()

        def work(number: int) -> None:
            assert running.acquire(blocking=False)
            order.append(number)
            running.release()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await asyncio.gather(*(sync_to_async(work)(number) for number in range(20)))
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

        server = await serve(app)
        client = await server.connect()
        assert (await client.fetch()).status == 204
        assert order == list(range(20))

    @pytest.mark.row("7 19")
    async def test_no_thread_per_request(self, serve: Serve) -> None:
        """However many requests there are, the threads are those of the pool."""
        seen: set[str] = set()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.add(await sync_to_async(lambda: threading.current_thread().name)())
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

        running = await serve(app, threads=3)
        clients = [await running.connect() for _ in range(10)]
        for _ in range(5):
            await asyncio.gather(*(client.fetch() for client in clients))
        assert seen <= {"fairway-1", "fairway-2", "fairway-3"}

    async def test_thread_is_not_held_across_awaits(self, serve: Serve) -> None:
        """With a single thread, sync code of others runs while a connection waits for something."""
        arrived, go_on = asyncio.Semaphore(0), asyncio.Event()
        idents = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            idents.append(await sync_to_async(threading.get_ident)())
            arrived.release()
            await go_on.wait()
            idents.append(await sync_to_async(threading.get_ident)())
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

        running = await serve(app, threads=1)
        clients = [await running.connect() for _ in range(3)]
        for client in clients:
            await client.get()
        async with asyncio.timeout(DEADLINE):
            for _ in clients:
                await arrived.acquire()
        go_on.set()
        for client in clients:
            assert (await client.response()).status == 204
        assert len(set(idents)) == 1

    @pytest.mark.row("7 13")
    async def test_websockets(self, serve: Serve) -> None:
        """WebSockets are no different: in order on one of them, in parallel on several."""
        together = threading.Barrier(3)
        orders: dict[str, list[str]] = {}

        def handle(path: str, message: str) -> None:
            if message == "meet":
                together.wait(DEADLINE)
            orders.setdefault(path, []).append(message)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            while (event := await receive())["type"] == "websocket.receive":
                await sync_to_async(handle)(scope["path"], event["text"])
            orders[scope["path"]].append("end")

        running = await serve(app, threads=3)
        clients = [await running.websocket() for _ in range(3)]
        for number, client in enumerate(clients):
            await client.open(f"/{number}")
            await client.send(text("one") + text("meet") + text("two") + close(1000))
        await until(lambda: not running.context.tasks)
        assert orders == {f"/{number}": ["one", "meet", "two", "end"] for number in range(3)}
