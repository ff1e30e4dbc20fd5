"""What ``Worker`` promises, with plain applications and a layer that does as it is told."""

import asyncio
import itertools
import logging
import signal
import threading
from typing import ClassVar

import pytest
from asgiref.sync import async_to_sync, sync_to_async

import fairway.worker.source
from fairway._types import Event, Receive, Scope, Send
from fairway.consumer import AsyncConsumer, SyncConsumer
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers import InMemoryChannelLayer
from fairway.worker import Worker
from fairway.worker import job as asked
from fairway.worker.instances import ApplicationDetails
from tests.worker.tools import Layer, Recorder, job, stopping, until, working


class ByTheHandful(InMemoryChannelLayer):
    """Remembers how many messages it was asked for, each time."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[int] = []

    async def receive_many(self, channel: str, limit: int) -> list[Event]:
        self.limits.append(limit)
        return await super().receive_many(channel, limit)


@pytest.fixture(autouse=True)
def _see_all(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="django.channels.worker")


@pytest.mark.row("1.8 Worker")
async def test_a_worker_without_layer_is_refused() -> None:
    """There must be something to listen to."""
    with pytest.raises(ValueError, match=r"^Channel layer is not valid$"):
        Worker(Recorder(), ["jobs"], None)


@pytest.mark.row("1.8 Worker")
class TestMessages:
    async def test_one_instance_per_channel_gets_them_in_order(self) -> None:
        """Each channel has one instance, with a scope that names it, and its messages in order."""
        layer, application = Layer(), Recorder()
        layer.put("jobs", job(1), job(2))
        layer.put("mails", job(3))
        async with working(application, layer, ["jobs", "mails"]):
            await application.numbers(3)
        assert sorted(application.instances, key=str) == [
            ({"type": "channel", "channel": "jobs"}, [job(1), job(2)]),
            ({"type": "channel", "channel": "mails"}, [job(3)]),
        ]

    async def test_a_channel_named_twice_is_listened_to_once(self) -> None:
        """A repeated name does not make two jobs run at once."""
        layer, application = Layer(), Recorder()
        layer.put("jobs", job(1), job(2))
        async with working(application, layer, ["jobs", "jobs"]):
            assert await application.numbers(2) == [[1, 2]]

    async def test_the_next_one_stays_in_the_layer_until_it_is_asked_for(self) -> None:
        """While a job runs, the jobs behind it are not taken away from other workers."""
        layer = Layer()
        layer.put("jobs", job(1), job(2))
        began, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            began.set()
            await go_on.wait()
            await receive()
            done.set()
            await receive()

        async with working(slow, layer):
            await began.wait()
            for _ in range(5):
                await asyncio.sleep(0)
            assert layer.channels["jobs"].qsize() == 1
            go_on.set()
            await done.wait()

    async def test_prefetched_jobs_are_taken_in_one_step(self) -> None:
        """As many at once as there is room for, in order; never more than may be taken."""
        layer, application = ByTheHandful(), Recorder()
        for number in range(5):
            await layer.send("jobs", job(number))
        async with working(application, layer, prefetch=2):
            assert await application.numbers(5) == [[0, 1, 2, 3, 4]]
        assert layer.limits[0] == 3
        assert max(layer.limits) == 3

    async def test_prefetching_pauses_where_nothing_is_left(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Jobs that come one by one gather in the layer, for the length of the pause."""
        monkeypatch.setattr("fairway.worker.worker.GATHERING_TIME", 3600)
        layer, application = ByTheHandful(), Recorder()
        await layer.send("jobs", job(1))
        async with working(application, layer, prefetch=2):
            await application.numbers(1)
            await layer.send("jobs", job(2))
            for _ in range(20):
                await asyncio.sleep(0)
            assert await layer.waiting("jobs") == 1
        assert layer.limits == [3]

    async def test_prefetching_does_not_pause_while_more_is_waiting(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who got as many as were wanted asks again at once."""
        monkeypatch.setattr("fairway.worker.worker.GATHERING_TIME", 3600)
        layer, application = ByTheHandful(), Recorder()
        for number in range(8):
            await layer.send("jobs", job(number))
        async with working(application, layer, prefetch=2):
            assert await application.numbers(8) == [list(range(8))]

    async def test_as_many_are_prefetched_as_was_said(self) -> None:
        """Where each is taken by itself, too, as with acknowledgement."""
        layer, never = InMemoryChannelLayer(), asyncio.Event()

        class Kept(AsyncConsumer):
            @asked(acknowledge=True)
            async def work(self, message: Event) -> None:
                """Wait."""
                await never.wait()

        for number in range(10):
            await layer.send("jobs", job(number, "work"))
        async with working(Kept.as_asgi(), layer, prefetch=4) as worker:
            await until(lambda: worker.stats()["taken"] == 5)
            for _ in range(20):
                await asyncio.sleep(0)
            assert worker.stats()["taken"] == 5

    async def test_without_prefetching_one_is_taken(self) -> None:
        """What nobody works on stays in the layer, for other workers."""
        layer, application = ByTheHandful(), Recorder()
        for number in range(3):
            await layer.send("jobs", job(number))
        async with working(application, layer):
            await application.numbers(3)
        assert set(layer.limits) == {1}

    async def test_several_slots_take_several_jobs(self) -> None:
        """Free slots are filled in one step."""
        layer, application = ByTheHandful(), Recorder()
        for number in range(3):
            await layer.send("jobs", job(number))
        async with working(application, layer, concurrency=3):
            assert sorted(await application.numbers(3)) == [[0], [1], [2]]
        assert layer.limits[0] == 3

    async def test_channels_do_not_wait_for_each_other(self) -> None:
        """A slow job holds up its own channel only."""
        layer = Layer()
        layer.put("slow", job(1))
        layer.put("quick", job(2))
        done = asyncio.Event()

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            if scope["channel"] == "slow":
                await asyncio.Event().wait()
            done.set()

        async with working(application, layer, ["slow", "quick"]):
            await done.wait()

    async def test_sync_code_of_channels_runs_in_parallel(self) -> None:
        """Each instance has a thread of its own, so one sync job does not hold up another."""
        layer = Layer()
        layer.put("a", job(1))
        layer.put("b", job(2))
        both = threading.Barrier(2, timeout=10)
        done: set[str] = set()
        finished = asyncio.Event()

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await sync_to_async(both.wait)()
            done.add(scope["channel"])
            if done == {"a", "b"}:
                finished.set()

        async with working(application, layer, ["a", "b"]):
            await finished.wait()

    @pytest.mark.pain(23)
    async def test_a_message_without_type_is_skipped(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is logged with its channel, size and keys, and the next one is handled."""
        layer, application = Layer(), Recorder()
        layer.put("jobs", {"kind": "job", "password": "secret"}, job(1))
        async with working(application, layer):
            assert await application.numbers(1) == [[1]]
        (message,) = caplog.messages
        assert message == (
            "A message without type on channel 'jobs' was skipped (26 bytes); its keys are "
            "['kind', 'password']."
        )


@pytest.mark.row("1.8 Worker")
class TestInstances:
    @pytest.mark.pain(23)
    async def test_a_failing_job_loses_only_itself(self, caplog: pytest.LogCaptureFixture) -> None:
        """An exception is logged with its traceback, and a new instance takes the next job."""
        layer, application = Layer(), Recorder()
        layer.put("jobs", job(1), job(2, "fail"), job(3), job(4))
        async with working(application, layer):
            assert await application.numbers(4) == [[1, 2], [3, 4]]
        (record,) = caplog.records
        assert record.getMessage() == (
            "Job of type 'fail' (19 bytes) from channel 'jobs' failed: LookupError: message 2; "
            "it is lost."
        )
        assert record.exc_info is not None
        assert repr(record.exc_info[1]) == "LookupError('message 2')"

    async def test_an_instance_may_leave(self, caplog: pytest.LogCaptureFixture) -> None:
        """An application that returns is started again by the next message, without a word."""
        layer, application = Layer(), Recorder()
        layer.put("jobs", job(1), job(2, "leave"), job(3))
        async with working(application, layer):
            assert await application.numbers(3) == [[1, 2], [3]]
        assert caplog.messages == []

    async def test_the_one_idle_longest_makes_room(self) -> None:
        """With ``max_applications`` instances, another channel ends the one used longest ago."""
        layer, application = Layer(), Recorder()
        async with working(application, layer, ["a", "b", "c"], max_applications=2):
            for number, channel in enumerate("abacab"):
                layer.put(channel, job(number))
                await application.numbers(number + 1)
        # "c" ends "b", which comes back at the end, and "a" stays.
        assert [
            (scope["channel"], [e["number"] for e in got]) for scope, got in application.instances
        ] == [
            ("a", [0, 2, 4]),
            ("b", [1]),
            ("c", [3]),
            ("b", [5]),
        ]

    async def test_a_working_one_never_makes_room(self) -> None:
        """Rather one instance too many than a job that is cut off."""
        layer = Layer()
        layer.put("a", job(1))
        began, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            if scope["channel"] == "a":
                began.set()
                await go_on.wait()
                done.set()
            else:
                go_on.set()

        async with working(application, layer, ["a", "b"], max_applications=1):
            await began.wait()
            layer.put("b", job(2))
            await done.wait()

    async def test_sending_is_an_error(self, caplog: pytest.LogCaptureFixture) -> None:
        """There is no client; the message says where to send instead."""
        layer, application = Layer(), Recorder()
        layer.put("jobs", job(1, "send"), job(2))
        async with working(application, layer):
            assert await application.numbers(2) == [[1], [2]]
        (record,) = caplog.records
        assert record.exc_info is not None
        assert repr(record.exc_info[1]) == (
            "NotImplementedError(\"A worker has no client to send 'websocket.send' to; "
            'send to a channel or a group of the channel layer instead.")'
        )

    async def test_subclasses_may_take_what_is_sent_and_what_is_raised(self) -> None:
        """``application_send`` and ``application_exception`` are hooks."""
        layer, application = Layer(), Recorder()
        seen: list[object] = []

        class Talkative(Worker):
            async def application_send(self, scope: Scope, message: Event) -> None:
                seen.append((scope["channel"], message))

            async def application_exception(
                self, exception: BaseException, application_details: ApplicationDetails
            ) -> None:
                seen.append((application_details["scope"]["channel"], repr(exception)))

        layer.put("jobs", job(1, "send"), job(2, "fail"), job(3))
        task = asyncio.create_task(Talkative(application, ["jobs"], layer).handle())
        await application.numbers(3)
        task.cancel()
        await asyncio.wait({task})
        assert seen == [
            ("jobs", {"type": "websocket.send"}),
            ("jobs", "LookupError('message 2')"),
        ]

    async def test_the_end_of_the_worker_ends_them(self) -> None:
        """Cancelling the worker cancels its instances and waits for their clean-up."""
        layer = Layer()
        layer.put("jobs", job(1))
        began = asyncio.Event()
        ended: list[str] = []

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                ended.append(scope["channel"])

        async with working(application, layer):
            await began.wait()
        assert ended == ["jobs"]


@pytest.mark.pain(23)
class TestLayerFailure:
    async def test_it_is_logged_and_the_worker_goes_on(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A layer that fails is tried again, at growing intervals, and forgiven when it works."""
        monkeypatch.setattr(fairway.worker.source, "FIRST_DELAY", 0.002)
        monkeypatch.setattr(fairway.worker.source, "MAX_DELAY", 0.004)
        monkeypatch.setattr("random.random", lambda: 1.0)
        pauses: list[float] = []

        class Patient(Layer):
            async def receive(self, channel: str) -> Event:
                pauses.append(asyncio.get_running_loop().time())
                return await super().receive(channel)

        layer, application = Patient(), Recorder()
        gone = ConnectionError("gone")
        layer.put("jobs", gone, ChannelLayerUnavailable("down"), gone, job(1), gone, job(2))
        async with working(application, layer):
            assert await application.numbers(2) == [[1, 2]]
        assert [message.rsplit(" Trying", 1)[0] for message in caplog.messages] == [
            f"The channel layer failed for channel 'jobs': {error}."
            for error in (
                "ConnectionError('gone')",
                "ChannelLayerUnavailable('down')",
                "ConnectionError('gone')",
                "ConnectionError('gone')",
            )
        ]
        # An outage that the layer itself tells of is no bug: it needs no traceback.
        assert [bool(record.exc_info) for record in caplog.records] == [True, False, True, True]
        waited = [after - before for before, after in itertools.pairwise(pauses)][:3]
        assert all(
            pause >= least for pause, least in zip(waited, (0.002, 0.004, 0.004), strict=True)
        )


@pytest.mark.pain(23)
class TestStopping:
    async def test_running_jobs_finish_and_others_stay(self) -> None:
        """What is running is done; what was taken goes back in order; the rest was never taken."""
        layer, begun, go_on = InMemoryChannelLayer(), asyncio.Event(), asyncio.Event()
        done: list[int] = []

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            while True:
                event = await receive()
                begun.set()
                await go_on.wait()
                done.append(event["number"])

        for number in range(1, 6):
            await layer.send("jobs", job(number))
        async with stopping(application, layer, prefetch=2) as worker:
            await begun.wait()
            await until(lambda: worker.stats()["taken"] == 3)
            worker.stop()
            await until(lambda: worker.stats()["requeued"] == 2)
            go_on.set()
        assert done == [1]
        assert worker.stats() == {
            "taken": 3, "done": 1, "failed": 0, "retried": 0, "dead": 0, "requeued": 2,
            "running": 0,
        }  # fmt: skip
        left = [(await layer.receive("jobs"))["number"] for _ in range(4)]
        assert left == [4, 5, 2, 3]
        assert worker.cut_off == 0

    async def test_leases_go_back_to_the_front(self) -> None:
        """With acknowledgement the order is kept."""
        layer, begun, go_on = InMemoryChannelLayer(), asyncio.Event(), asyncio.Event()

        class Kept(AsyncConsumer):
            @asked(acknowledge=True)
            async def work(self, message: Event) -> None:
                """Wait."""
                begun.set()
                await go_on.wait()

        for number in range(1, 6):
            await layer.send("jobs", job(number, "work"))
        async with stopping(Kept.as_asgi(), layer, prefetch=2) as worker:
            await begun.wait()
            await until(lambda: worker.stats()["taken"] == 3)
            worker.stop()
            await until(lambda: worker.stats()["requeued"] == 2)
            go_on.set()
        left = [(await layer.receive("jobs"))["number"] for _ in range(4)]
        assert left == [2, 3, 4, 5]

    async def test_it_can_be_stopped_from_any_thread(self) -> None:
        """Before it runs, while it runs, and when it has ended."""
        async with stopping(Recorder(), Layer()) as worker:
            await asyncio.sleep(0)
            await asyncio.to_thread(worker.stop)
        worker.stop()
        early = Worker(Recorder(), ["jobs"], Layer())
        early.stop()
        await early.handle()

    async def test_a_message_that_comes_in_the_last_moment_goes_back(self) -> None:
        """A layer may have handed one over when it is cancelled."""
        came = asyncio.Event()

        class Stubborn(Layer):
            async def receive(self, channel: str) -> Event:
                try:
                    came.set()
                    return await super().receive(channel)
                except asyncio.CancelledError:
                    return job(7)

        layer = Stubborn()
        async with stopping(Recorder(), layer) as worker:
            await came.wait()
            worker.stop()
        assert worker.stats()["requeued"] == 1
        assert layer.waiting("jobs") == [job(7)]


@pytest.mark.row("1.8 Worker")
class TestSubclassesOfChannels:
    async def test_a_listener_of_its_own(self) -> None:
        """It hands messages on as with Channels; a failing one costs itself alone."""

        class Old(Worker):
            async def listener(self, channel: str) -> None:
                while True:
                    message = await self.channel_layer.receive(channel)
                    scope = {"type": "channel", "channel": channel}
                    instance = self.get_or_create_application_instance(channel, scope)
                    instance.put_nowait(message)

        layer, application = Layer(), Recorder()
        layer.put("jobs", job(1, "fail"), job(2), job(3))
        working_on = asyncio.create_task(Old(application, ["jobs"], layer).handle())
        assert await application.numbers(3) == [[1], [2, 3]]
        working_on.cancel()
        await asyncio.wait({working_on})

    async def test_a_scope_of_its_own(self) -> None:
        """The scope of the first call is that of the instance."""

        class Old(Worker):
            async def listener(self, channel: str) -> None:
                scope = {"type": "mail", "more": 1}
                self.get_or_create_application_instance("any", scope).put_nowait(job(1, "fail"))
                await asyncio.Event().wait()

        application = Recorder()
        working_on = asyncio.create_task(Old(application, ["jobs"], Layer()).handle())
        await application.numbers(1)
        working_on.cancel()
        await asyncio.wait({working_on})
        assert application.instances[0][0] == {"type": "mail", "more": 1}

    async def test_what_a_listener_raises_ends_the_worker(self) -> None:
        """A bug of the subclass is not hidden; a listener that returns is done."""

        class Broken(Worker):
            async def listener(self, channel: str) -> None:
                if channel == "bad":
                    raise LookupError("a bug")

        with pytest.raises(LookupError, match="a bug"):
            await Broken(Recorder(), ["good", "bad"], Layer()).handle()
        await Broken(Recorder(), ["good"], Layer()).handle()

    async def test_a_cancellation_that_comes_out_of_a_job_costs_that_job(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A hook, or a library of its own, may raise one: the worker is not cancelled by it."""

        class Cancelling(Worker):
            async def application_exception(
                self, exception: BaseException, application_details: ApplicationDetails
            ) -> None:
                raise asyncio.CancelledError

        for concurrency in (1, 2):
            layer, application = Layer(), Recorder()
            layer.put("jobs", job(1, "fail"), job(2))
            worker = Cancelling(application, ["jobs"], layer, concurrency=concurrency)
            working_on = asyncio.create_task(worker.handle())
            await application.numbers(2)
            await until(lambda: caplog.messages == ["A job of channel 'jobs' was lost"])
            assert not working_on.done()
            working_on.cancel()
            await asyncio.wait({working_on})
            caplog.clear()

    async def test_a_hook_that_fails_harms_nobody(self, caplog: pytest.LogCaptureFixture) -> None:
        """Whoever tells of an exception may raise one."""

        class Broken(Worker):
            async def application_exception(
                self, exception: BaseException, application_details: ApplicationDetails
            ) -> None:
                raise LookupError("a bug")

        layer, application = Layer(), Recorder()
        layer.put("jobs", job(1, "fail"), job(2, "exit"), job(3))
        working_on = asyncio.create_task(Broken(application, ["jobs"], layer).handle())
        assert await application.numbers(3) == [[1], [2], [3]]
        working_on.cancel()
        await asyncio.wait({working_on})
        assert caplog.messages[:2] == ["application_exception() failed itself"] * 2


class TestRun:
    def test_ctrl_c_ends_it_with_a_line(self, caplog: pytest.LogCaptureFixture) -> None:
        """SIGINT ends ``run`` quietly."""

        class Interrupted(Layer):
            async def receive(self, channel: str) -> Event:
                signal.raise_signal(signal.SIGINT)
                return await super().receive(channel)

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            raise AssertionError("no message comes")

        Worker(application, ["jobs"], Interrupted()).run()
        assert caplog.messages == ["Exiting due to Ctrl-C/interrupt"]


class Failing(AsyncConsumer):
    """Fails for an odd number."""

    seen: ClassVar[list[tuple[object, int]]]
    done: ClassVar[asyncio.Event]

    async def job_run(self, message: Event) -> None:
        """Keep the number, with the instance that got it."""
        self.keep(message["number"])

    def keep(self, number: int) -> None:
        self.seen.append((self, number))
        if number == 4:
            self.done.set()
        if number % 2:
            raise LookupError(f"odd number {number}")


class FailingInThread(SyncConsumer):
    """The same in sync code."""

    seen: ClassVar[list[tuple[object, int]]]
    done: ClassVar[asyncio.Event]

    def job_run(self, message: Event) -> None:
        """Keep the number, with the instance that got it."""
        self.seen.append((self, message["number"]))
        if message["number"] == 4:
            async_to_sync(self.finish)()
        if message["number"] % 2:
            raise LookupError(f"odd number {message['number']}")

    async def finish(self) -> None:
        self.done.set()


@pytest.mark.pain(23)
class TestConsumers:
    @pytest.mark.parametrize("consumer", [Failing, FailingInThread])
    async def test_a_failing_job_loses_only_itself(
        self, consumer: type[Failing | FailingInThread], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Consumers on a real layer: each job arrives once, and an exception costs one of them."""
        consumer.seen, consumer.done = [], asyncio.Event()
        layer = InMemoryChannelLayer()
        for number in (1, 2, 3, 4):
            await layer.send("jobs", {"type": "job.run", "number": number})
        async with working(consumer.as_asgi(), layer):
            await consumer.done.wait()
        assert [number for _, number in consumer.seen] == [1, 2, 3, 4]
        instances = [instance for instance, _ in consumer.seen]
        assert instances[0] is not instances[1] is instances[2] is not instances[3]
        assert caplog.messages[:2] == [
            f"Job of type 'job.run' (22 bytes) from channel 'jobs' failed: LookupError: odd number "
            f"{number}; it is lost."
            for number in (1, 3)
        ]
