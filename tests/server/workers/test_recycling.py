"""Recycling: when a worker has done enough."""

from typing import Any

import pytest

from fairway.server.config import Config
from fairway.server.workers.recycling import MIB, Recycling, resident_memory


def recycling(part: float = 0.0, memory: int = 0, **options: Any) -> Recycling:
    """The limits of a worker that has so much memory."""
    return Recycling(Config(**options), part, lambda: memory)


def test_unlimited() -> None:
    """Unless something is set, a worker lives for ever."""
    unlimited = recycling(memory=1 << 50)
    assert not unlimited.limited
    assert unlimited.reason(1 << 50, 1e12) == ""


@pytest.mark.parametrize(
    ("options", "below", "reached", "reason"),
    [
        (
            {"worker_max_requests": 100},
            (99, 0.0, 0),
            (100, 0.0, 0),
            "it has served 100 requests (worker_max_requests: 100)",
        ),
        (
            {"worker_max_age": 60.0},
            (0, 59.9, 0),
            (0, 60.0, 0),
            "it is 60 s old (worker_max_age: 60 s)",
        ),
        (
            {"worker_max_memory": 200 * MIB},
            (0, 0.0, 200 * MIB - 1),
            (0, 0.0, 201 * MIB),
            "it holds 201 MiB of memory (worker_max_memory: 200 MiB)",
        ),
    ],
)
def test_limits(
    options: dict[str, Any],
    below: tuple[int, float, int],
    reached: tuple[int, float, int],
    reason: str,
) -> None:
    """Each limit has its reason, which names the option."""
    for (served, age, memory), expected in ((below, ""), (reached, reason)):
        limits = recycling(memory=memory, **options)
        assert limits.limited
        assert limits.reason(served, age) == expected


def test_jitter() -> None:
    """A worker's limits are raised by its part of the jitter, but for its memory."""
    options: dict[str, Any] = {
        "worker_max_requests": 100,
        "worker_max_age": 100.0,
        "worker_jitter": 20,
    }
    assert recycling(0.5, **options).reason(109, 109.0) == ""
    assert recycling(0.5, **options).reason(110, 0.0).startswith("it has served 110 requests")
    assert recycling(0.5, **options).reason(0, 110.0).startswith("it is 110 s old")
    assert recycling(1.0, memory=100, worker_max_memory=100, worker_jitter=20).reason(0, 0.0)


def test_resident_memory() -> None:
    """A Python process has some megabytes, and more once it keeps more."""
    before = resident_memory()
    assert before > 5 * MIB
    kept = bytearray(b"x" * 64 * MIB)
    assert resident_memory() >= before + 32 * MIB
    del kept


def test_most_memory_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that does not tell that tells at least how much it has been."""
    now = resident_memory()
    monkeypatch.setattr("fairway.server.workers.recycling.STATM", "/nowhere")
    assert resident_memory() >= now // 2
