"""What processes without a server do with a channel layer: ``python -m project.roles ROLE COUNT``.

Each writes JSON objects, one per line, and ends when its standard input does.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import django
import uvloop

from project.stack import get_channel_layer, new_consumers_channel

GROUP = "bench"
JOBS = "jobs"
WARM = 200  # jobs before the clock starts
MEMBERS = 1000  # channels that join groups


def say(**facts: float) -> None:
    print(json.dumps(facts), flush=True)


async def told() -> None:
    """Until the next line of standard input, or its end."""
    await asyncio.to_thread(sys.stdin.readline)


async def work(layer: Any, count: int) -> None:
    """The worker: takes jobs one after the other, each exactly once."""
    say(ready=1)
    for _ in range(WARM):
        await layer.receive(JOBS)
    began, used = time.perf_counter(), time.process_time()
    numbers = {(await layer.receive(JOBS))["number"] for _ in range(count)}
    seconds, used = time.perf_counter() - began, time.process_time() - used
    assert numbers == set(range(count)), f"{count - len(numbers)} jobs are missing"
    say(seconds=seconds, per_second=count / seconds, worker_us=used * 1e6 / count)


async def produce(layer: Any, count: int) -> None:
    """The producer: sends job after job."""
    say(ready=1)
    used = time.process_time()
    for number in [*range(-WARM, 0), *range(count)]:
        await layer.send(JOBS, {"type": "job.do", "number": number, "text": "x" * 128})
    say(producer_us=(time.process_time() - used) * 1e6 / (WARM + count))


async def employ(layer: Any, count: int) -> None:
    """A producer that sends one job, and all others when it is told that there is a worker."""
    await layer.send(JOBS, {"type": "job.do", "number": -WARM, "text": "x" * 128})
    say(ready=1)
    await told()
    used = time.process_time()
    for number in [*range(1 - WARM, 0), *range(count)]:
        await layer.send(JOBS, {"type": "job.do", "number": number, "text": "x" * 128})
    say(producer_us=(time.process_time() - used) * 1e6 / (WARM - 1 + count))


async def listen(layer: Any, count: int) -> None:
    """A process with ten members of the group: says when all of them have ``count`` messages."""
    channels = [await layer.new_channel() for _ in range(10)]
    for channel in channels:
        await layer.group_add(GROUP, channel)

    async def hear(channel: str) -> None:
        for _ in range(count):
            await layer.receive(channel)

    hearing = asyncio.gather(*(hear(channel) for channel in channels))
    say(ready=1)
    await hearing
    say(done=1)


async def tell(layer: Any, count: int) -> None:
    """Sends to the group, told by standard input when."""
    await layer.group_send("another", {"type": "bench.message"})  # connects
    say(ready=1)
    await told()
    for _ in range(count):
        await layer.group_send(GROUP, {"type": "bench.message", "text": "x" * 128})
    say(done=1)


async def join(layer: Any, count: int) -> None:
    """A thousand consumers' channels join ``count`` groups each, told by standard input when."""
    groups = [f"bench-group-{number}" for number in range(count)]
    await _join(layer, count, lambda channels: itertools.product(groups, channels))


async def join_own(layer: Any, count: int) -> None:
    """The same, each of them groups in which nobody else is."""
    groups = [f"bench-group-{number}" for number in range(count * MEMBERS)]
    await _join(layer, count, lambda channels: zip(groups, itertools.cycle(channels)))


async def _join(
    layer: Any, count: int, choose: Callable[[list[str]], Iterable[tuple[str, str]]]
) -> None:
    channels = [await new_consumers_channel(layer) for _ in range(MEMBERS)]
    for channel in channels:
        await layer.group_add("another", channel)
    say(ready=1)
    await told()
    for group, channel in choose(channels):
        await layer.group_add(group, channel)
    say(memberships=count * MEMBERS)


ROLES = {each.__name__: each for each in (work, produce, employ, listen, tell, join, join_own)}


async def main(role: str, count: int) -> None:
    await ROLES[role](get_channel_layer(), count)
    await told()


if __name__ == "__main__":
    django.setup()
    # For all contenders, as under their servers.
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
