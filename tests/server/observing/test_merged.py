"""Workers' figures as one."""

from fairway.server.observing.figures import Family, Histogram, family, single
from fairway.server.observing.merged import Merged, from_json, to_json


def report(requests: int, open_now: int) -> list[Family]:
    """What one worker says."""
    lag = Histogram((1.0,))
    lag.observe(0.5)
    return [
        family("requests", "counter", "R.", {("GET",): requests}, "method"),
        single("open", "gauge", "O.", open_now),
        lag.family("lag_seconds", "L."),
    ]


def figures(merged: Merged) -> dict[str, float]:
    """All of it, each figure under a name that is easy to read."""
    return {
        family.name + suffix + "".join(f" {name}={value}" for name, value in labels): value_
        for family in merged.families()
        for (suffix, labels), value_ in family.samples.items()
    }


def test_two() -> None:
    """Counters and histograms are sums; gauges are told apart."""
    merged = Merged()
    merged.report(0, 0, report(3, 1))
    merged.report(1, 1, report(4, 2))
    assert figures(merged) == {
        "requests method=GET": 7,
        "open worker=0": 1,
        "open worker=1": 2,
        "lag_seconds_bucket le=1.0": 2,
        "lag_seconds_bucket le=+Inf": 2,
        "lag_seconds_sum": 1.0,
        "lag_seconds_count": 2,
    }


def test_again() -> None:
    """A worker that is asked again says how much it is by now, not how much more."""
    merged = Merged()
    merged.report(0, 0, report(3, 1))
    merged.report(0, 0, report(5, 0))
    assert figures(merged)["requests method=GET"] == 5
    assert figures(merged)["open worker=0"] == 0


def test_replaced() -> None:
    """What a worker has counted stays when it is gone; how it was does not."""
    merged = Merged()
    merged.report(0, 0, report(3, 1))
    merged.report(1, 0, report(0, 1))  # in the same place, while the old one ends
    assert figures(merged)["open worker=0"] == 2
    merged.end(0)
    assert figures(merged)["requests method=GET"] == 3
    assert figures(merged)["open worker=0"] == 1
    merged.report(1, 0, report(2, 1))
    merged.end(1)
    assert figures(merged)["requests method=GET"] == 5
    assert "open worker=0" not in figures(merged)


def test_silent() -> None:
    """A worker that ends before it has said anything changes nothing."""
    merged = Merged()
    merged.end(7)
    assert merged.families() == []


def test_json() -> None:
    """What is sent is what is received."""
    assert from_json(to_json(report(1, 2))) == report(1, 2)
