"""A profile decides for every test how many examples Hypothesis tries, and which."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exploring import examples, load_profile


@pytest.fixture(autouse=True)
def _profile() -> Iterator[None]:
    """The profile is that of the run again."""
    yield
    load_profile()


def tried(count: int) -> list[int]:
    """What a test sees that wants so many examples."""
    seen = []

    @examples(count)
    @given(st.integers())
    def test(number: int) -> None:
        seen.append(number)

    test()
    return seen


def test_in_each_run() -> None:
    """As many as the test says, the same ones each time."""
    settings.load_profile("fairway")
    assert examples(300).max_examples == 300
    first = tried(20)
    assert len(first) == 20
    assert tried(20) == first


def test_exploring(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred times as many, and others each time; nothing is measured."""
    monkeypatch.setenv("HYPOTHESIS_PROFILE", "explore")
    load_profile()
    explored = examples(300)
    assert explored.max_examples == 30_000
    assert explored.derandomize is False
    assert explored.deadline is None
    first = tried(5)
    assert len(first) == 500
    assert tried(5) != first


def test_more_settings() -> None:
    """Other settings of Hypothesis' are passed on."""
    assert examples(300, stateful_step_count=7).stateful_step_count == 7
