"""What the checks say of a project that is all right, and of any other."""

from pathlib import Path

import pytest

import fairway
from fairway.checks import CHECKS
from tests.checks.running import Settings, run


def test_good_settings_are_quiet() -> None:
    """Nothing is said about a project that is all right."""
    assert run() == []


def test_each_id_is_documented_once() -> None:
    """The table has every id, errors before warnings, numbered without a gap."""
    errors = [f"fairway.E{number:03}" for number in range(1, 22)]
    warnings = [f"fairway.W{number:03}" for number in range(1, 15)]
    assert list(CHECKS) == errors + warnings
    source = "".join(path.read_text() for path in Path(fairway.__file__).parent.rglob("*.py"))
    for identifier in CHECKS:
        number = identifier.removeprefix("fairway.")
        assert source.count(number) > 1, f"{identifier} is in the table only"


@pytest.mark.parametrize("value", [None, "", "x", 0, [], [1], {}, {1: 2}, {"a": None}, object()])
@pytest.mark.parametrize("name", ["ASGI_APPLICATION", "CHANNEL_LAYERS", "FAIRWAY"])
def test_no_setting_makes_a_check_crash(settings: Settings, name: str, value: object) -> None:
    """Whatever the settings are, the checks give messages, with documented ids."""
    setattr(settings, name, value)
    assert {identifier for identifier, _, _ in run()} <= set(CHECKS)
