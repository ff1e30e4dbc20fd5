"""Bus: a small interface, and abilities that are declared."""

from fairway.layers.bus import Bus


def test_a_small_interface() -> None:
    """Whoever connects processes in a new way writes these, and no more."""
    assert Bus.__abstractmethods__ == {
        "publish",
        "tell",
        "subscribe",
        "unsubscribe",
        "push",
        "pop",
        "flush",
        "close",
    }


def test_no_ability_unless_declared() -> None:
    """What a bus can do beyond that it has to say."""
    assert Bus.abilities == frozenset()
