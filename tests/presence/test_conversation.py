"""What processes tell each other, and what they conclude from silence."""

import logging

import pytest

from fairway.presence import messages
from fairway.presence.conversation import GROUP
from fairway.presence.state import Replica
from tests.presence.places import Coast, Place, until


async def pass_time(coast: Coast, seconds: float, *places: Place) -> None:
    """Let time pass; those places do what is to be done then."""
    coast.clock.now += seconds
    for place in places:
        await place.look()
        await place.speak()


async def test_told(coast: Coast) -> None:
    """What happens in one process is known in all, and said to the members there."""
    here, there = await coast.place(), await coast.place()
    channel = await here.join("ada", '{"name":"Ada"}')
    for place in (here, there):
        assert await place.heard() == {
            "type": "presence.diff",
            "group": "harbour",
            "joins": {"ada": [{"name": "Ada"}]},
            "updates": {},
            "leaves": {},
        }
    await there.join("mei")
    for place in (here, there):
        await place.hears("mei")
        assert await place.people() == ["ada", "mei"]
    await here.leave(channel, 0.0)
    for place in (here, there):
        await place.hears(leaves=("ada",))


async def test_start(coast: Coast) -> None:
    """Who comes later knows at once what the others have, however much that is."""
    here, there = await coast.place(), await coast.place()
    names = [f"person{number}" for number in range(2 * messages.PART + 1)]
    for name in names:
        await here.join(name)
    await there.join("mei")
    later = await coast.place()
    assert sorted(await later.people()) == sorted([*names, "mei"])


async def test_one_person_in_two_processes(coast: Coast) -> None:
    """Counts once, and is there until the last connection of any process ends."""
    here, there = await coast.place(), await coast.place()
    first, second = await here.join("ada"), await there.join("ada")
    await there.join("mei")
    for place in (here, there):
        await place.hears("ada", "mei")
        assert await place.count() == 2
    await here.leave(first, 0.0)
    await there.leave(second, 0.0)
    for place in (here, there):
        await place.hears(leaves=("ada",))


async def test_lost_delta(coast: Coast) -> None:
    """Who missed something notices by the next sign of life, and asks."""
    here, there = await coast.place(), await coast.place()
    here.faulty.losing = frozenset({messages.DELTA})
    await here.join("ada")
    await here.speak()
    assert await there.people() == []
    await pass_time(coast, 1.0, here)
    await there.hears("ada")
    here.faulty.losing = frozenset()
    await here.join("mei")
    await there.hears("mei")


async def test_silent_process(coast: Coast) -> None:
    """A process that says nothing, and does not answer either, is gone; and back when it is."""
    here, there = await coast.place(), await coast.place()
    await there.join("ada")
    await here.join("mei")
    await here.hears("ada", "mei")
    there.hang()
    await pass_time(coast, 3.0, here)  # it is asked
    await here.hears_nothing()
    await pass_time(coast, 1.5, here)
    await here.hears(leaves=("ada",))
    assert await here.people() == ["mei"]
    await pass_time(coast, 1.0, there)
    await here.hears("ada")


async def test_stopped_itself(coast: Coast) -> None:
    """Who was stopped, and goes on, first hears what the others have told meanwhile."""
    here, there = await coast.place(), await coast.place()
    await there.join("ada")
    await here.join("mei")
    await here.hears("ada", "mei")
    coast.clock.now += 60.0
    await here.speak()
    await here.hears_nothing()
    await pass_time(coast, 0.2, here)
    await until(lambda: only_replica(here).doubted is None)
    await pass_time(coast, 1.0, here)
    await here.hears_nothing()
    assert sorted(await here.people()) == ["ada", "mei"]


async def test_crashed_worker(coast: Coast) -> None:
    """Who is back in another process before a killed one is missed never left."""
    here, there = await coast.place(), await coast.place()
    await there.join("ada")
    await there.join("mei")
    await here.hears("ada", "mei")
    there.hang()
    await here.join("ada")
    await pass_time(coast, 3.0, here)
    await pass_time(coast, 1.5, here)
    await here.hears(leaves=("mei",))
    assert await here.people() == ["ada"]


async def test_asked_in_time(coast: Coast) -> None:
    """A process that misses some signs of life but answers when it is asked is there."""
    here, there = await coast.place(), await coast.place()
    there.faulty.losing = frozenset({messages.BEAT})
    await there.join("ada")
    await here.hears("ada")
    for _ in range(5):
        await pass_time(coast, 3.0, here)
        await until(lambda: only_replica(here).seen == coast.clock.now)
        await here.hears_nothing()


async def test_cut_off(coast: Coast) -> None:
    """Who cannot speak does not take silence for death; when it can again, it asks."""
    here, there = await coast.place(), await coast.place()
    await there.join("ada")
    await here.hears("ada")
    for place in (here, there):
        place.faulty.cut_off = True
    await there.join("mei")
    for _ in range(3):
        await pass_time(coast, 30.0, here, there)
        await here.hears_nothing()
    assert await here.people() == ["ada"]
    for place in (here, there):
        place.faulty.cut_off = False
    await pass_time(coast, 1.0, here)
    await here.hears("mei")
    await here.hears_nothing()


async def test_gap(coast: Coast) -> None:
    """When the layer says that messages may be missing, everybody is asked."""
    here, there = await coast.place(), await coast.place()
    there.faulty.losing = frozenset({messages.DELTA})
    await there.join("ada")
    await there.speak()
    here.layer._tell_gap()
    await here.hears("ada")


async def test_flush(coast: Coast) -> None:
    """Memberships of a layer may be flushed; the trackers' own come back."""
    here, there = await coast.place(), await coast.place()
    await there.join("ada")
    await here.hears("ada")
    await here.layer.flush()
    await here.begin()  # the test's own listener
    await here.look()
    await until(lambda: here.layer.group_size(GROUP) == 1)
    await here.speak()
    await there.join("mei")
    await here.hears("mei")


async def test_forgotten(coast: Coast) -> None:
    """What is known of a process that has gone is not kept for ever."""
    here, there = await coast.place(), await coast.place()
    empty = await coast.place()
    await there.join("ada")
    await empty.leave(await empty.join("mei"), 0.0)
    await here.sees("ada")
    replicas = here.tracker.conversation.others.replicas
    await until(lambda: len(replicas) == 2)
    for place in (there, empty):
        place.hang()
    await pass_time(coast, 3.0, here)
    await pass_time(coast, 2.0, here)
    await here.sees()
    assert len(replicas) == 1
    await pass_time(coast, 60.0, here)
    assert replicas == {}


async def test_nothing_to_tell(coast: Coast) -> None:
    """Who only looks gives no sign of life: the others do not even know of it."""
    here, there = await coast.place(), await coast.place()
    await there.people()
    await pass_time(coast, 1.0, there)
    await there.speak()
    assert here.tracker.conversation.others.replicas == {}


async def test_nonsense(coast: Coast, caplog: pytest.LogCaptureFixture) -> None:
    """A message that cannot be understood is logged, and the next one is heard."""
    here, there = await coast.place(), await coast.place()
    await there.layer.group_send(GROUP, {"type": messages.DELTA, "sender": "x"})
    await there.layer.group_send(GROUP, {"type": "presence.later-version", "sender": "x"})
    await there.layer.group_send(GROUP, {"type": messages.STATE})
    await there.join("ada")
    await here.hears("ada")
    records = [r for r in caplog.records if r.name == "fairway.presence"]
    assert {r.getMessage() for r in records if r.levelno == logging.ERROR} == {
        "What another process told of presence could not be understood"
    }


def only_replica(place: Place) -> Replica:
    (replica,) = place.tracker.conversation.others.replicas.values()
    return replica
