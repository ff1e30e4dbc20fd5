"""When users are looked up again."""

import pytest

from fairway.auth import Revalidation


@pytest.mark.parametrize(
    ("wanted", "policy"),
    [
        (None, None),
        (False, None),
        (True, Revalidation(interval=300.0, per_message=False, at_once=True)),
        (60, Revalidation(interval=60)),
        (0.5, Revalidation(interval=0.5)),
        (Revalidation(interval=None), Revalidation(interval=None)),
    ],
)
def test_of(wanted: Revalidation | float | bool | None, policy: Revalidation | None) -> None:
    """An argument ``revalidate`` is a policy, the default one, an interval or nothing."""
    assert Revalidation.of(wanted) == policy


@pytest.mark.parametrize("interval", [0, -1.0])
def test_interval_of_nothing(interval: float) -> None:
    """Checks without a pause between them are a mistake."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Revalidation(interval=interval)
    assert str(caught.value) == (
        "The interval of a revalidation must be seconds above 0, or None for no checks by the "
        f"clock, not {interval!r}."
    )
