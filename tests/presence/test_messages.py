"""News between processes as messages."""

from hypothesis import given
from hypothesis import strategies as st

from fairway.layers.codec import decode, encode
from fairway.layers.serializers import registry
from fairway.presence import messages
from fairway.presence.messages import PART, Assembly, from_delta, from_snapshot, read_delta
from fairway.presence.state import Delta, Entry, Snapshot


def snapshot(size: int, clock: int = 99, meta: str = "{}") -> Snapshot:
    return Snapshot("a", clock, {n: Entry("harbour", str(n), meta, 2.0) for n in range(size)})


def test_delta() -> None:
    """A delta comes out as it went in, whatever the layer makes of messages."""
    delta = Delta("a", 3, 5, {4: Entry("harbour", "ada", '{"ä":1}', 2.5)}, {2: 0.0})
    assert read_delta(decode(encode(from_delta(delta)))) == delta
    json = registry.get_serializer("json")
    assert read_delta(json.deserialize(json.serialize(from_delta(delta)))) == delta


def test_ask_and_beat() -> None:
    """The short ones say who sends them."""
    assert messages.ask("a") == {"type": "presence.ask", "sender": "a"}
    assert messages.beat("a", 7) == {"type": "presence.beat", "sender": "a", "clock": 7}


@given(size=st.sampled_from([0, 1, PART, PART + 1, 3 * PART]))
def test_snapshot(size: int) -> None:
    """A snapshot of any size comes out as it went in."""
    assembly, parts = Assembly(), list(from_snapshot(snapshot(size)))
    *before, last = [assembly.add(messages.read_part(decode(encode(part)))) for part in parts]
    assert before == [None] * (len(parts) - 1)
    assert last == snapshot(size)


def test_parts_are_small() -> None:
    """No part has many entries, or is long."""
    assert [len(part["entries"]) for part in from_snapshot(snapshot(PART + 1))] == [PART, 1]
    large = [len(encode(part)) for part in from_snapshot(snapshot(50, meta="x" * 4000))]
    assert len(large) == 3
    assert max(large) < 80_000


def test_lost_parts() -> None:
    """A snapshot of which a part is missing is none; the next one is whole again."""
    assembly = Assembly()
    first, second, third = map(messages.read_part, from_snapshot(snapshot(2 * PART + 1)))
    assert [assembly.add(part) for part in (first, third, second)] == [None, None, None]
    assert [assembly.add(part) for part in (second, third)] == [None, None]
    assert assembly.add(first) is None
    (_, newer, _) = map(messages.read_part, from_snapshot(snapshot(2 * PART + 1, clock=100)))
    assert assembly.add(newer) is None
    assert assembly.add(third) is None
    *_, whole = [assembly.add(part) for part in (first, second, third)]
    assert whole == snapshot(2 * PART + 1)
    assembly.add(first)
    assembly.forget("a")
    assert assembly.add(second) is None
