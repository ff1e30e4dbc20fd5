"""What handlers ask of the worker, as plain decisions."""

import pytest

from fairway.consumer import AsyncConsumer, SyncConsumer, handles
from fairway.db import database_sync_to_async
from fairway.worker import JobPolicy, job
from fairway.worker.policy import LOST_LIMIT, Policies


class Thumbnails(SyncConsumer):
    @job(retries=3, dead_letter="failed")
    def generate(self, message: dict[str, object]) -> None:
        """Ask for something."""

    def delete(self, message: dict[str, object]) -> None:
        """Ask for nothing."""

    @job(acknowledge=True)
    @handles("thumbnail.rotate")
    def turn(self, message: dict[str, object]) -> None:
        """Have another name than the type."""


class Careful(Thumbnails):
    @job(retries=9)
    def turn(self, message: dict[str, object]) -> None:
        """Ask for something else."""


@job(retries=1)
async def application(scope: object, receive: object, send: object) -> None:
    """Be an ASGI application that is a function."""


class TestRetryDelay:
    @pytest.mark.parametrize(
        ("attempt", "jitter", "delay"),
        [(1, 1.0, 2.0), (1, 0.0, 1.0), (2, 1.0, 4.0), (3, 1.0, 8.0), (4, 1.0, 10.0), (4, 0.0, 5.0)],
    )
    def test_it_doubles_up_to_a_limit(self, attempt: int, jitter: float, delay: float) -> None:
        """A retry comes after half to all of the back-off."""
        policy = JobPolicy(retries=4, backoff=2, max_backoff=10)
        assert policy.retry_delay(ValueError(), attempt, lambda: jitter) == delay

    def test_its_number_is_limited(self) -> None:
        """After the last retry nothing comes."""
        assert JobPolicy(retries=2).retry_delay(ValueError(), 2) is not None
        assert JobPolicy(retries=2).retry_delay(ValueError(), 3) is None
        assert JobPolicy().retry_delay(ValueError(), 1) is None

    def test_many_retries_do_not_overflow(self) -> None:
        """The thousandth retry waits as long as the longest one."""
        policy = JobPolicy(retries=10_000, max_backoff=60)
        assert policy.retry_delay(ValueError(), 9_999, lambda: 1.0) == 60

    def test_some_exceptions_are_final(self) -> None:
        """What ``retry_on`` does not name is not tried again; nor is the end of the process."""
        policy = JobPolicy(retries=1, retry_on=(ConnectionError,))
        assert policy.retry_delay(ConnectionResetError(), 1) is not None
        assert policy.retry_delay(ValueError(), 1) is None
        assert JobPolicy(retries=1).retry_delay(SystemExit(), 1) is None


def test_jobs_that_end_their_workers_are_limited() -> None:
    """Beyond its retries a job comes back only so often."""
    policy = JobPolicy(retries=2, acknowledge=True)
    assert not policy.came_too_often(3 + LOST_LIMIT)
    assert policy.came_too_often(4 + LOST_LIMIT)


@pytest.mark.parametrize("name", ["retries", "backoff", "max_backoff"])
def test_negative_numbers_are_refused(name: str) -> None:
    """The error names the option and its value."""
    with pytest.raises(ValueError, match=rf"^{name} must be 0 or more, not -1\.$"):
        JobPolicy(**{name: -1})  # type: ignore[arg-type]  # one of three that take a number


class TestPolicies:
    def test_handlers_have_their_own(self) -> None:
        """The type of the message leads to the handler, and that to its policy."""
        policies = Policies(Thumbnails.as_asgi())
        assert policies.find({"type": "thumbnail.rotate"}) == JobPolicy(acknowledge=True)
        assert sorted(policy.retries for policy in policies) == [0, 3]
        assert policies.acknowledge

    def test_names_are_types(self) -> None:
        """Without ``@handles`` the method is named like the type."""

        class Plain(AsyncConsumer):
            @job(retries=3)
            async def thumbnail_generate(self, message: dict[str, object]) -> None:
                """Ask for something."""

            async def thumbnail_delete(self, message: dict[str, object]) -> None:
                """Ask for nothing."""

        policies = Policies(Plain.as_asgi())
        assert policies.find({"type": "thumbnail.generate"}).retries == 3
        assert policies.find({"type": "thumbnail.delete"}) == JobPolicy()
        assert policies.find({"type": "unknown"}) == JobPolicy()
        assert policies.find({"type": 5}) == JobPolicy()
        assert not policies.acknowledge

    def test_a_handler_in_a_subclass_asks_for_itself(self) -> None:
        """What is overridden asks for what its own decorator says."""
        assert sorted(policy.retries for policy in Policies(Careful.as_asgi())) == [3, 9]

    def test_functions_may_be_decorated_too(self) -> None:
        """An application without consumer has one policy for everything."""
        assert Policies(application).find({"type": "anything"}).retries == 1

    def test_decorators_may_be_combined(self) -> None:
        """``@job`` marks what other decorators have made."""

        class Mixed(AsyncConsumer):
            @job(retries=2)
            @database_sync_to_async
            def count(self, message: dict[str, object]) -> None:
                """Use the database."""

        assert Policies(Mixed.as_asgi()).find({"type": "count"}).retries == 2

    def test_nothing_is_asked_for_by_default(self) -> None:
        """Any object will do, also none."""
        assert Policies(None).find({"type": "x"}) == JobPolicy()
        assert list(Policies(None)) == []
