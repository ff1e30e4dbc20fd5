"""Counters begin at nothing."""

from fairway.server.observing.counters import HELP, Counters


def test_described() -> None:
    """Everything that is counted is explained."""
    counters = Counters()
    plain = {name for name in Counters.__slots__ if isinstance(getattr(counters, name), int)}
    assert plain == set(HELP)
    assert counters.refused == {}
