"""``OPTIONS`` of a backend in ``TASKS``."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from fairway import DEFAULT_CHANNEL_LAYER
from fairway.worker.policy import JobPolicy


@dataclasses.dataclass(frozen=True, slots=True)
class TaskOptions:
    """How a backend sends, retries and remembers; in ``OPTIONS`` the names are in capitals.

    Attributes:
        layer: Alias of the channel layer.
        prefix: What stands before a queue's name in the name of its channel.
        retries: How often a task that failed is tried again, a count.
        backoff: Seconds before the first retry, doubled for each further one.
        max_backoff: Seconds that a retry waits at most.
        dead_letter: A channel for what has failed for good, or None.
        acknowledge: Keep a task in the layer until it is done; it may then run more than once.
        results: Alias of the cache that keeps results, or None to keep none.
        results_ttl: Seconds that a result is kept.
    """

    layer: str = DEFAULT_CHANNEL_LAYER
    prefix: str = "tasks."
    retries: int = 0
    backoff: float = 1.0
    max_backoff: float = 600.0
    dead_letter: str | None = None
    acknowledge: bool = False
    results: str | None = None
    results_ttl: float = 86400.0

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any]) -> tuple[Self, list[str]]:
        """The options that can be used, and what is wrong with the others."""
        fields = {field.name.upper(): field for field in dataclasses.fields(cls)}
        given: dict[str, Any] = {}
        complaints = []
        for name, value in options.items():
            field = fields.get(name)
            if field is None:
                complaints.append(f"there is no option {name!r}")
            elif not _fits(value, field.default):
                complaints.append(f"{name} cannot be {value!r}")
            else:
                given[field.name] = value
        return cls(**given), complaints

    def policy(self) -> JobPolicy:
        """What the worker is asked for."""
        return JobPolicy(
            retries=self.retries,
            backoff=self.backoff,
            max_backoff=self.max_backoff,
            dead_letter=self.dead_letter,
            acknowledge=self.acknowledge,
        )


def _fits(value: object, default: object) -> bool:
    """Whether a value is of the kind of its option's default."""
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, int | float):
        kinds = (int,) if isinstance(default, int) else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool) and value >= 0
    return isinstance(value, str) or (default is None and value is None)
