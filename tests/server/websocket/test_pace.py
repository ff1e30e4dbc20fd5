"""How fast a client may send: decided with moments that the test names."""

from typing import Any

import pytest

from fairway.server.config import Config
from fairway.server.websocket.pace import Meter, Pace, RateLimit
from fairway.wire.websocket import Closed, Event, Ping, Pong


def pace(**options: Any) -> Pace:
    """The limits of such a configuration."""
    return Pace(Config(**{f"websocket_{name}": value for name, value in options.items()}))


class TestLimit:
    """Ten in each second, thirty at once."""

    limit = RateLimit("option", 10, 30, "Too many.")

    def test_burst(self) -> None:
        """A burst is taken, and one more is not."""
        until, allowed = self.limit.spend(0.0, 1000.0, 30)
        assert allowed == 30
        assert self.limit.spend(until, 1000.0, 1) == (until, 0)

    def test_part(self) -> None:
        """Of more than a burst, as much is taken as there is room for."""
        assert self.limit.spend(0.0, 1000.0, 50)[1] == 30

    @pytest.mark.parametrize(
        ("seconds", "allowed"), [(0.05, 0), (0.1, 1), (1, 10), (2.9, 29), (3, 30), (100, 30)]
    )
    def test_afterwards(self, seconds: float, allowed: int) -> None:
        """Then as much is taken as the rate says, until there is room for a burst again."""
        until, _ = self.limit.spend(0.0, 1000.0, 30)
        assert self.limit.spend(until, 1000.0 + seconds, 99)[1] == allowed

    def test_steady(self) -> None:
        """Who keeps to the rate is never refused, however long."""
        until = 0.0
        for number in range(10_000):
            until, allowed = self.limit.spend(until, 1000 + number / 10, 1)
            assert allowed == 1

    def test_off(self) -> None:
        """Without a rate there is no limit."""
        assert RateLimit("option", 0, 1, "").spend(0.0, 1000.0, 10**9) == (0.0, 10**9)


class TestPace:
    """The limits of a configuration."""

    def test_usual(self) -> None:
        """Messages and bytes have none by default; Pings and Pongs have."""
        usual = pace()
        assert not usual.limited
        assert (usual.messages.rate, usual.bytes.rate) == (0, 0)
        assert (usual.control.rate, usual.control.burst) == (100, 1000)
        assert usual.control.option == "websocket_control_rate"

    @pytest.mark.parametrize("option", ["message_rate", "byte_rate"])
    def test_limited(self, option: str) -> None:
        """With one of the two, each client is measured."""
        assert pace(**{option: 1}).limited


class TestMeter:
    """What one client has sent."""

    def test_messages(self) -> None:
        """Messages beyond the limit are left out; what else there is stays in its place."""
        meter = Meter(pace(message_rate=1, message_burst=3))
        events: list[Event] = ["a", Ping(b""), b"b", Pong(b""), "c", "d", Ping(b"x"), Closed(1000)]
        kept, limit = meter.take_events(1000.0, events)
        assert kept == ["a", Ping(b""), b"b", Pong(b""), "c", Ping(b"x"), Closed(1000)]
        assert limit is not None
        assert limit.option == "websocket_message_rate"
        assert meter.take_events(1000.0, [Ping(b"")]) == ([Ping(b"")], None)
        assert meter.take_events(1001.0, ["e"]) == (["e"], None)

    def test_bytes(self) -> None:
        """Bytes are within the limit or not."""
        meter = Meter(pace(byte_rate=10, byte_burst=100))
        assert meter.take_bytes(1000.0, 100) is None
        limit = meter.take_bytes(1000.0, 1)
        assert limit is not None
        assert limit.option == "websocket_byte_rate"
