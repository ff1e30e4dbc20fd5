"""What ``fairway.presence`` offers."""

from fairway import presence as room
from fairway.presence import Presence, presence


def test_default() -> None:
    """The presence that needs no making is that of the default layer."""
    assert isinstance(presence, Presence)
    assert (presence._alias, presence.linger) == ("default", 2.0)
    assert room.__all__ == ["Presence", "SyncPresence", "presence"]
