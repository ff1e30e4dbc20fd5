"""Enqueueing: a task becomes a message; what Django's documentation says of it holds."""

import asyncio
import datetime
import functools
from typing import Any

import pytest
from django.core.checks import CheckMessage
from django.db import transaction
from django.tasks import TaskResultStatus, default_task_backend, task_backends
from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist, TaskResultMismatch
from django.test import override_settings
from django.utils import timezone

from fairway import native
from fairway.exceptions import ChannelFull
from fairway.layers import InMemoryChannelLayer, channel_layers
from fairway.tasks import ChannelLayerBackend
from tests.tasks import jobs
from tests.tasks.tools import BACKEND, Foreign, Recording, signals, tasks


class TestEnqueue:
    def test_a_task_becomes_a_message(self) -> None:
        """On the channel of its queue, with nothing in it that JSON could not carry."""
        layer = Recording()
        with tasks(layer), signals() as seen:
            result = jobs.add.enqueue(1, other=2)
        ((channel, message, delay),) = layer.sent
        assert (channel, delay) == ("tasks.default", 0.0)
        assert result.enqueued_at is not None
        assert message == {
            "type": "task.run",
            "id": result.id,
            "task": "tests.tasks.jobs.add",
            "priority": 0,
            "queue_name": "default",
            "run_after": None,
            "backend": "default",
            "args": [1],
            "kwargs": {"other": 2},
            "status": "READY",
            "errors": [],
            "worker_ids": [],
            "return_value": None,
            "enqueued_at": result.enqueued_at.isoformat(),
            "started_at": None,
            "finished_at": None,
            "last_attempted_at": None,
        }
        assert seen == [("enqueued", "add", "READY")]

    def test_the_result_is_one_that_has_not_begun(self) -> None:
        """It has an id of less than 64 characters, and no return value yet."""
        with tasks():
            result = jobs.add.enqueue(1)
        assert (result.status, result.is_finished, result.attempts) == (
            TaskResultStatus.READY,
            False,
            0,
        )
        assert len(result.id) < 64
        assert result.task == jobs.add
        with pytest.raises(ValueError, match="Task has not finished yet"):
            result.return_value  # noqa: B018  reading it is the test

    async def test_async_code_enqueues_too(self) -> None:
        """``aenqueue()`` does the same without a thread."""
        layer = Recording()
        with tasks(layer), signals() as seen:
            result = await jobs.aadd.aenqueue(1)
        assert layer.sent[0][1]["id"] == result.id
        assert seen == [("enqueued", "aadd", "READY")]

    async def test_sync_enqueueing_does_not_stop_the_loop(self) -> None:
        """In async code the sync method says what to use."""
        with tasks(), pytest.raises(RuntimeError) as caught:
            jobs.add.enqueue(1)
        assert str(caught.value) == (
            "enqueue() was called in an event loop, which it would stop. "
            "Use: await task.aenqueue(…)"
        )

    async def test_beside_an_event_loop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where greenlets share a thread, the loop of another is not stopped by it."""
        monkeypatch.setattr(native, "replaced_by", lambda: "gevent")
        enqueued = asyncio.get_running_loop().create_future()

        def in_another_greenlet() -> None:  # no task runs meanwhile
            try:
                enqueued.set_result(jobs.add.enqueue(1))
            except RuntimeError as error:
                enqueued.set_exception(error)

        layer = Recording()
        with tasks(layer):
            asyncio.get_running_loop().call_soon(in_another_greenlet)
            result = await enqueued
        assert layer.sent[0][1]["id"] == result.id

    def test_queues_are_channels(self) -> None:
        """Each queue has one, after the prefix."""
        layer = Recording()
        with tasks(layer, PREFIX="work-"):
            jobs.mail.using(queue_name="mails").enqueue()
        assert layer.sent[0][0] == "work-mails"

    def test_arguments_make_the_way_through_json(self) -> None:
        """Tuples become lists; what JSON cannot carry is refused where it is enqueued."""
        layer = Recording()
        with tasks(layer):
            jobs.add.enqueue((1, 2))  # type: ignore[arg-type]  # not what it adds
            assert layer.sent[0][1]["args"] == [[1, 2]]
            with pytest.raises(TypeError, match="Unsupported type"):
                jobs.add.enqueue(timezone.now())  # type: ignore[arg-type]  # as above
        assert len(layer.sent) == 1

    def test_a_foreign_layer_will_do(self) -> None:
        """Any layer of Channels has what it takes."""
        layer = Foreign()
        with tasks(layer):
            jobs.add.enqueue(1)
        assert layer.sent[0][0] == "tasks.default"

    def test_a_full_channel_refuses(self) -> None:
        """The caller is told, and nothing is left of the result."""
        with tasks(InMemoryChannelLayer(capacity=1), RESULTS="default"):
            kept = jobs.add.enqueue(1)
            with pytest.raises(ChannelFull):
                jobs.add.enqueue(2)
            assert jobs.add.get_result(kept.id) == kept

    @pytest.mark.django_db(transaction=True)
    def test_a_transaction_is_waited_for_with_on_commit(self) -> None:
        """As Django documents: it is sent at once, unless it is left to ``on_commit()``."""
        layer = Recording()
        with tasks(layer):
            with transaction.atomic():
                transaction.on_commit(functools.partial(jobs.add.enqueue, 1))
                assert layer.sent == []
            assert len(layer.sent) == 1
            with transaction.atomic():
                jobs.add.enqueue(1)
                assert len(layer.sent) == 2

    def test_no_layer(self) -> None:
        """A backend whose layer is not there sends nowhere."""
        with tasks(LAYER="missing"), pytest.raises(InvalidTask) as caught:
            jobs.add.enqueue(1)
        assert str(caught.value) == "There is no 'missing' in CHANNEL_LAYERS."


class TestValidity:
    def test_priorities_are_refused(self) -> None:
        """A channel is first in, first out."""
        with tasks(), pytest.raises(InvalidTask, match="does not support setting priority"):
            jobs.add.using(priority=5)

    def test_unknown_queues_are_refused(self) -> None:
        """Those in QUEUES are there."""
        with tasks(), pytest.raises(InvalidTask, match="Queue 'other' is not valid for backend"):
            jobs.add.using(queue_name="other")

    def test_a_task_that_no_worker_could_find_is_refused(self) -> None:
        """The name of the function has to lead to the task."""
        with tasks(), pytest.raises(InvalidTask) as caught:
            jobs.renamed.enqueue()
        assert str(caught.value) == (
            "'tests.tasks.jobs.plain' is no task. Decorate the function with @task."
        )

    def test_a_namesake_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Under its name another task stands."""
        with tasks():
            monkeypatch.setattr(jobs, "plain", jobs.add)
            with pytest.raises(
                InvalidTask, match=r"could not find the task 'tests.tasks.jobs.plain'"
            ):
                jobs.renamed.enqueue()

    def test_the_scripts_own_tasks_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """``__main__`` is another module in the worker."""
        with tasks():
            monkeypatch.setattr(jobs.add.func, "__module__", "__main__")
            with pytest.raises(InvalidTask, match=r"could not find the task '__main__\.add'"):
                jobs.add.enqueue(1)


class TestDeferral:
    def test_run_after_is_a_delay(self) -> None:
        """The layer keeps it until then."""
        layer = Recording()
        with tasks(layer):
            assert default_task_backend.supports_defer
            moment = timezone.now() + datetime.timedelta(hours=1)
            jobs.add.using(run_after=moment).enqueue(1)
            jobs.add.using(run_after=timezone.now()).enqueue(1)
        (_, message, delay), (*_, none) = layer.sent
        assert message["run_after"] == moment.isoformat()
        assert 3590 < delay <= 3600
        assert none == 0.0

    def test_naive_times_are_refused(self) -> None:
        """With USE_TZ a time says where it is."""
        with tasks(), pytest.raises(InvalidTask, match="run_after must be an aware datetime"):
            jobs.add.using(run_after=datetime.datetime(2026, 1, 1))  # noqa: DTZ001  the test

    def test_a_layer_that_cannot_delay_is_told_of(self) -> None:
        """It would run at once, so it is refused."""
        with tasks(Foreign()):
            assert not default_task_backend.supports_defer
            with pytest.raises(InvalidTask, match="Backend does not support run_after"):
                jobs.add.using(run_after=timezone.now())


class TestResults:
    def test_without_a_cache_there_are_none(self) -> None:
        """As Django documents for backends that keep none."""
        with tasks() as backend:
            assert not backend.supports_get_result
            result = jobs.add.enqueue(1)
            with pytest.raises(NotImplementedError):
                jobs.add.get_result(result.id)
            with pytest.raises(NotImplementedError):
                result.refresh()

    async def test_without_a_cache_there_are_none_for_async_code(self) -> None:
        """The same."""
        with tasks():
            result = await jobs.add.aenqueue(1)
            with pytest.raises(NotImplementedError):
                await jobs.add.aget_result(result.id)

    def test_a_result_can_be_got_by_its_id(self) -> None:
        """From anywhere: by its task, by the backend, and not by another task."""
        with tasks(RESULTS="default") as backend:
            assert backend.supports_get_result
            result = jobs.add.enqueue(1)
            assert jobs.add.get_result(result.id) == backend.get_result(result.id) == result
            with pytest.raises(TaskResultMismatch):
                jobs.mail.get_result(result.id)
            with pytest.raises(TaskResultDoesNotExist):
                backend.get_result("unknown")

    async def test_async_code_gets_it_too(self) -> None:
        """The same."""
        with tasks(RESULTS="default") as backend:
            result = await jobs.add.aenqueue(1)
            assert await jobs.add.aget_result(result.id) == result
            await result.arefresh()
            with pytest.raises(TaskResultDoesNotExist):
                await backend.aget_result("unknown")

    async def test_what_was_not_sent_has_no_result(self) -> None:
        """A result that stays READY for ever would be a lie."""

        class Broken(Recording):
            async def send(self, *args: Any, **kwargs: Any) -> None:
                self.sent.append(args)
                raise ConnectionError("gone")

        layer = Broken()
        with tasks(layer, RESULTS="default") as backend:
            with pytest.raises(ConnectionError):
                await jobs.add.aenqueue(1)
            with pytest.raises(TaskResultDoesNotExist):
                await backend.aget_result(layer.sent[0][1]["id"])


def found(backend: ChannelLayerBackend) -> list[tuple[str | None, str]]:
    """What the checks of a backend find: ids and messages."""
    messages: list[CheckMessage] = backend.check()
    return [(message.id, message.msg) for message in messages]


class TestChecks:
    def test_good_settings_are_quiet(self) -> None:
        """A layer that keeps tasks for a day, say."""
        with tasks(ACKNOWLEDGE=True, RETRIES=3, BACKOFF=0.5, DEAD_LETTER="failed") as backend:
            assert found(backend) == []

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ({"RETRY": 1}, "there is no option 'RETRY'"),
            ({"RETRIES": -1}, "RETRIES cannot be -1"),
            ({"RETRIES": 1.5}, "RETRIES cannot be 1.5"),
            ({"ACKNOWLEDGE": 1}, "ACKNOWLEDGE cannot be 1"),
            ({"BACKOFF": True}, "BACKOFF cannot be True"),
            ({"LAYER": None}, "LAYER cannot be None"),
        ],
    )
    def test_options(self, options: dict[str, Any], complaint: str) -> None:
        """Each has a name and a kind."""
        with tasks(**options) as backend:
            assert found(backend) == [
                ("fairway.E014", f"TASKS['default']['OPTIONS']: {complaint}.")
            ]

    def test_missing_layers_and_caches(self) -> None:
        """Aliases lead somewhere."""
        with tasks(LAYER="missing", RESULTS="lost") as backend:
            assert found(backend) == [
                (
                    "fairway.E015",
                    "TASKS['default'] keeps results in the cache 'lost', which is not in CACHES.",
                ),
                (
                    "fairway.E015",
                    (
                        "TASKS['default'] uses the channel layer 'missing', which is not in "
                        "CHANNEL_LAYERS."
                    ),
                ),
            ]

    def test_queues_that_are_no_channels(self) -> None:
        """The names of channels have rules."""
        with tasks(PREFIX="my tasks.") as backend:
            ids = [identifier for identifier, _ in found(backend)]
            assert ids == ["fairway.E015", "fairway.E015"]

    def test_two_backends_on_one_channel(self) -> None:
        """The worker could not tell whose tasks these are."""
        both = {alias: {"BACKEND": BACKEND} for alias in ("default", "other")}
        with override_settings(TASKS=both):
            other, default = task_backends["other"], task_backends["default"]
            assert isinstance(other, ChannelLayerBackend)
            assert isinstance(default, ChannelLayerBackend)
            ((identifier, message),) = found(other)
            assert identifier == "fairway.E016"
            assert message == "TASKS['other'] and TASKS['default'] use the same channels."
            assert found(default) == []

    def test_acknowledgement_needs_a_layer_that_can(self) -> None:
        """A foreign one cannot."""
        with tasks(Foreign(), ACKNOWLEDGE=True) as backend:
            assert found(backend) == [
                (
                    "fairway.E017",
                    "TASKS['default'] asks for acknowledgement, which Foreign cannot do.",
                )
            ]

    def test_a_layer_for_messages_is_no_layer_for_tasks(self) -> None:
        """What waits for a worker must neither expire within a minute nor be refused at once."""

        class Hasty(Foreign):
            expiry = 60

            def get_capacity(self, channel: str) -> int:
                return 100

        with tasks(Hasty()) as backend:
            assert found(backend) == [
                (
                    "fairway.W004",
                    (
                        "TASKS['default'] sends tasks through the channel layer 'default', which "
                        "drops what no worker takes within 60 s, and refuses more than 100 "
                        "waiting tasks."
                    ),
                )
            ]

    def test_a_cache_that_nobody_shares_is_no_store(self) -> None:
        """The process that asks is not the one that works."""
        with tasks(RESULTS="default") as backend:
            assert found(backend) == [
                (
                    "fairway.W005",
                    (
                        "TASKS['default'] keeps results in the cache 'default', which other "
                        "processes do not see: nobody but the worker itself could get them."
                    ),
                )
            ]

    def test_the_layer_is_that_of_the_settings(self) -> None:
        """Nothing is made that was not there."""
        with tasks() as backend:
            assert backend.settings.layer in channel_layers
