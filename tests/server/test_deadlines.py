"""One timer for all connections, on a clock that the test moves."""

import asyncio
import functools
import random
from collections.abc import Callable
from typing import cast

import pytest

from fairway.server.deadlines import HORIZON, RESOLUTION, SLICE, Deadlines
from tests.server.clock import Clock


class Target:
    """Notes when it is asked, and what it then wants.

    Attributes:
        asked: The moments at which it was asked.
    """

    def __init__(self, *answers: float | None) -> None:
        self.slot = 0
        self.asked: list[float] = []
        self.answers = list(answers)
        self.action: Callable[[], object] = lambda: None

    def on_deadline(self, now: float) -> float | None:
        """Note the moment."""
        self.asked.append(now)
        self.action()
        return self.answers.pop(0) if self.answers else None


@pytest.fixture
def clock() -> Clock:
    """A clock at 1000 s."""
    return Clock()


@pytest.fixture
def deadlines(clock: Clock) -> Deadlines:
    """What is tested, with that clock for an event loop."""
    return Deadlines(cast("asyncio.AbstractEventLoop", clock))


def test_asked_at_its_moment(clock: Clock, deadlines: Deadlines) -> None:
    """A target is asked once, at its moment or within the resolution after it."""
    target = Target()
    deadlines.arm(target, 1003.01)
    clock.advance(3.0)
    assert target.asked == []
    clock.advance(0.01 + RESOLUTION)
    assert [moment - 1003.01 <= RESOLUTION for moment in target.asked] == [True]
    assert target.asked[0] >= 1003.01
    clock.advance(100)
    assert len(target.asked) == 1


def test_one_timer(clock: Clock, deadlines: Deadlines) -> None:
    """However many targets wait, the loop holds one timer, for the nearest moment."""
    for seconds in (5, 3, 9, 3, 4):
        deadlines.arm(Target(), 1000 + seconds)
    assert [timer.when for timer in clock.timers] == [pytest.approx(1003)]


def test_order(clock: Clock, deadlines: Deadlines) -> None:
    """Targets are asked in the order of their moments, whatever the order of arming."""
    order: list[int] = []
    moments = [*range(1, 50)]
    random.Random(1).shuffle(moments)
    for moment in moments:
        target = Target()
        target.action = functools.partial(order.append, moment)
        deadlines.arm(target, 1000 + moment)
    clock.advance(51)
    assert order == sorted(moments)


def test_earlier_moment_counts(clock: Clock, deadlines: Deadlines) -> None:
    """Armed again for an earlier moment, a target is asked then."""
    target = Target()
    deadlines.arm(target, 1010)
    deadlines.arm(target, 1002)
    clock.advance(3)
    assert len(target.asked) == 1
    clock.advance(10)
    assert len(target.asked) == 1


def test_later_moment_is_free(clock: Clock, deadlines: Deadlines) -> None:
    """Armed again for a later one, it is asked at the first and names the later one itself."""
    target = Target(1010)
    deadlines.arm(target, 1002)
    deadlines.arm(target, 1010)
    clock.advance(3)
    assert len(target.asked) == 1
    clock.advance(8)
    assert [round(moment) for moment in target.asked] == [1002, 1010]


def test_answer_in_the_past(clock: Clock, deadlines: Deadlines) -> None:
    """A target that names a moment that is over is asked after the resolution, not in a loop."""
    target = Target(0.0, 0.0)
    deadlines.arm(target, 1001)
    clock.advance(2)
    assert len(target.asked) == 3
    assert target.asked[1] - target.asked[0] >= RESOLUTION / 2


def test_disarm(clock: Clock, deadlines: Deadlines) -> None:
    """A target that was taken out is not asked; it may be armed again."""
    target = Target()
    deadlines.disarm(target)  # it stands nowhere: nothing to do
    deadlines.arm(target, 1001)
    deadlines.disarm(target)
    clock.advance(2)
    assert target.asked == []
    deadlines.arm(target, 1003)
    clock.advance(2)
    assert len(target.asked) == 1


def test_disarmed_by_another(clock: Clock, deadlines: Deadlines) -> None:
    """A target is not asked if one that is asked at the same moment takes it out."""
    first, second, third = Target(), Target(), Target()
    first.action = lambda: deadlines.disarm(second)
    for target in (first, second, third):
        deadlines.arm(target, 1001)
    clock.advance(2)
    assert [len(target.asked) for target in (first, second, third)] == [1, 0, 1]


def test_moved_by_another(clock: Clock, deadlines: Deadlines) -> None:
    """Nor is it asked twice if it is moved meanwhile."""
    first, second = Target(), Target()

    def move() -> None:
        deadlines.disarm(second)
        deadlines.arm(second, 1005)

    first.action = move
    deadlines.arm(first, 1001)
    deadlines.arm(second, 1001)
    clock.advance(2)
    assert second.asked == []
    clock.advance(10)
    assert len(second.asked) == 1


def test_armed_while_asked(clock: Clock, deadlines: Deadlines) -> None:
    """What is armed while others are asked is asked at its moment, even if that is the next."""
    first, second = Target(), Target()
    first.action = lambda: deadlines.arm(second, clock.now + RESOLUTION)
    deadlines.arm(first, 1001)
    clock.advance(1.5)
    assert len(second.asked) == 1


def test_many_at_one_moment(clock: Clock, deadlines: Deadlines) -> None:
    """They are asked in slices, between which the loop has a turn; nobody is asked twice."""
    targets = [Target() for _ in range(2 * SLICE + 1)]
    for target in targets:
        deadlines.arm(target, 1003)
    clock.now = 1003 + RESOLUTION
    rings: list[int] = []
    while clock.timers:
        (timer,) = clock.timers
        assert timer.when <= clock.now
        callback, timer.callback = timer.callback, None
        assert callback is not None
        callback()
        rings.append(sum(len(target.asked) for target in targets))
    assert rings == [SLICE, 2 * SLICE, 2 * SLICE + 1]
    assert {len(target.asked) for target in targets} == {1}


def test_moved_between_slices(clock: Clock, deadlines: Deadlines) -> None:
    """Who waits for the next slice can still be disarmed, or moved to a later moment."""
    targets = [Target() for _ in range(SLICE + 2)]
    for target in targets:
        deadlines.arm(target, 1003)
    disarmed, moved = targets[-2:]

    def act() -> None:
        deadlines.disarm(disarmed)
        deadlines.disarm(moved)
        deadlines.arm(moved, 1010)

    targets[0].action = act
    clock.advance(4)
    assert (disarmed.asked, moved.asked) == ([], [])
    clock.advance(7)
    assert (disarmed.asked, len(moved.asked)) == ([], 1)


def test_exception(clock: Clock, deadlines: Deadlines) -> None:
    """An exception of one target is reported, and all others are asked all the same."""
    failing, neighbour, later = Target(), Target(), Target()
    error = ZeroDivisionError()

    def fail() -> None:
        raise error

    failing.action = fail
    for target in (failing, neighbour):
        deadlines.arm(target, 1001)
    deadlines.arm(later, 1002)
    clock.advance(3)
    assert (len(neighbour.asked), len(later.asked)) == (1, 1)
    (context,) = clock.errors
    assert context["exception"] is error
    assert context["message"] == f"Exception at the deadline of {failing!r}"


def test_horizon(clock: Clock, deadlines: Deadlines) -> None:
    """A moment far away is asked about earlier, so that no more moments are kept than that."""
    target = Target(1000 + 3 * HORIZON, 1000 + 3 * HORIZON, 1000 + 3 * HORIZON)
    deadlines.arm(target, 1000 + 3 * HORIZON)
    clock.advance(HORIZON + 1)
    assert len(target.asked) == 1
    for _ in range(1000):
        clock.advance(10)
        short_lived = Target()
        deadlines.arm(short_lived, clock.now + 86400)
        deadlines.disarm(short_lived)
    assert len(deadlines._slots) <= HORIZON / 10 + 1
    assert round(target.asked[-1] - 1000) >= 3 * HORIZON


def test_close(clock: Clock, deadlines: Deadlines) -> None:
    """Closed, nobody is asked any more and the loop holds no timer."""
    target = Target()
    deadlines.close()
    deadlines.arm(target, 1001)
    deadlines.close()
    clock.advance(5)
    assert target.asked == []
    assert clock.timers == []


async def test_on_a_real_loop() -> None:
    """With an event loop for a clock, targets are asked in order, and never early."""
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    done = loop.create_future()
    order: list[str] = []
    first, second = Target(), Target()
    armed_at = loop.time()
    first.action = lambda: order.append("first")
    second.action = lambda: done.set_result(list(order))
    deadlines.arm(second, armed_at + 0.1)
    deadlines.arm(first, armed_at + 0.01)
    assert await done == ["first"]
    assert second.asked[0] - armed_at >= 0.1 - 1e-9
    deadlines.close()
