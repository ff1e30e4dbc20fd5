"""Jobs from beginning to end: at once, again, among the dead letters, acknowledged."""

import asyncio
import logging
import threading
from typing import Any, ClassVar

import pytest
from django.core.exceptions import ImproperlyConfigured

import fairway.worker.jobs
from fairway._types import Event, Receive, Scope, Send
from fairway.consumer import AsyncConsumer, SyncConsumer
from fairway.exceptions import ChannelFull
from fairway.layers import InMemoryChannelLayer
from fairway.worker import CurrentJob, JobFailed, Worker, current_job, job
from fairway.worker.policy import LOST_LIMIT
from tests.clock import Clock
from tests.worker.tools import Layer, stopping, until, working

pytestmark = [pytest.mark.row("1.8 Worker"), pytest.mark.pain(23)]


class Recording(InMemoryChannelLayer):
    """Delivers what is delayed at once, and remembers the delays."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sent: list[tuple[str, Event, float]] = []
        self.given_back: list[float] = []

    async def send(self, channel: str, message: Event, *, delay: float = 0.0) -> None:
        """Forget the delay."""
        self.sent.append((channel, message, delay))
        await super().send(channel, message)


class Flaky(AsyncConsumer):
    """Fails as often as the message says."""

    seen: ClassVar[list[CurrentJob | None]]

    @job(retries=3, backoff=8, max_backoff=16, dead_letter="dead", retry_on=(LookupError,))
    async def flaky(self, message: Event) -> None:
        """Fail."""
        await self.work(message)

    @job(retries=2, backoff=0)
    async def quick(self, message: Event) -> None:
        """Fail, without a pause between attempts."""
        await self.work(message)

    async def plain(self, message: Event) -> None:
        """Fail for good."""
        await self.work(message)

    async def work(self, message: Event) -> None:
        current = current_job()
        self.seen.append(current)
        assert current is not None
        if current.attempt <= message["failures"]:
            raise message.get("error", LookupError)(f"attempt {current.attempt}")

    @classmethod
    def attempts(cls) -> list[int]:
        return [current.attempt for current in cls.seen if current is not None]


class FlakyAndKept(Flaky):
    """The same, and one that the layer keeps."""

    @job(retries=2, backoff=0, acknowledge=True)
    async def kept(self, message: Event) -> None:
        """Fail, and stay in the layer."""
        await self.work(message)


@pytest.fixture(autouse=True)
def _fresh(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="django.channels.worker")
    Flaky.seen = []


class TestConcurrency:
    async def test_as_many_jobs_at_once_as_asked_for(self) -> None:
        """Four jobs of one channel meet, each in an instance of its own; a fifth waits outside."""
        layer = InMemoryChannelLayer()
        together = asyncio.Barrier(4)
        instances: list[AsyncConsumer] = []
        held = asyncio.Event()

        class Meeting(AsyncConsumer):
            async def meet(self, message: Event) -> None:
                """Wait for the others."""
                instances.append(self)
                await together.wait()
                await held.wait()

        for _ in range(5):
            await layer.send("meetings", {"type": "meet"})
        async with stopping(
            Meeting.as_asgi(), layer, ["meetings", "others"], concurrency={"meetings": 4}
        ) as worker:
            await until(lambda: len(instances) == 4)
            assert worker.stats("meetings")["running"] == 4
            assert worker.stats("meetings")["taken"] == 4
            assert len(set(map(id, instances))) == 4
            worker.stop()
            held.set()
        assert worker.stats()["done"] == 4
        assert await layer.receive("meetings") == {"type": "meet"}

    async def test_sync_jobs_run_in_parallel_threads(self) -> None:
        """As many threads as slots, and not one more."""
        layer = InMemoryChannelLayer()
        together = threading.Barrier(3, timeout=20)
        threads: set[int] = set()

        class Meeting(SyncConsumer):
            def meet(self, message: Event) -> None:
                """Wait for the others."""
                threads.add(threading.get_ident())
                together.wait()

        for _ in range(9):
            await layer.send("meetings", {"type": "meet"})
        async with working(Meeting.as_asgi(), layer, ["meetings"], concurrency=3) as worker:
            await until(lambda: worker.stats()["done"] == 9)
        assert len(threads) == 3

    async def test_prefetched_jobs_survive_a_failing_one(self) -> None:
        """What was taken beyond the running job is done all the same."""
        layer = InMemoryChannelLayer()
        for failures in (1, 0, 0, 0):
            await layer.send("jobs", {"type": "plain", "failures": failures})
        async with working(Flaky.as_asgi(), layer, prefetch=3) as worker:
            await until(lambda: worker.stats()["done"] == 3)
            assert worker.stats()["failed"] == 1
        assert Flaky.attempts() == [1, 1, 1, 1]

    def test_a_consumer_with_a_concurrency_of_its_own_is_refused(self) -> None:
        """Nobody could tell when it is done with a job."""

        class Several(AsyncConsumer):
            concurrency = 4

        with pytest.raises(ImproperlyConfigured) as caught:
            Worker(Several.as_asgi(), ["jobs"], InMemoryChannelLayer())
        assert str(caught.value) == (
            "Several has a concurrency of 4, which is for connections. In a worker each job has an "
            "instance of its own: take it away, and run as many at once with 'runworker jobs=4'."
        )

    @pytest.mark.parametrize("size", [0, -1])
    def test_it_has_a_lower_limit(self, size: int) -> None:
        """The error names the channel."""
        with pytest.raises(
            ValueError, match=r"^The concurrency of channel 'jobs' must be 1 or more\.$"
        ):
            Worker(Flaky.as_asgi(), ["jobs"], InMemoryChannelLayer(), concurrency=size)

    def test_numbers_are_checked(self) -> None:
        """Neither leases nor prefetch go below nothing."""
        with pytest.raises(ValueError, match="lease must be more than 0, and prefetch 0 or more"):
            Worker(Flaky.as_asgi(), ["jobs"], InMemoryChannelLayer(), prefetch=-1)


class TestRetries:
    async def test_back_off(self, caplog: pytest.LogCaptureFixture) -> None:
        """Each retry waits twice as long, up to the limit; each failure is logged with its fate."""
        layer = Recording()
        await layer.send("jobs", {"type": "flaky", "failures": 3})
        async with working(Flaky.as_asgi(), layer) as worker:
            await until(lambda: worker.stats()["done"])
            assert worker.stats() == {
                "taken": 4, "done": 1, "failed": 3, "retried": 3, "dead": 0, "requeued": 0,
                "running": 0,
            }  # fmt: skip
        assert Flaky.seen == [
            CurrentJob("jobs", attempt, retries_left)
            for attempt, retries_left in ((1, 3), (2, 2), (3, 1), (4, 0))
        ]
        delays = [delay for _, _, delay in layer.sent[1:]]
        for delay, longest in zip(delays, (8, 16, 16), strict=True):
            assert longest / 2 <= delay <= longest
        assert caplog.messages == [
            f"Job of type 'flaky' (22 bytes) from channel 'jobs' failed: LookupError: attempt "
            f"{number}; retry {number} of 3 comes in {delay:.1f} s."
            for number, delay in enumerate(delays, 1)
        ]
        assert [record.levelname for record in caplog.records] == ["WARNING"] * 3

    async def test_the_message_is_what_was_sent(self) -> None:
        """The number of the attempt travels with the message, and the handler does not see it."""
        layer, messages = Recording(), []

        class Keeping(Flaky):
            async def dispatch(self, message: Event) -> None:
                messages.append(message)
                await super().dispatch(message)

        await layer.send("jobs", {"type": "quick", "failures": 1})
        async with working(Keeping.as_asgi(), layer) as worker:
            await until(lambda: worker.stats()["done"])
        assert messages == [{"type": "quick", "failures": 1}] * 2
        assert layer.sent[1][1] == {"type": "quick", "failures": 1, "__fairway_attempt__": 2}

    async def test_a_forged_number_is_ignored(self) -> None:
        """Nonsense in its place makes it a first attempt."""
        layer = InMemoryChannelLayer()
        for number in ("2", -5, True, None):
            await layer.send(
                "jobs", {"type": "plain", "failures": 0, "__fairway_attempt__": number}
            )
        async with working(Flaky.as_asgi(), layer) as worker:
            await until(lambda: worker.stats()["done"] == 4)
        assert Flaky.attempts() == [1, 1, 1, 1]

    async def test_a_foreign_layer_delays_nothing_so_the_worker_does(self) -> None:
        """Retries wait in the worker, in the order of their time, and others go on meanwhile."""
        layer = Layer()
        layer.put("jobs", {"type": "quick", "failures": 2}, {"type": "plain", "failures": 0})
        async with working(Flaky.as_asgi(), layer) as worker:
            await until(lambda: worker.stats()["done"] == 2)
            assert worker.stats()["taken"] == 2
        assert sorted(Flaky.attempts()) == [1, 1, 2, 3]
        assert layer.waiting("jobs") == []

    async def test_what_waits_for_its_retry_goes_back_at_the_end(self) -> None:
        """A foreign layer gets it back with the number of its attempt; the next worker goes on."""
        layer = Layer()
        layer.put("jobs", {"type": "flaky", "failures": 1})
        async with stopping(Flaky.as_asgi(), layer) as worker:
            await until(lambda: worker.stats()["retried"])
            worker.stop()
        assert worker.stats()["requeued"] == 1
        again = {"type": "flaky", "failures": 1, "__fairway_attempt__": 2}
        assert layer.waiting("jobs") == [again]
        layer.put("jobs", again)
        async with working(Flaky.as_asgi(), layer) as worker:
            await until(lambda: worker.stats()["done"])
        assert Flaky.attempts() == [1, 2]

    async def test_a_full_channel_loses_no_retry(self) -> None:
        """What the channel does not take for later waits in the worker."""

        class Full(InMemoryChannelLayer):
            async def send(self, channel: str, message: Event, *, delay: float = 0.0) -> None:
                if "__fairway_attempt__" in message:
                    raise ChannelFull(channel)
                await super().send(channel, message, delay=delay)

        layer = Full()
        await layer.send("jobs", {"type": "quick", "failures": 2})
        async with working(Flaky.as_asgi(), layer) as worker:
            await until(lambda: worker.stats()["done"])
        assert Flaky.attempts() == [1, 2, 3]

    async def test_an_application_may_have_told_itself(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """``JobFailed`` is retried and counted like others, but not logged; its cause decides."""
        causes = [LookupError(), ValueError()]

        @job(retries=5, backoff=0, retry_on=(LookupError,))
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            raise JobFailed from causes.pop(0)

        layer = InMemoryChannelLayer()
        await layer.send("jobs", {"type": "x"})
        async with working(application, layer) as worker:
            await until(lambda: worker.stats()["failed"] == 2)
            assert worker.stats()["retried"] == 1
        assert caplog.messages == []


class TestDeadLetters:
    async def test_what_failed_for_good_is_found_there(self) -> None:
        """The letter says what, from where, why and after how many attempts."""
        layer = Recording()
        await layer.send("jobs", {"type": "flaky", "failures": 9})
        async with working(Flaky.as_asgi(), layer) as worker:
            letter = await layer.receive("dead")
            assert worker.stats()["dead"] == 1
        traceback = letter.pop("traceback")
        assert letter == {
            "type": "job.failed",
            "channel": "jobs",
            "message": {"type": "flaky", "failures": 9},
            "attempt": 4,
            "error": "LookupError: attempt 4",
        }
        assert traceback.startswith("Traceback (most recent call last):\n")
        assert 'raise message.get("error", LookupError)' in traceback

    async def test_what_is_not_worth_a_retry_goes_there_at_once(self) -> None:
        """An exception that ``retry_on`` does not name is final."""

        class Wrong(AsyncConsumer):
            @job(retries=3, retry_on=(LookupError,), dead_letter="dead")
            async def wrong(self, message: Event) -> None:
                """Fail for good."""
                raise ValueError("nonsense")

        layer = InMemoryChannelLayer()
        await layer.send("jobs", {"type": "wrong"})
        async with working(Wrong.as_asgi(), layer):
            letter = await layer.receive("dead")
        assert (letter["attempt"], letter["error"]) == (1, "ValueError: nonsense")

    async def test_when_they_are_full_the_job_is_lost(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Nobody reads them: that is logged, and the worker goes on."""
        layer = InMemoryChannelLayer(channel_capacity={"dead": 1})
        await layer.send("dead", {"type": "job.failed"})
        for failures in (1, 0):
            await layer.send("jobs", {"type": "dying", "failures": failures})

        class Dying(Flaky):
            @job(dead_letter="dead")
            async def dying(self, message: Event) -> None:
                """Fail for good."""
                await self.work(message)

        async with working(Dying.as_asgi(), layer) as worker:
            await until(lambda: worker.stats()["done"] == 1)
            assert worker.stats()["dead"] == 0
        assert caplog.messages[-1].startswith("Job of type 'job.failed' (")
        assert caplog.messages[-1].endswith(
            " bytes) is lost, as channel 'dead' did not take it: ChannelFull('dead')."
        )


class TestAcknowledgement:
    async def test_a_job_stays_until_it_is_done(self) -> None:
        """Its lease is on while it runs, and ended when it has run."""
        clock, begun, go_on = Clock(), asyncio.Event(), asyncio.Event()

        class Kept(AsyncConsumer):
            @job(acknowledge=True)
            async def keep(self, message: Event) -> None:
                """Wait."""
                begun.set()
                await go_on.wait()

        layer = InMemoryChannelLayer(clock=clock)
        await layer.send("jobs", {"type": "keep"})
        async with working(Kept.as_asgi(), layer, lease=1000) as worker:
            await begun.wait()
            go_on.set()
            await until(lambda: worker.stats()["done"])
        clock.now += 5000
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await layer.receive("jobs")

    async def test_a_job_of_a_killed_worker_comes_back(self) -> None:
        """Nobody renews the lease of a dead worker: another one begins again, and knows it."""
        clock = Clock()
        layer = InMemoryChannelLayer(clock=clock)
        await layer.send("jobs", {"type": "kept", "failures": 0})
        await layer.receive_job("jobs", lease=30)  # by a worker that dies now
        clock.now += 31
        async with working(FlakyAndKept.as_asgi(), layer) as worker:
            await until(lambda: worker.stats()["done"])
        assert Flaky.seen == [CurrentJob("jobs", 2, 1)]

    async def test_it_is_retried_where_it_is(self) -> None:
        """A retry is the same message, given back for later."""
        layer = InMemoryChannelLayer()
        await layer.send("jobs", {"type": "kept", "failures": 2})
        async with working(FlakyAndKept.as_asgi(), layer) as worker:
            await until(lambda: worker.stats()["done"])
            assert worker.stats()["retried"] == 2
        assert Flaky.attempts() == [1, 2, 3]

    async def test_others_on_the_channel_are_retried_too(self) -> None:
        """The number of the attempt is that of the handler's own retries."""
        layer = Recording()
        await layer.send("jobs", {"type": "flaky", "failures": 2})
        async with working(FlakyAndKept.as_asgi(), layer) as worker:
            await until(lambda: worker.stats()["done"])
        assert Flaky.attempts() == [1, 2, 3]

    async def test_others_on_the_channel_are_had_at_most_once(self) -> None:
        """A handler that does not ask for it has its job taken for good before it begins."""
        clock, begun = Clock(), asyncio.Event()

        class Mixed(Flaky):
            async def plain(self, message: Event) -> None:
                """Hang."""
                begun.set()
                await asyncio.Event().wait()

        layer = InMemoryChannelLayer(clock=clock)
        await layer.send("jobs", {"type": "plain"})
        async with working(Mixed.as_asgi(), layer):
            await begun.wait()
        clock.now += 5000
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await layer.receive("jobs")

    async def test_the_lease_is_renewed_while_it_runs(self) -> None:
        """A job that takes longer than its lease is not given to another worker."""
        renewed = asyncio.Event()
        go_on = asyncio.Event()

        class Kept(AsyncConsumer):
            @job(acknowledge=True)
            async def keep(self, message: Event) -> None:
                """Wait."""
                await go_on.wait()

        class Watched(InMemoryChannelLayer):
            async def receive_job(self, channel: str, *, lease: float) -> Any:
                found = await super().receive_job(channel, lease=lease)
                extend = found.extend

                async def watch(lease: float) -> bool:
                    if not renewed.is_set():
                        renewed.set()
                        raise ConnectionError("only this once")
                    again: bool = await extend(lease)
                    go_on.set()
                    return again

                found.extend = watch  # type: ignore[method-assign]  # to watch it
                return found

        layer = Watched(clock=Clock())  # in which no lease runs out
        await layer.send("jobs", {"type": "keep"})
        async with working(Kept.as_asgi(), layer, lease=0.003) as worker:
            await until(lambda: worker.stats()["done"])
        assert renewed.is_set()

    async def test_a_lease_that_ran_out_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        """Two workers may be at it now, and the log says what to change."""
        told = asyncio.Event()

        class Kept(AsyncConsumer):
            @job(acknowledge=True)
            async def keep(self, message: Event) -> None:
                """Wait until it is said."""
                await told.wait()

        class Forgetful(InMemoryChannelLayer):
            async def receive_job(self, channel: str, *, lease: float) -> Any:
                found = await super().receive_job(channel, lease=lease)

                async def extend(lease: float) -> bool:
                    asyncio.get_running_loop().call_soon(told.set)
                    return False

                found.extend = extend  # type: ignore[method-assign]  # to have it fail
                return found

        layer = Forgetful(clock=Clock())
        await layer.send("jobs", {"type": "keep"})
        async with working(Kept.as_asgi(), layer, lease=0.003) as worker:
            await until(lambda: worker.stats()["done"])
        (message,) = caplog.messages
        assert message == (
            "The lease of a job of type 'keep' from channel 'jobs' ran out while it was being "
            "worked on; it is done again. Raise the worker's lease (0.003 s)."
        )

    async def test_a_job_that_ends_its_workers_is_given_up(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whoever takes it dies: after so many deaths it goes to the dead letters unrun."""
        clock = Clock()

        class Deadly(Flaky):
            @job(acknowledge=True, dead_letter="dead")
            async def kill(self, message: Event) -> None:
                """Never run here."""
                raise AssertionError("it was begun")

        layer = InMemoryChannelLayer(clock=clock)
        await layer.send("jobs", {"type": "kill"})
        for _ in range(1 + LOST_LIMIT):
            await layer.receive_job("jobs", lease=1)
            clock.now += 2
        async with working(Deadly.as_asgi(), layer):
            letter = await layer.receive("dead")
        why = "It was begun 6 times, and no worker lived to see its end."
        assert (letter["attempt"], letter["error"]) == (7, f"JobFailed: {why}")
        assert caplog.messages == [
            f"Job of type 'kill' (11 bytes) from channel 'jobs' is given up: {why}"
        ]

    async def test_at_most_once_is_not_twice(self, caplog: pytest.LogCaptureFixture) -> None:
        """A job whose lease ran out before it was begun is another worker's now."""

        class Late(InMemoryChannelLayer):
            async def receive_job(self, channel: str, *, lease: float) -> Any:
                found = await super().receive_job(channel, lease=lease)
                await found.give_back(delay=1000)
                return found

        layer = Late()
        await layer.send("jobs", {"type": "plain", "failures": 0})
        async with working(FlakyAndKept.as_asgi(), layer) as worker:
            await until(lambda: worker.stats()["requeued"])
        assert Flaky.seen == []
        assert caplog.messages == [
            "Job of type 'plain' from channel 'jobs' went to another worker before it was begun."
        ]

    async def test_a_bug_of_ours_keeps_nothing_from_others(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever goes wrong, the lease is not renewed any more, and the job comes back."""
        clock = Clock()
        layer = InMemoryChannelLayer(clock=clock)

        async def broken(*args: object) -> None:
            raise LookupError("a bug")

        async with working(FlakyAndKept.as_asgi(), layer) as worker:
            monkeypatch.setattr(worker._instances, "lend", broken)
            await layer.send("jobs", {"type": "kept", "failures": 0})
            await until(lambda: worker.stats()["taken"] and not worker.stats()["running"])
            clock.now += 61
            assert (await layer.receive_job("jobs", lease=1)).attempt == 2

    def test_a_layer_that_cannot_do_it_is_refused(self) -> None:
        """At the start, not when the first worker is killed."""
        with pytest.raises(ImproperlyConfigured) as caught:
            Worker(FlakyAndKept.as_asgi(), ["jobs"], Layer())
        assert str(caught.value) == (
            "A handler of channel 'jobs' asks for acknowledgement, which Layer cannot do. Use a "
            "layer that can, such as Fairway's own, or take acknowledge=True away from @job(…)."
        )


class TestInterruption:
    async def test_retries_and_leases_go_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What asked for a second chance gets it; what did not is lost, and logged."""
        begun: list[str] = []

        class Hanging(AsyncConsumer):
            @job(retries=1)
            async def again(self, message: Event) -> None:
                """Hang."""
                await self.hang("again")

            @job(acknowledge=True)
            async def kept(self, message: Event) -> None:
                """Hang."""
                await self.hang("kept")

            async def once(self, message: Event) -> None:
                """Hang."""
                await self.hang("once")

            async def hang(self, name: str) -> None:
                begun.append(name)
                await asyncio.Event().wait()

        layer = InMemoryChannelLayer()
        for kind in ("again", "kept", "once"):
            await layer.send("jobs", {"type": kind})
        async with stopping(Hanging.as_asgi(), layer, concurrency=3) as worker:
            await until(lambda: len(begun) == 3)
            worker.stop()
            worker.stop()
        assert worker.cut_off == 3
        assert (worker.stats()["requeued"], worker.stats()["failed"]) == (2, 1)
        left = [await layer.receive_job("jobs", lease=30) for _ in range(2)]
        assert sorted((job.message["type"], job.attempt) for job in left) == [
            ("again", 1),
            ("kept", 2),
        ]
        assert [job.message.get("__fairway_attempt__") for job in left].count(2) == 1

    async def test_the_log_says_where_it_was(self, caplog: pytest.LogCaptureFixture) -> None:
        """With the stack of the coroutine that it was waiting in."""
        begun = asyncio.Event()

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            begun.set()
            await asyncio.Event().wait()

        layer = InMemoryChannelLayer()
        await layer.send("jobs", {"type": "x"})
        async with stopping(application, layer, graceful_timeout=0) as worker:
            await begun.wait()
            worker.stop()
        (line,) = [text for text in caplog.messages if "interrupted" in text]
        assert line.startswith(
            "Job of type 'x' (8 bytes) from channel 'jobs' is interrupted, as the worker ends; it "
            "is lost. It was here:\n"
        )
        assert "in application\n    await asyncio.Event().wait()" in line

    async def test_one_that_does_not_end_is_left_behind(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Clean-up that hangs does not keep the worker from ending."""
        monkeypatch.setattr(fairway.worker.jobs, "FAREWELL", 0.001)
        begun, release = asyncio.Event(), asyncio.Event()

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                await release.wait()

        layer = InMemoryChannelLayer()
        await layer.send("jobs", {"type": "x"})
        async with stopping(application, layer, graceful_timeout=0) as worker:
            await begun.wait()
            worker.stop()
        assert "It does not end:" in caplog.messages[-1]
        release.set()
        await asyncio.sleep(0)
