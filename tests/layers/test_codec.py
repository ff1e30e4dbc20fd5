"""Codec: a message comes back as it was, or is refused where it was sent."""

import contextlib
import datetime
import decimal
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.exceptions import MessageNotSerializable
from fairway.layers.codec import decode, encode


def without_fold(moment: Any) -> Any:
    """Which of two equal wall-clock times is meant does not cross."""
    return moment.replace(fold=0)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes().map(without_fold)
    | st.datetimes(timezones=st.just(datetime.UTC)).map(without_fold)
    | st.dates()
    | st.times().map(without_fold)
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.frozensets(st.integers(0, 100)),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


def kinds(value: Any) -> Any:
    """The types of a value and of everything in it."""
    if isinstance(value, dict):
        return {key: kinds(child) for key, child in value.items()}
    if isinstance(value, list):
        return [kinds(child) for child in value]
    return type(value)


@given(st.dictionaries(st.text(), PLAIN))
def test_round_trip(message: dict[str, Any]) -> None:
    """Every value that may be sent is received as the same value of the same type."""
    received = decode(encode(message))
    assert received == message
    assert kinds(received) == kinds(message)


@pytest.mark.parametrize(
    "value",
    [
        datetime.datetime(2026, 5, 4, 3, 2, 1, 999),  # noqa: DTZ001  naive ones cross as well
        datetime.datetime(2026, 5, 4, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        datetime.date(2026, 5, 4),
        datetime.time(23, 59, 59, 1),
        datetime.timedelta(days=-1, microseconds=1),
        uuid.UUID("12345678-1234-5678-1234-567812345678"),
        decimal.Decimal("1.10"),
        {1, 2},
        frozenset({"a"}),
        {1: "integer keys"},
    ],
)
def test_values_of_django_projects(value: Any) -> None:
    """What Channels' layers refuse or change comes back as it was."""
    received = decode(encode({"type": "x", "value": value}))["value"]
    assert (received, type(received)) == (value, type(value))


def test_tuples_become_lists() -> None:
    """A tuple comes back as a list, as in JSON."""
    assert decode(encode({"type": "x", "value": (1, (2,))})) == {"type": "x", "value": [1, [2]]}


def test_each_reader_has_its_own() -> None:
    """What one reader changes, another does not see."""
    payload = encode({"type": "x", "list": [1]})
    decode(payload)["list"].append(2)
    assert decode(payload) == {"type": "x", "list": [1]}


@pytest.mark.parametrize(
    ("message", "path", "kind"),
    [
        ({"type": "x", "users": [1, 2, object()]}, "$.users[2]", "object"),
        ({"type": "x", "a": {"b": [{"c": 1j}]}}, "$.a.b[0].c", "complex"),
        ({"type": "x", "big": 2**64}, "$.big", "int"),
        ({"type": "x", "lone": "\ud800"}, "$.lone", "str"),
    ],
)
def test_refused_at_the_sender(message: dict[str, Any], path: str, kind: str) -> None:
    """A value that cannot cross is refused with its place in the message."""
    with pytest.raises(MessageNotSerializable) as caught:
        encode(message)
    assert caught.value.path == path
    assert str(caught.value) == (
        f"A value of type {kind} at {path} cannot cross a channel layer. Send text, bytes, "
        "numbers, booleans, None, lists and dictionaries with text keys."
    )


def test_circles_are_refused() -> None:
    """A message that contains itself is refused, not followed for ever."""
    message: dict[str, Any] = {"type": "x"}
    message["self"] = message
    with pytest.raises(MessageNotSerializable):
        encode(message)


@given(st.binary())
def test_garbage(payload: bytes) -> None:
    """Bytes that are no message raise ValueError and nothing else."""
    with contextlib.suppress(ValueError):
        decode(payload)


@pytest.mark.parametrize("value", [{(1, 2)}, frozenset({(1, (2, 3)), "x"})])
def test_tuples_in_sets(value: Any) -> None:
    """A tuple in a set stays one: a list could not be in a set."""
    assert decode(encode({"value": value})) == {"value": value}
