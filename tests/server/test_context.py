"""What all connections of one server share."""

import asyncio
import contextvars
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async

from fairway.delivery import Mailbox
from fairway.server import AccessRecord, Config
from fairway.server import context as context_module
from fairway.server.application.stacks import format_stack
from fairway.server.application.threads import LentThread
from fairway.server.config import ConfigError
from fairway.server.context import Context
from fairway.server.dates import http_date
from fairway.server.deadlines import RESOLUTION
from fairway.server.http.connection import Connection
from fairway.wire.http1 import HTTP1Connection, Request
from tests.server import applications
from tests.server.application.test_threads import Gate
from tests.server.clock import Clock
from tests.server.running import DEADLINE, Logs, until


class Loop(Clock):
    """The running event loop, but for its clock."""

    def get_task_factory(self) -> Any:
        """That of the true loop."""
        return asyncio.get_running_loop().get_task_factory()

    def create_task(
        self, coroutine: Coroutine[Any, Any, None], *, context: contextvars.Context | None = None
    ) -> "asyncio.Task[None]":
        """Run a coroutine in the true loop."""
        return asyncio.get_running_loop().create_task(coroutine, context=context)

    def call_soon(self, callback: Callable[[], None], *, context: contextvars.Context) -> None:
        """Call it in the true loop's next turn."""
        asyncio.get_running_loop().call_soon(callback, context=context)


@pytest.fixture
def loop() -> Loop:
    """A loop whose time the test moves."""
    return Loop()


def make(loop: Loop, access_log: Any = None, **options: Any) -> Context:
    """A context on this loop."""
    true_loop = cast("asyncio.AbstractEventLoop", loop)
    return Context(applications.path, Config(**options), true_loop, access_log)


@pytest.fixture
def context(loop: Loop) -> Iterator[Context]:
    """With the default configuration."""
    context = make(loop)
    yield context
    context.close()


@pytest.fixture
def executor(context: Context) -> LentThread:
    """Where the sync code of a ``GET /`` runs."""
    return LentThread(context.threads, "GET /")


@pytest.fixture
async def never() -> AsyncIterator[asyncio.Event]:
    """An event that tests wait for; it happens when they are over."""
    event = asyncio.Event()
    yield event
    event.set()


def request(target: bytes = b"/a?b") -> Request:
    """A GET."""
    found, _ = HTTP1Connection().receive_data(b"GET " + target + b" HTTP/1.1\r\nHost:\r\n\r\n")
    assert isinstance(found, Request)
    return found


async def wait_for(event: asyncio.Event) -> None:
    """An application that waits."""
    await event.wait()


def hung(why: str, stack: str) -> list[str]:
    """What is logged when an application is cancelled."""
    start = f"WARNING Application for GET / {why}; it was cancelled. It was waiting here:"
    return [f"{start}\n{stack}"]


async def is_quiet(waiting: "asyncio.Task[None]") -> bool:
    """Whether somebody who waits for the end is woken, when the loop has turned a few times."""
    for _ in range(3):
        await asyncio.sleep(0)
    return waiting.done()


class TestConfiguration:
    """What follows from the options."""

    def test_limits(self, loop: Loop) -> None:
        """The limits of requests are those of the configuration; no limit of bodies is None."""
        limits = make(loop, max_request_line=1, max_header_size=2, max_header_count=3).limits
        assert (limits.request_line, limits.header_size, limits.header_count) == (1, 2, 3)
        assert limits.body_size is None
        assert make(loop, max_body_size=4).limits.body_size == 4
        assert limits.host_required
        assert not make(loop, require_host=False).limits.host_required

    def test_server_header(self, loop: Loop) -> None:
        """The name of the server is bytes, or None for no header."""
        assert make(loop).server_header == b"fairway"
        assert make(loop, server_name="").server_header is None

    def test_proxies(self, loop: Loop) -> None:
        """Only with ``proxy_headers`` is anybody's header believed."""
        assert make(loop).proxies is None
        proxies = make(loop, proxy_headers=True).proxies
        assert proxies is not None
        assert proxies.trusts("127.0.0.1")

    def test_wrong_proxies(self, loop: Loop) -> None:
        """A network that is none is refused at the start."""
        with pytest.raises(ConfigError) as caught:
            make(loop, proxy_headers=True, trusted_proxies=("here",))
        assert str(caught.value) == (
            "trusted_proxies: 'here' does not appear to be an IPv4 or IPv6 network."
        )


class TestDate:
    """RFC 9110 §6.6.1: the date of each response."""

    @pytest.fixture
    def times(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """What the clock on the wall shows, one moment after the other."""
        times: list[float] = []
        monkeypatch.setattr(context_module, "time", SimpleNamespace(time=lambda: times.pop(0)))
        return times

    def test_form(self, context: Context, times: list[float]) -> None:
        """It has the preferred form, in GMT."""
        times.append(784111777.9)
        assert context.date() == b"Sun, 06 Nov 1994 08:49:37 GMT"

    def test_once_a_second(
        self, context: Context, times: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is made once a second, also when the clock is put back."""
        made: list[int] = []

        def count(when: int) -> bytes:
            made.append(when)
            return http_date(when)

        monkeypatch.setattr(context_module, "http_date", count)
        times += [1000.0, 1000.0, 1000.99, 1001.0, 1001.5, 1000.5]
        dates = [context.date()[-6:-4] for _ in range(6)]
        assert dates == [b"40", b"40", b"40", b"41", b"41", b"40"]
        assert made == [1000, 1001, 1000]


class TestLog:
    """What the access log is told."""

    def test_request(self, loop: Loop) -> None:
        """A request, with the time that it took."""
        records: list[AccessRecord] = []
        context = make(loop, records.append)
        context.log("complete", 200, request(), ("192.0.2.1", 5000), loop.now - 1.5, 7)
        assert records == [
            AccessRecord("http", "complete", "GET", "/a?b", "1.1", 200, "192.0.2.1:5000", 7, 1.5)
        ]

    def test_websocket(self, loop: Loop) -> None:
        """A step of a WebSocket; who comes by a Unix socket has no address."""
        records: list[AccessRecord] = []
        make(loop, records.append).log("connecting", 0, request(), None, loop.now)
        assert records == [AccessRecord("websocket", "connecting", "GET", "/a?b", "1.1", 0, "")]

    def test_nobody(self, context: Context, loop: Loop) -> None:
        """Without an access log there is nothing to do."""
        context.log("complete", 200, request(), None, loop.now)

    def test_broken(self, loop: Loop, logs: Logs) -> None:
        """That it cannot be written is logged once, and again after it could in between."""
        full = True

        def write(record: AccessRecord) -> None:
            if full:
                raise OSError("The disk is full")

        context = make(loop, write)
        for full in (True, True, False, True, True):  # noqa: B007  write() looks at it
            context.log("complete", 200, request(), None, loop.now)
        message = "ERROR The access log cannot be written; the server goes on without it"
        assert logs.take_exceptions() == [(message, OSError)] * 2

    def test_exception(self, context: Context, logs: Logs) -> None:
        """What an application raises is logged with its traceback and what it served."""
        context.log_exception("GET /", ZeroDivisionError("oh"))
        message = "ERROR Exception inside application for GET /: ZeroDivisionError('oh')"
        assert logs.take_exceptions() == [(message, ZeroDivisionError)]

    def test_exception_that_cannot_be_shown(self, context: Context, logs: Logs) -> None:
        """Also one whose text is an error of its own, as where it names a user of the database."""

        class Unshowable(Exception):
            def __repr__(self) -> str:
                raise LookupError("no database here")

            __str__ = __repr__

        context.log_exception("GET /", Unshowable())
        [(message, kind)] = logs.take_exceptions()
        assert message.startswith(
            "ERROR Exception inside application for GET /: <Unshowable instance at 0x"
        )
        assert kind is Unshowable


async def test_soon(context: Context) -> None:
    """What is wanted soon happens in the next turn, in order; what it wants itself later."""
    order: list[str] = []

    def first() -> None:
        order.append("first")
        context.soon(lambda: order.append("third"))

    context.soon(first)
    context.soon(lambda: order.append("second"))
    assert order == []
    await asyncio.sleep(0)
    assert order == ["first", "second"]
    await asyncio.sleep(0)
    assert order == ["first", "second", "third"]


class TestTasks:
    """Applications that run."""

    async def test_spawn(
        self, context: Context, executor: LentThread, never: asyncio.Event
    ) -> None:
        """A task is known with its executor while it runs, and then no more."""
        task = context.spawn(wait_for(never), executor)
        assert context.tasks == {task: executor}
        assert not context.quiet
        never.set()
        await task
        await asyncio.sleep(0)
        assert context.tasks == {}
        assert context.quiet

    async def test_goodbye(self, context: Context, executor: LentThread) -> None:
        """A task may say itself that it ends."""
        known: list[bool] = []

        async def application() -> None:
            known.append(task in context.tasks)
            context.forget(task)
            known.append(task in context.tasks)

        task = context.spawn(application(), executor, request=True)
        await task
        assert known == [True, False]

    async def test_cancelled_before_it_begins(
        self, context: Context, executor: LentThread, logs: Logs
    ) -> None:
        """One that could not say so any more is forgotten, too."""
        task = context.spawn(asyncio.sleep(0), executor, request=True)
        context.cancel(task, "is not wanted")
        await asyncio.wait([task])
        assert task.cancelled()
        assert context.tasks == {}
        assert len(logs.take()) == 1

    async def test_failure(self, context: Context, executor: LentThread) -> None:
        """A task that fails is forgotten like any other; its exception is its own."""

        async def application() -> None:
            raise ZeroDivisionError("oh")

        task = context.spawn(application(), executor)
        await asyncio.wait([task])
        assert context.tasks == {}
        with pytest.raises(ZeroDivisionError, match=r"^oh$"):
            task.result()

    async def test_cancelled(
        self, context: Context, executor: LentThread, never: asyncio.Event, logs: Logs
    ) -> None:
        """What is cancelled is logged with the place where it hung."""
        task = context.spawn(wait_for(never), executor)
        await asyncio.sleep(0)
        stack = format_stack(task)
        context.cancel(task, "is not wanted")
        await asyncio.wait([task])
        assert task.cancelled()
        assert context.tasks == {}
        assert stack.splitlines()[1] == "    await event.wait()"
        assert logs.take() == hung("is not wanted", stack)

    async def test_cancelled_in_a_thread(
        self, context: Context, executor: LentThread, logs: Logs
    ) -> None:
        """Sync code goes on; the log shows where it was, too."""
        gate = Gate()

        async def application() -> None:
            async with ThreadSensitiveContext(executor=executor):
                await sync_to_async(gate)()

        task = context.spawn(application(), executor)
        await until(gate.entered.is_set)
        context.cancel(task, "is not wanted")
        gate.open()
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait([task])
        (message,) = logs.take()
        _, _, thread = message.partition("\nIts sync code, which cannot be cancelled, was here:\n")
        assert "in __call__\n    assert self._leave.wait(DEADLINE)\n" in thread

    async def test_cancelled_with_a_report(
        self, context: Context, executor: LentThread, never: asyncio.Event, logs: Logs
    ) -> None:
        """The application may say itself what it is doing; it is asked before it is cancelled."""
        mailbox = executor.mailbox = Mailbox(asyncio.get_running_loop())
        task = context.spawn(wait_for(never), executor)
        mailbox.on_overdue = lambda: f"It is busy, {task.cancelling()}."
        await asyncio.sleep(0)
        stack = format_stack(task)
        context.cancel(task, "is not wanted")
        await asyncio.wait([task])
        assert logs.take() == hung("is not wanted", f"{stack}\nIt is busy, 0.")

    async def test_ended(self, context: Context, executor: LentThread) -> None:
        """What has ended is not cancelled, and not logged."""
        task = context.spawn(asyncio.sleep(0), executor)
        await task
        await asyncio.sleep(0)
        context.cancel(task, "is not wanted")
        assert not task.cancelled()


class TestReap:
    """A task whose client is gone."""

    async def test_straggler(
        self, context: Context, loop: Loop, never: asyncio.Event, executor: LentThread, logs: Logs
    ) -> None:
        """After ``application_close_timeout`` it is cancelled, and the log shows where it hung."""
        task = context.spawn(wait_for(never), executor)
        await asyncio.sleep(0)
        stack = format_stack(task)
        context.reap(task)
        loop.advance(10.0 - RESOLUTION)
        assert task.cancelling() == 0
        loop.advance(2 * RESOLUTION)
        await asyncio.wait([task])
        assert task.cancelled()
        why = "went on for more than 10 s after its client had gone"
        assert logs.take() == hung(why, stack)
        assert loop.timers == []

    async def test_longer_than_the_clock_keeps(
        self, loop: Loop, never: asyncio.Event, logs: Logs
    ) -> None:
        """A long time is not cut short by the clock, which asks at least once a minute."""
        context = make(loop, application_close_timeout=200)
        task = context.spawn(wait_for(never), LentThread(context.threads, "GET /"))
        context.reap(task)
        loop.advance(199.9)
        assert task.cancelling() == 0
        loop.advance(0.2)
        await asyncio.wait([task])
        assert task.cancelled()
        (message,) = logs.take()
        assert message.startswith("WARNING Application for GET / went on for more than 200 s")

    async def test_in_time(self, context: Context, loop: Loop, executor: LentThread) -> None:
        """One that ends in time is left alone, and nothing waits for it any more."""
        task = context.spawn(asyncio.sleep(0), executor)
        context.reap(task)
        await task
        await asyncio.sleep(0)
        loop.advance(20.0)
        assert not task.cancelled()
        assert loop.timers == []

    async def test_done(self, context: Context, loop: Loop, executor: LentThread) -> None:
        """One that has ended is not waited for at all."""
        task = context.spawn(asyncio.sleep(0), executor)
        await task
        context.reap(task)
        assert loop.timers == []

    async def test_no_limit(self, loop: Loop, never: asyncio.Event) -> None:
        """With a timeout of 0 it may go on for ever."""
        context = make(loop, application_close_timeout=0)
        task = context.spawn(wait_for(never), LentThread(context.threads))
        context.reap(task)
        assert loop.timers == []
        never.set()
        await task


class TestQuiet:
    """Whether anybody is there."""

    async def test_connections(self, context: Context) -> None:
        """A connection is known until it is gone; what is gone may go again."""
        first, second = Connection(context), Connection(context)
        context.register(first)
        context.register(second)
        assert context.connections == {first, second}
        context.unregister(first)
        assert not context.quiet
        context.unregister(second)
        context.unregister(second)
        assert context.quiet

    async def test_draining(
        self, context: Context, executor: LentThread, never: asyncio.Event
    ) -> None:
        """Who waits for the end is woken by the last one to go, be it a connection or a task."""
        last = Connection(context)
        context.register(last)
        task = context.spawn(wait_for(never), executor)
        context.draining = True
        waiting = asyncio.ensure_future(context.wait_until_quiet())
        context.unregister(last)
        assert not await is_quiet(waiting)
        never.set()
        await task
        assert await is_quiet(waiting)

    async def test_last_is_a_connection(self, context: Context, executor: LentThread) -> None:
        """The other way round."""
        last = Connection(context)
        context.register(last)
        context.draining = True
        waiting = asyncio.ensure_future(context.wait_until_quiet())
        await context.spawn(asyncio.sleep(0), executor)
        assert not await is_quiet(waiting)
        context.unregister(last)
        assert await is_quiet(waiting)

    async def test_not_draining(self, context: Context) -> None:
        """A pause between two clients is not the end."""
        waiting = asyncio.ensure_future(context.wait_until_quiet())
        last = Connection(context)
        context.register(last)
        context.unregister(last)
        assert not await is_quiet(waiting)
        waiting.cancel()


async def test_close(context: Context, loop: Loop, never: asyncio.Event) -> None:
    """Closed, it has no timer and takes no more sync code."""
    executor = LentThread(context.threads, "GET /")
    task = context.spawn(wait_for(never), executor)
    context.reap(task)
    assert len(loop.timers) == 1
    context.close()
    assert loop.timers == []
    with pytest.raises(RuntimeError) as caught:
        executor.submit(int)
    assert str(caught.value) == "The server has ended, so no sync code can be run any more."
    never.set()
    await task


class TestAskToRetry:
    """When clients are asked to come back that have all lost their connection."""

    def test_spread(self, loop: Loop) -> None:
        """However many they are, they are spread evenly over the window."""
        context = make(loop, websocket_retry_window=10)
        for count in (10, 100, 1000):
            moments = [float(context.ask_to_retry("x").partition("=")[2]) for _ in range(count)]
            assert all(0 <= moment <= 10 for moment in moments)
            for second in range(10):
                share = sum(second <= moment < second + 1 for moment in moments)
                assert abs(share - count / 10) <= count / 100 + 3
        context.close()

    def test_format(self, loop: Loop) -> None:
        """The reason ends with it."""
        context = make(loop)
        reason = context.ask_to_retry("The server is restarting.")
        assert re.fullmatch(r"The server is restarting\. retry=[0-5]\.\d", reason)
        context.close()

    def test_off(self, loop: Loop) -> None:
        """Without a window nobody is asked."""
        context = make(loop, websocket_retry_window=0)
        assert context.ask_to_retry("The server is restarting.") == "The server is restarting."
        context.close()


def test_compression(loop: Loop) -> None:
    """Compression is there unless it is switched off."""
    on, off = make(loop), make(loop, websocket_compression=False)
    assert on.compression is not None
    assert off.compression is None
    on.close()
    off.close()
