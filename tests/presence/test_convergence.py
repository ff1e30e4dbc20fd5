"""Whatever happens on the way between processes, in the end all of them know the same."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from fairway._types import Event
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers import InMemoryChannelLayer
from fairway.layers.contract import Reached
from fairway.presence.conversation import GROUP, Conversation, Timing
from fairway.presence.roster import Roster
from fairway.presence.state import Entry
from tests.clock import Clock
from tests.exploring import examples
from tests.presence.test_state import at_once

TIMING = Timing()
PROCESSES = 3


class Sea:
    """What is on its way between processes."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.under_way: list[tuple[str, Event]] = []
        self.processes: dict[str, Process] = {}
        self.began = 0


class SeaLayer(InMemoryChannelLayer):
    """Sends messages out to sea."""

    def __init__(self, sea: Sea, name: str) -> None:
        super().__init__()
        self.sea = sea
        self.name = name
        self.cut_off = False

    async def group_send(self, group: str, message: Event) -> Reached:
        assert group == GROUP
        others = [name for name in self.sea.processes if name != self.name]
        for name in others:
            await self.send(name, message)
        return Reached(1, len(others) + 1)

    async def send(self, channel: str, message: Event, *, delay: float = 0.0) -> None:
        if self.cut_off:
            raise ChannelLayerUnavailable("There is a storm.")
        self.sea.under_way.append((channel, message))

    async def group_add(self, group: str, channel: str) -> None:
        """There is but one group."""

    def group_size(self, group: str) -> int:
        return 1


class Process:
    """One of them: it has people, until it is killed."""

    def __init__(self, sea: Sea, name: str) -> None:
        self.layer = SeaLayer(sea, name)
        self.roster = Roster()
        self.talk = Conversation(self.layer, name, self.roster, TIMING, sea.clock)

    def join(self, key: str) -> None:
        self.talk.own.join(Entry("harbour", key, "{}", 0.0))

    def leave(self, index: int) -> None:
        numbers = list(self.talk.own.entries)
        if numbers:
            self.talk.own.leave(numbers[index % len(numbers)], 0.0, 0.0)

    @property
    def people(self) -> set[str]:
        at_once(self.roster.settle(float("inf")))
        return set(at_once(self.roster.people("harbour")))


async def do(sea: Sea, verb: str, which: int, detail: int) -> None:
    """One thing that may happen."""
    name = list(sea.processes)[which]
    process = sea.processes[name]
    if verb == "join":
        process.join("adameikofizoe"[detail * 3 :][:3])
    elif verb == "leave":
        process.leave(detail)
    elif verb == "speak":
        await process.talk.speak()
    elif verb == "look":
        await process.talk.look()
    elif verb == "wait":
        sea.clock.now += detail
    elif verb == "storm":
        process.layer.cut_off = not process.layer.cut_off
    elif verb == "kill":
        del sea.processes[name]
        begin(sea)
    elif sea.under_way:
        # Any of them may come next, be lost, or come again later.
        index = (which + 3 * detail) % len(sea.under_way)
        target, message = sea.under_way[index]
        if verb != "deliver twice":
            del sea.under_way[index]
        if verb != "lose" and target in sea.processes:
            await sea.processes[target].talk.hear(message)


def begin(sea: Sea) -> None:
    """One more process."""
    sea.began += 1
    name = f"process{sea.began}"
    sea.processes[name] = Process(sea, name)


async def calm(sea: Sea) -> None:
    """Nothing is lost any more, and some time goes by."""
    for process in sea.processes.values():
        process.layer.cut_off = False
    for _ in range(12):
        sea.clock.now += TIMING.beat
        for process in sea.processes.values():
            await process.talk.speak()
        while sea.under_way:
            target, message = sea.under_way.pop(0)
            if target in sea.processes:
                await sea.processes[target].talk.hear(message)
        for process in sea.processes.values():
            await process.talk.look()


verbs = st.sampled_from(
    ["join", "join", "leave", "speak", "speak", "look", "wait", "storm", "kill"]
    + ["deliver"] * 5
    + ["deliver twice", "lose"]
)


@examples(150)
@given(st.lists(st.tuples(verbs, st.integers(0, PROCESSES - 1), st.integers(0, 3)), max_size=60))
def test_convergence(events: list[tuple[str, int, int]]) -> None:
    """Lost, repeated, late, cut off or killed: soon after it is over, everybody knows who is here.

    In the meantime a process knows its own people, whatever it hears of others.
    """

    async def run() -> None:
        sea = Sea()
        for _ in range(PROCESSES):
            begin(sea)
        await calm(sea)  # they have met
        for event in events:
            await do(sea, *event)
            for process in sea.processes.values():
                assert own(process) <= process.people
        await calm(sea)
        here = set().union(*map(own, sea.processes.values()))
        assert [process.people for process in sea.processes.values()] == [here] * PROCESSES

    asyncio.run(run())


def own(process: Process) -> set[str]:
    return {entry.key for entry in process.talk.own.entries.values()}
