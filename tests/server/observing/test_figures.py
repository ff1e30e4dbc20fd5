"""Figures as plain data."""

import json
from collections.abc import Iterable, Iterator

import pytest

from fairway.server.observing.figures import (
    Family,
    Histogram,
    add_source,
    family,
    from_sources,
    remove_source,
    single,
)
from tests.server.running import Logs


def test_families() -> None:
    """A family has one figure, or one for each value of its labels."""
    assert single("a", "gauge", "A.", 3) == Family("a", "gauge", "A.", {("", ()): 3})
    assert family("b", "counter", "B.", {("GET", "2xx"): 1}, "method", "status") == Family(
        "b", "counter", "B.", {("", (("method", "GET"), ("status", "2xx"))): 1}
    )


def test_json() -> None:
    """What a worker sends is what its supervisor gets."""
    histogram = Histogram((0.1, 1.0))
    histogram.observe(0.5)
    sent = [
        family("b", "counter", "B.", {("GET",): 1}, "method"),
        histogram.family("c_seconds", "C."),
    ]
    received = json.loads(json.dumps([each.to_json() for each in sent]))
    assert [Family.from_json(each) for each in received] == sent


def test_histogram() -> None:
    """A bucket holds what is not above its bound, and what the buckets below it hold."""
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.0625, 0.1, 0.5, 2.0):
        histogram.observe(seconds)
    assert histogram.family("c_seconds", "C.") == Family(
        "c_seconds",
        "histogram",
        "C.",
        {
            ("_bucket", (("le", "0.1"),)): 2,
            ("_bucket", (("le", "1.0"),)): 3,
            ("_bucket", (("le", "+Inf"),)): 4,
            ("_sum", ()): 2.6625,
            ("_count", ()): 4,
        },
    )


class Source:
    """Shows one figure, or fails."""

    def __init__(self) -> None:
        self.fails = False

    def __call__(self) -> Iterable[Family]:
        if self.fails:
            raise RuntimeError("no figures")
        return [single("mine", "gauge", "Mine.", 1)]


@pytest.fixture
def source() -> Iterator[Source]:
    """One that is known."""
    source = Source()
    add_source(source)
    add_source(source)
    yield source
    remove_source(source)


class TestSources:
    """Figures of others."""

    def test_shown(self, source: Source) -> None:
        """Each source is asked once, until it is removed."""
        assert from_sources().count(single("mine", "gauge", "Mine.", 1)) == 1
        remove_source(source)
        assert single("mine", "gauge", "Mine.", 1) not in from_sources()

    def test_failing(self, source: Source, logs: Logs) -> None:
        """One that fails is left out and mentioned once, until it works again."""
        source.fails = True
        assert single("mine", "gauge", "Mine.", 1) not in from_sources()
        from_sources()
        (message,) = logs.take()
        assert message.startswith("ERROR The source of figures <tests.server.observing.test_fig")
        source.fails = False
        assert single("mine", "gauge", "Mine.", 1) in from_sources()
