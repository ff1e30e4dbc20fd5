"""Bus: six methods, and abilities that are declared."""

import inspect

from fairway.layers.bus import Bus


def test_a_small_interface() -> None:
    """Whoever connects processes in a new way writes these six, and no more."""
    assert Bus.__abstractmethods__ == {
        "publish",
        "subscribe",
        "unsubscribe",
        "push",
        "pop",
        "close",
    }
    assert all(inspect.iscoroutinefunction(getattr(Bus, n)) for n in Bus.__abstractmethods__)


def test_no_ability_unless_declared() -> None:
    """What a bus can do beyond that it has to say."""
    assert Bus.abilities == frozenset()
