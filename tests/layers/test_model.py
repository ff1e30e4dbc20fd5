"""Every channel layer does what the model of the specification allows, whatever the program.

A random program is executed by a layer, or by two that stand for two processes, and by the model
(``tests/layers/model.py``); what the layer does must be among what the model allows. A
counterexample is printed as the shortest program that shows it.
"""

import asyncio
import contextlib
import itertools
import secrets
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from typing import ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fairway._types import Event
from fairway.exceptions import ChannelFull
from fairway.layers import ChannelLayer, InMemoryChannelLayer, LocalChannelLayer
from fairway.layers.job import Job
from fairway.layers.redis import RedisChannelLayer
from tests.layers.model import CAPACITY, EXPIRY, GROUP_EXPIRY, LEASE, Message, Model
from tests.layers.redis.servers import RedisServer

T = TypeVar("T")

#: Seconds in which anything happens, however busy the machine is.
PATIENCE = 20.0

NAMED = ("jobs", "mail")
GROUPS = ("news", "room")

processes = st.integers(0, 1)
#: Named channels, and those of the two processes.
channels = st.integers(0, len(NAMED) + 1)
groups = st.sampled_from(GROUPS)


def message(number: int) -> Event:
    return {"type": "test.message", "number": number}


class LayerMachine(RuleBasedStateMachine):
    """Executes a program; the subclasses know the layers."""

    count: ClassVar[int] = 1
    timed: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.runner = asyncio.Runner()
        self.layers = self.run(self.make_layers())
        self.number = 0
        self.jobs: list[tuple[int, str, Message, Job]] = []
        self.own: list[str] = []
        self.barriers: list[str] = []
        for layer in self.layers:
            self.own.append(self.run(layer.new_channel()))
            self.barriers.append(self.run(layer.new_channel("barrier")))

    async def make_layers(self) -> list[ChannelLayer]:
        raise NotImplementedError

    def teardown(self) -> None:
        try:
            if hasattr(self, "barriers"):
                self.read_everything()
        finally:
            for layer in self.layers:
                self.run(layer.close())
            self.runner.close()

    def run(self, awaitable: Awaitable[T]) -> T:
        async def within() -> T:
            return await asyncio.wait_for(awaitable, PATIENCE)

        return self.runner.run(within())

    def layer(self, process: int) -> tuple[int, ChannelLayer]:
        process %= self.count
        return process, self.layers[process]

    def channel(self, number: int) -> str:
        if number < len(NAMED):
            return NAMED[number]
        return self.own[(number - len(NAMED)) % self.count]

    def owner(self, channel: str) -> int | None:
        return self.own.index(channel) if channel in self.own else None

    def arrived(self, sender: int) -> None:
        """Everything that a process has sent to others has arrived: they are reached in order."""
        for process, layer in enumerate(self.layers):
            if process != sender:
                barrier = self.barriers[process]
                self.run(self.layers[sender].send(barrier, message(0)))
                assert self.run(layer.receive(barrier)) == message(0)

    # ------------------------------------------------------------------ channels

    @rule(process=processes, channel=channels, delay=st.sampled_from([0.0, 0.0, 0.0, 100.0]))
    def send(self, process: int, channel: int, delay: float) -> None:
        """ChannelFull is raised where the channel is full, and nowhere else."""
        process, layer = self.layer(process)
        name = self.channel(channel)
        owner = self.owner(name)
        self.number += 1
        sending = layer.send(name, message(self.number), delay=delay if owner is None else 0.0)
        if owner not in (None, process):
            self.run(sending)
            self.arrived(process)
            self.model.put_if_room(name, self.number)
            return
        must_refuse, may_refuse = self.model.queue(name).full()
        try:
            self.run(sending)
        except ChannelFull:
            assert may_refuse, "it was not full"
        else:
            assert not must_refuse, "it was full"
            self.model.put(name, self.number, delay=delay if owner is None else 0.0)

    @rule(process=processes, channel=channels, limit=st.integers(1, 3))
    def receive(self, process: int, channel: int, limit: int) -> None:
        """Who reads gets what is next, and what is behind it if that is wanted."""
        name = self.channel(channel)
        owner = self.owner(name)
        _, layer = self.layer(process if owner is None else owner)
        if self.model.queue(name).next(self.model.now)[1]:
            found = self.run(layer.receive_many(name, limit))
            assert 1 <= len(found) <= limit
            for received in found:
                self.took(name, received)

    def took(self, name: str, received: Event) -> Message:
        """What was received was next; returns it."""
        queue = self.model.queue(name)
        allowed, _ = queue.next(self.model.now)
        found = {each.number: each for each in allowed}
        assert received in [message(number) for number in found], f"instead of {sorted(found)}"
        taken = found[received["number"]]
        queue.took(taken)
        return taken

    @rule(
        process=processes,
        channel=channels,
        turns=st.integers(0, 12),
        sends=st.booleans(),
        leases=st.booleans(),
    )
    def cancel(self, process: int, channel: int, turns: int, sends: bool, leases: bool) -> None:
        """A reader that is cancelled, wherever it is, has a message or leaves all of them."""
        name = self.channel(channel)
        owner = self.owner(name)
        process, layer = self.layer(process if owner is None else owner)
        if leases and owner is None:
            self.cancel_reader(
                process, name, lambda: layer.receive_job(name, lease=LEASE), turns, sends
            )
        else:
            self.cancel_reader(process, name, lambda: layer.receive(name), turns, sends)

    def cancel_reader(
        self,
        process: int,
        name: str,
        read: Callable[[], Awaitable[Event | Job]],
        turns: int,
        sends: bool,
    ) -> None:
        queue = self.model.queue(name)
        sends = sends and not queue.full()[1]
        self.number += sends
        number = self.number
        if sends:
            self.model.put(name, number)

        async def cancelled() -> Event | Job | None:
            reader = asyncio.ensure_future(read())
            for _ in range(turns):
                await asyncio.sleep(0)
            if sends:
                await self.layers[process].send(name, message(number))
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                return await reader
            return None

        found = self.run(cancelled())
        if isinstance(found, Job):
            self.leased(process, name, found)
        elif found is not None:
            self.took(name, found)
        elif self.count > 1:
            # It may be on its way back; until then others may overtake it.
            for each in queue.next(self.model.now)[0]:
                each.ordered = each.counted = False

    # ------------------------------------------------------------------ leases

    @rule(process=processes, channel=st.integers(0, len(NAMED) - 1))
    def lease(self, process: int, channel: int) -> None:
        """The same for who takes a message on lease, who is told how often it came back."""
        name = self.channel(channel)
        process, layer = self.layer(process)
        if self.model.queue(name).next(self.model.now)[1]:
            self.leased(process, name, self.run(layer.receive_job(name, lease=LEASE)))

    def leased(self, process: int, name: str, job: Job) -> None:
        taken = self.took(name, job.message)
        assert job.attempt == taken.attempt
        taken.leased = self.model.now + LEASE
        taken.sure = taken.counted = True
        self.model.queue(name).messages.append(taken)
        self.jobs.append((process, name, taken, job))

    @rule(which=st.integers(0, 100), how=st.sampled_from(["done", "back", "later", "extend"]))
    def finish(self, which: int, how: str) -> None:
        """A lease that has not run out can be ended or extended, and no other."""
        if not self.jobs:  # no precondition: whether there is one may depend on threads
            return
        process, name, taken, job = self.jobs.pop(which % len(self.jobs))
        now = self.model.now
        held = taken.leased is not None and taken.leased > now and taken.attempt == job.attempt
        endings: dict[str, Callable[[], Awaitable[bool]]] = {
            "done": job.acknowledge,
            "back": job.give_back,
            "later": lambda: job.give_back(100.0),
            "extend": lambda: job.extend(2 * LEASE),
        }
        assert self.run(endings[how]()) == held
        if not held:
            return
        if how == "done":
            self.model.queue(name).messages.remove(taken)
        elif how == "extend":
            taken.leased = now + 2 * LEASE
            self.jobs.append((process, name, taken, job))
        else:
            taken.leased = None
            taken.attempt += 1
            taken.back = True
            taken.due = now + (100.0 if how == "later" else 0.0)
            taken.expires = max(taken.expires, taken.due + EXPIRY)
            taken.ordered &= how == "back"

    # ------------------------------------------------------------------ groups

    @rule(process=processes, group=groups, channel=channels)
    def group_add(self, process: int, group: str, channel: int) -> None:
        """Any process may put any channel into a group."""
        _, layer = self.layer(process)
        name = self.channel(channel)
        self.run(layer.group_add(group, name))
        self.model.join(group, name)

    @rule(process=processes, group=groups, channel=channels)
    def group_discard(self, process: int, group: str, channel: int) -> None:
        """Any process may take it out."""
        _, layer = self.layer(process)
        name = self.channel(channel)
        self.run(layer.group_discard(group, name))
        self.model.leave(group, name)

    @rule(process=processes, group=groups)
    def group_send(self, process: int, group: str) -> None:
        """Every channel that is in the group gets the message, unless it is full."""
        process, layer = self.layer(process)
        self.number += 1
        self.run(layer.group_send(group, message(self.number)))
        self.arrived(process)
        for name in self.model.members(group):
            self.model.put_if_room(name, self.number)

    # ------------------------------------------------------------------ all of it

    @rule(process=processes)
    def flush(self, process: int) -> None:
        """Messages and memberships of named channels are gone, and those of this process."""
        process, layer = self.layer(process)
        self.settle()
        self.run(layer.flush())
        self.forget(process, named=True)

    def settle(self) -> None:
        """What a reader got after it had left is back; who flushes elsewhere would miss it."""
        for layer in self.layers:
            for _ in range(2):  # behind its answer, and behind the way back
                for name in NAMED:
                    self.run(layer.waiting(name))

    def forget(self, process: int, *, named: bool) -> None:
        self.model.forget([self.own[process], *(NAMED if named else ())])
        for _, name, taken, _ in self.jobs:
            if name not in self.model.queues:
                taken.leased = None  # it is not there to be ended

    @precondition(lambda self: self.timed)
    @rule(seconds=st.sampled_from([100.0, LEASE + 10, EXPIRY + 10, GROUP_EXPIRY + 10]))
    def elapse(self, seconds: float) -> None:
        """Messages, leases and memberships end when it is time."""
        for name in self.model.elapse(seconds):
            for group in GROUPS:  # whether it is still in them is not specified
                self.run(self.layers[self.owner(name) or 0].group_discard(group, name))
                self.model.leave(group, name)

    def read_everything(self) -> None:
        """At the end: what must be there is there, and nothing else is."""
        for name in [*NAMED, *self.own]:
            layer = self.layers[self.owner(name) or 0]
            queue = self.model.queue(name)
            while queue.next(self.model.now)[1]:
                self.took(name, self.run(layer.receive(name)))
            self.number += 1
            self.model.put(name, self.number)
            try:
                self.run(layer.send(name, message(self.number)))
            except ChannelFull:
                waiting = [each for each in queue.messages if each.leased is None]
                assert len(waiting) > CAPACITY, "it was not full"
                continue
            while queue.next(self.model.now)[1]:
                self.took(name, self.run(layer.receive(name)))


class MemoryMachine(LayerMachine):
    async def make_layers(self) -> list[ChannelLayer]:
        return [InMemoryChannelLayer(EXPIRY, GROUP_EXPIRY, CAPACITY, clock=lambda: self.model.now)]


class LocalMachine(LayerMachine):
    """Two layers in one directory; the second one leaves and comes back."""

    count = 2

    async def make_layers(self) -> list[ChannelLayer]:
        self.directory = tempfile.TemporaryDirectory(prefix="fairway-test-")
        return [
            LocalChannelLayer(
                EXPIRY,
                GROUP_EXPIRY,
                CAPACITY,
                path=self.directory.name,
                clock=lambda: self.model.now,
            )
            for _ in range(self.count)
        ]

    @rule()
    def reopen(self) -> None:
        """A process that leaves takes its channels with it; named ones stay."""
        layer = self.layers[1]
        self.run(layer.close())
        self.forget(1, named=False)
        self.own[1] = self.run(layer.new_channel())
        self.barriers[1] = self.run(layer.new_channel("barrier"))

    def teardown(self) -> None:
        super().teardown()
        self.directory.cleanup()


class RedisMachine(LayerMachine):
    """Two layers that share a server, which ends their connections now and then."""

    count = 2
    timed = False
    kills = 0
    server: ClassVar[RedisServer]

    async def make_layers(self) -> list[ChannelLayer]:
        return [
            RedisChannelLayer(
                hosts=[("127.0.0.1", self.server.port)],
                prefix=prefix,
                expiry=EXPIRY,
                group_expiry=GROUP_EXPIRY,
                capacity=CAPACITY,
            )
            for prefix in [f"model-{secrets.token_hex(4)}"] * self.count
        ]

    @precondition(lambda self: self.kills < 2)
    @rule()
    def kill(self) -> None:
        """All connections are ended; nothing is lost but what is published meanwhile."""
        self.kills += 1  # at short intervals a layer waits for longer and longer
        for kind in ("normal", "pubsub"):
            self.server.ask("CLIENT", "KILL", "TYPE", kind)
        for process in range(self.count):
            for other in range(self.count):
                if other != process:
                    self.run(self.back(process, other))

    async def back(self, sender: int, process: int) -> None:
        """Until one process reaches the other again."""
        barrier = self.barriers[process]
        for number in itertools.count(1):
            await self.layers[sender].send(barrier, message(number))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    while await self.layers[process].receive(barrier) != message(number):
                        pass
                    return


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def check(machine: type[LayerMachine], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def test_memory() -> None:
    """InMemoryChannelLayer."""
    check(MemoryMachine, 200, 40)


def test_local() -> None:
    """LocalChannelLayer, two processes."""
    check(LocalMachine, 150, 30)


def test_redis(server: RedisServer) -> None:
    """RedisChannelLayer, two processes."""
    RedisMachine.server = server
    check(RedisMachine, 60, 30)
