"""Codec: a message comes back as it was, or is refused where it was sent."""

import collections
import contextlib
import dataclasses
import datetime
import decimal
import enum
import math
import uuid
import zoneinfo
from typing import Any

import ormsgpack
import pytest
from django.contrib.auth.models import User
from django.db import models
from django.utils import translation
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from fairway.exceptions import MessageNotSerializable
from fairway.layers import InMemoryChannelLayer
from fairway.layers.codec import decode, encode

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.datetimes(timezones=st.just(datetime.UTC))
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.frozensets(st.integers(0, 100)),
    lambda children: (
        st.lists(children) | st.dictionaries(st.text() | st.dates() | st.uuids(), children)
    ),
    max_leaves=20,
)


def kinds(value: Any) -> Any:
    """The types of a value and of everything in it, and what an equal value may differ in."""
    if isinstance(value, dict):
        return {key: kinds(child) for key, child in value.items()}
    if isinstance(value, list):
        return [kinds(child) for child in value]
    if isinstance(value, (datetime.datetime, datetime.time)):
        return type(value), value.fold
    return type(value)


@given(st.dictionaries(st.text(), PLAIN))
def test_round_trip(message: dict[str, Any]) -> None:
    """Every value that may be sent is received as the same value of the same type."""
    received = decode(encode(message))
    assert received == message
    assert kinds(received) == kinds(message)


VALUES = [
    datetime.datetime(2026, 5, 4, 3, 2, 1, 999),  # noqa: DTZ001  naive ones cross as well
    datetime.datetime(2026, 5, 4, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
    datetime.date(2026, 5, 4),
    datetime.time(23, 59, 59, 1),
    datetime.time(12, tzinfo=datetime.UTC),
    datetime.timedelta(days=-1, microseconds=1),
    uuid.UUID("12345678-1234-5678-1234-567812345678"),
    decimal.Decimal("1.10"),
    decimal.Decimal("-Infinity"),
    b"\x00\xff",
    {1, 2},
    frozenset({"a"}),
    {frozenset({1}), datetime.date(2026, 5, 4)},
    2**64,
    -(2**200),
    math.inf,
]


@pytest.mark.pain(25)
@pytest.mark.row("4 messages")
@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_values_of_django_projects(value: Any) -> None:
    """What Channels' layers refuse or change comes back as it was, also through a whole layer."""
    received = decode(encode({"type": "x", "value": value}))["value"]
    assert (received, type(received)) == (value, type(value))
    layer = InMemoryChannelLayer()
    await layer.send("channel", {"type": "x", "in": [{"a": value}]})
    assert await layer.receive("channel") == {"type": "x", "in": [{"a": value}]}


@pytest.mark.pain(25)
@pytest.mark.parametrize(
    "key",
    [
        1,
        2**64,
        None,
        True,
        1.5,
        b"x",
        (1, ("a", 2)),
        frozenset({1}),
        datetime.date(2026, 5, 4),
        datetime.datetime(2026, 5, 4, tzinfo=datetime.UTC),
        uuid.UUID(int=1),
        decimal.Decimal("1.10"),
    ],
    ids=repr,
)
def test_keys(key: Any) -> None:
    """Whatever may be sent may be a key, in whatever company, and the reader survives it."""
    message = {"type": "x", "by_key": {key: datetime.date(2026, 5, 4), "other": {key: {1}}}}
    received = decode(encode(message))
    assert received == message
    assert [type(name) for name in received["by_key"]] == [type(key), str]


def test_not_a_number() -> None:
    """NaN crosses, although it is not equal to itself."""
    received = decode(encode({"float": math.nan, "decimal": decimal.Decimal("NaN")}))
    assert math.isnan(received["float"])
    assert received["decimal"].is_nan()


@dataclasses.dataclass
class Point:
    """A project's own type."""

    x: int
    when: datetime.date
    label: Any = ""


class Model:
    """Looks like a model of Pydantic."""

    def model_dump(self) -> dict[str, Any]:
        return {"point": Point(1, datetime.date(2026, 5, 4))}


class Colour(enum.Enum):
    RED = "red"
    DAY = datetime.date(2026, 5, 4)


class Suit(models.TextChoices):
    HEARTS = "H", "Hearts"


class Number(enum.IntEnum):
    ONE = 1


class Text(str):
    """Text of a project's own kind."""

    __slots__ = ()


class Ratio(float):
    """A number of a project's own kind."""


class Data(bytes):
    """Bytes of a project's own kind."""


Pair = collections.namedtuple("Pair", "first second")  # noqa: PYI024  as projects have them

POINT = {"x": 1, "when": datetime.date(2026, 5, 4), "label": ""}


@pytest.mark.pain(25)
@pytest.mark.parametrize(
    ("value", "received"),
    [
        (Point(1, datetime.date(2026, 5, 4)), POINT),
        (Point(1, datetime.date(2026, 5, 4), {Pair(1, 2)}), POINT | {"label": {(1, 2)}}),
        (Model(), {"point": POINT}),
        (Colour.RED, "red"),
        (Colour.DAY, datetime.date(2026, 5, 4)),
        (Suit.HEARTS, "H"),
        (Number.ONE, 1),
        ({Suit.HEARTS: Number.ONE}, {"H": 1}),
        ({Colour.RED}, {"red"}),
        (mark_safe("<b>"), "<b>"),
        ({mark_safe("<b>"): Text("x")}, {"<b>": "x"}),
        (Ratio(1.5), 1.5),
        (Data(b"x"), b"x"),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        (Pair(1, (2,)), [1, [2]]),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.Counter("a"), {"a": 1}),
        (gettext_lazy("Monday"), "Monday"),
        ({gettext_lazy("Monday"): {gettext_lazy("Tuesday")}}, {"Monday": {"Tuesday"}}),
        (
            datetime.datetime(2026, 5, 4, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
            datetime.datetime(2026, 5, 4, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        ),
    ],
    ids=repr,
)
def test_own_types_come_back_as_plain_values(value: Any, received: Any) -> None:
    """The reader makes no object of a class that a message names: it gets what it is made of."""
    found = decode(encode({"type": "x", "value": value}))["value"]
    assert found == received
    assert kinds(found) == kinds(received)


def test_lazy_text_is_in_the_senders_language() -> None:
    """A lazy text is translated where it is sent, with the language that is active there."""
    with translation.override("de"):
        payload = encode({"type": "x", "day": gettext_lazy("Monday")})
    assert decode(payload)["day"] == "Montag"


def test_tuples_become_lists() -> None:
    """A tuple comes back as a list, as in JSON."""
    assert decode(encode({"type": "x", "value": (1, (2,))})) == {"type": "x", "value": [1, [2]]}


@pytest.mark.parametrize("value", [[1], {"a": 1}, {1}, [[]]])
def test_each_reader_has_its_own(value: Any) -> None:
    """What one reader changes, another does not see, however many read the same bytes."""
    payload = encode({"type": "x", "value": value})
    for _ in range(5):
        message = decode(payload)
        assert message == {"type": "x", "value": value}
        message["value"].clear()
        message["more"] = 1


def test_many_readers() -> None:
    """Where nobody can change the values, readers of the same bytes share them and no more."""
    payload = encode({"type": "x", "text": "hello", "at": datetime.date(2026, 1, 2), "n": None})
    first, *others = [decode(payload) for _ in range(5)]
    assert all(message == first and message is not first for message in others)
    assert others[-1]["text"] is others[-2]["text"]
    for message in (first, *others):
        message.clear()
    assert decode(payload) == {
        "type": "x", "text": "hello", "at": datetime.date(2026, 1, 2), "n": None,
    }  # fmt: skip


@pytest.mark.parametrize("size", [10, 100_000])
def test_readers_in_turn(size: int) -> None:
    """Several messages at a time, short and long ones, are not taken for one another."""
    payloads = [encode({"type": "x", "text": letter * size}) for letter in "ab"]
    for _ in range(4):
        for _ in range(3):
            assert decode(payloads[0]) == {"type": "x", "text": "a" * size}
        assert decode(payloads[1]) == {"type": "x", "text": "b" * size}


@pytest.mark.parametrize(("payload", "error"), [(b"", "end of file"), (b"\x01", "not int")])
def test_garbage_again(payload: bytes, error: str) -> None:
    """What is no message is none at the third reader either."""
    for _ in range(3):
        with pytest.raises(ValueError, match=error):
            decode(payload)


@pytest.mark.pain(25)
@pytest.mark.parametrize(
    ("message", "path", "kind"),
    [
        ({"type": "x", "users": [1, 2, object()]}, "$.users[2]", "object"),
        ({"type": "x", "a": {"b": [{"c": 1j}]}}, "$.a.b[0].c", "complex"),
        ({"type": "x", "many": collections.deque([1])}, "$.many", "deque"),
        ({"type": "x", "lazily": iter([1])}, "$.lazily", "list_iterator"),
        ({"type": "x", "by": {7: {object()}}}, "$.by[7][0]", "object"),
        ({"type": "x", "by": {object: 1}}, f"$.by[{object!r}]", "type"),
        ({"type": "x", "by": {Colour.RED: 1, "red": 2}}, "$.by", "dict"),
        ({"type": "x", "point": Point(1, datetime.date(1, 1, 1), 1j)}, "$.point.label", "complex"),
        ({"type": "x", "data": {1: Model}}, "$.data[1]", "type"),
        (
            {"type": "x", "at": datetime.time(1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))},
            "$.at",
            "time",
        ),
        ({"type": "x", "lone": "\ud800"}, "$.lone", "str"),
        ({"type": "x", "by": {"\ud800": 1}}, r"$.by['\ud800']", "str"),
        ({"type": "x", "by": {"a\nb": object()}}, r"$.by['a\nb']", "object"),
    ],
)
def test_refused_at_the_sender(message: dict[str, Any], path: str, kind: str) -> None:
    """A value that cannot cross is refused with its place in the message."""
    with pytest.raises(MessageNotSerializable) as caught:
        encode(message)
    assert caught.value.path == path
    assert str(caught.value) == (
        f"A value of type {kind} at {path} cannot cross a channel layer. Send text, bytes, "
        "numbers, booleans, None, dates, times, UUIDs, decimals, sets, lists and dictionaries."
    )


def test_models_are_refused_with_a_hint() -> None:
    """Of a row in the database only the key is worth sending."""
    with pytest.raises(MessageNotSerializable) as caught:
        encode({"type": "x", "users": [User(username="ada")]})
    assert str(caught.value) == (
        "A value of type User at $.users[0] cannot cross a channel layer. "
        "Send its primary key, and load it where the message arrives."
    )


def test_failing_values_are_refused_with_the_cause() -> None:
    """What cannot even be read, such as a lazy user that needs the database, is named as well."""

    def load() -> None:
        raise RuntimeError("no database here")

    with pytest.raises(MessageNotSerializable, match=r"SimpleLazyObject at \$\.user ") as caught:
        encode({"type": "x", "user": SimpleLazyObject(load)})
    assert str(caught.value.__cause__) == "no database here"


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


@given(st.integers(1, 12), st.binary() | st.sampled_from([b"\x91\x80", b"\x92\x01\x02", b"inf~"]))
def test_garbage_in_extensions(tag: int, data: bytes) -> None:
    """So do extensions that hold anything."""
    payload = ormsgpack.packb({"a": ormsgpack.Ext(tag, data)})
    with contextlib.suppress(ValueError):
        decode(payload)


def test_no_message() -> None:
    """A message is a dictionary."""
    with pytest.raises(ValueError, match=r"^A layer message must be a dictionary, not list\.$"):
        decode(ormsgpack.packb([1]))


@pytest.mark.parametrize("value", [{(1, 2)}, frozenset({(1, (2, 3)), "x"})])
def test_tuples_in_sets(value: Any) -> None:
    """A tuple in a set stays one: a list could not be in a set."""
    assert decode(encode({"value": value})) == {"value": value}
