"""What came in and is no message."""

import logging
import time

import pytest

from fairway.layers.unreadable import Unreadable


def test_one_line_for_each_burst(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is counted; the log has the first, and the first after a minute without any."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    found = Unreadable(logging.getLogger("test"), "Look here.")
    for number in range(4):
        found.drop("to room", f"reason {number}")
        now += 59
    now += 1
    found.drop("in channel jobs", "reason 4")
    assert found.count == 5
    assert caplog.record_tuples == [
        (
            "test",
            logging.ERROR,
            f"A message {where} could not be read ({why}), and was dropped. Look here.",
        )
        for where, why in (("to room", "reason 0"), ("in channel jobs", "reason 4"))
    ]
