"""Refusals are counted each and told once for a burst."""

import logging

import pytest

from fairway.server.observing.counters import Counters
from fairway.server.observing.refusals import Refusals
from tests.clock import Clock
from tests.server.running import Logs


def test_burst(caplog: pytest.LogCaptureFixture, logs: Logs) -> None:
    """The first is told with limit, setting, peer and answer; those that follow are counted."""
    clock, counters = Clock(), Counters()
    refusals = Refusals(counters, clock)
    with caplog.at_level(logging.WARNING, "fairway.server.refused"):
        for _ in range(3):
            refusals.note("max_body_size", 1024, ("192.0.2.1", 4711), "413")
        clock.now += 11
        refusals.note("max_body_size", 1024, None, "413")
    assert counters.refused == {"max_body_size": 4}
    facts = [vars(caplog.records[0])[name] for name in ("limit", "setting", "peer", "answer")]
    assert facts == ["max_body_size", 1024, "192.0.2.1:4711", "413"]
    first, second = caplog.messages
    assert first == "The limit max_body_size (1024) refused 192.0.2.1:4711: 413"
    assert second == (
        "The limit max_body_size (1024) refused the peer of a Unix socket: 413 "
        "(2 more since the last line)"
    )
    logs.take()


def test_long_burst(caplog: pytest.LogCaptureFixture, logs: Logs) -> None:
    """A burst without an end is told of once a minute."""
    clock, counters = Clock(), Counters()
    refusals = Refusals(counters, clock)
    for _ in range(61):
        refusals.note("max_connections", 1, ("192.0.2.1", 1), "503")
        clock.now += 1
    assert len(caplog.messages) == 2
    logs.take()


def test_count(caplog: pytest.LogCaptureFixture) -> None:
    """What is in the ordinary course of things is counted without a word."""
    counters = Counters()
    refusals = Refusals(counters, Clock())
    refusals.count("keep_alive_timeout")
    refusals.count("keep_alive_timeout")
    assert counters.refused == {"keep_alive_timeout": 2}
    assert caplog.messages == []


def test_counted_only(logs: Logs) -> None:
    """What belongs to the day's work is counted, and no line in the log."""
    counters = Counters()
    Refusals(counters, Clock()).count("keep_alive_timeout")
    assert counters.refused == {"keep_alive_timeout": 1}
    assert logs.take() == []
