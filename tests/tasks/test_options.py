"""OPTIONS, from the setting to values."""

from fairway.tasks.options import TaskOptions
from fairway.worker import JobPolicy


def test_nothing_is_needed() -> None:
    """Every option has a default."""
    assert TaskOptions.from_mapping({}) == (TaskOptions(), [])


def test_what_cannot_be_used_is_left_out() -> None:
    """And told of."""
    given = {"RETRIES": 2, "BACKOFF": "soon", "layer": "x"}
    options, complaints = TaskOptions.from_mapping(given)
    assert options == TaskOptions(retries=2)
    assert complaints == ["BACKOFF cannot be 'soon'", "there is no option 'layer'"]


def test_policy() -> None:
    """What the worker is asked for."""
    options, _ = TaskOptions.from_mapping(
        {"RETRIES": 2, "BACKOFF": 3, "MAX_BACKOFF": 4, "DEAD_LETTER": "dead", "ACKNOWLEDGE": True}
    )
    assert options.policy() == JobPolicy(
        retries=2, backoff=3, max_backoff=4, dead_letter="dead", acknowledge=True
    )
