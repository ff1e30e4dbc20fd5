"""How long senders wait for who is behind."""

import asyncio

from fairway.delivery.patience import Patience


class Clock:
    """Says what it is set to; each look adds ``step`` seconds."""

    def __init__(self, step: float = 0.0) -> None:
        self.now = 0.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


async def test_until_nobody_is_behind() -> None:
    """Who sends waits as long as somebody is behind, and lets others have turns meanwhile."""
    behind = [1, 2, 3]

    def is_behind() -> bool:
        asyncio.get_running_loop().call_soon(behind.pop)
        return len(behind) > 1

    await Patience(Clock()).wait_while(is_behind)
    assert behind == [1]


async def looks(patience: Patience) -> int:
    """How often somebody who stays behind is looked at before patience is over."""
    count = 0

    def behind() -> bool:
        nonlocal count
        count += 1
        return True

    await patience.wait_while(behind)
    return count


async def test_not_for_long() -> None:
    """After a second in all nobody is waited for any more, whoever it is."""
    clock = Clock(step=0.25)
    patience = Patience(clock)
    assert await looks(patience) == 4
    clock.step = 0.0
    assert await looks(patience) == 0


async def test_again_later() -> None:
    """Patience comes back with time, a tenth of it, and a second at most."""
    clock = Clock(step=0.25)
    patience = Patience(clock)
    assert await looks(patience) == 4
    clock.now += 5.0
    assert await looks(patience) == 3
    clock.now += 5000.0
    assert await looks(patience) == 4
