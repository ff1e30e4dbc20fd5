"""Counters begin at nothing and only grow."""

from fairway.server.observing.counters import HELP, Counters


def test_described() -> None:
    """Everything that is counted is explained."""
    counters = Counters()
    assert {name: getattr(counters, name) for name in HELP} == dict.fromkeys(HELP, 0)
    assert set(Counters.__slots__) == {*HELP, "closed", "refused", "requests"}
    assert (counters.closed, counters.refused, counters.requests) == ({}, {}, {})


def test_requests() -> None:
    """Requests are counted by method and class of the status; who invents a method makes no key."""
    counters = Counters()
    for method, status in [("GET", 200), ("GET", 204), ("POST", 503), ("BREW", 418), ("X", 499)]:
        counters.count("complete", method, status)
    assert counters.requests == {("GET", 2): 2, ("POST", 5): 1, ("other", 4): 2}


def test_websockets() -> None:
    """WebSockets are counted as they are accepted or refused, and as they end."""
    counters = Counters()
    told = [("connecting", 0), ("connected", 101), ("disconnected", 1001), ("rejected", 403)]
    for action, status in told:
        counters.count(action, "GET", status)
    assert (counters.websockets, counters.rejected, counters.closed) == (1, 1, {1001: 1})
    assert counters.requests == {}
