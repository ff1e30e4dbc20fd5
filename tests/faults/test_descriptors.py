"""The process runs out of file descriptors while clients come."""

import os
import re
import resource

from tests.faults.census import Census
from tests.faults.clients import Crowd, fin
from tests.faults.conftest import Log
from tests.server.applications import path
from tests.server.conftest import Serve


async def test_no_descriptor(serve: Serve, census: Census, log: Log) -> None:
    """Who comes then is refused, once in the log; afterwards all is as before."""
    running = await serve(path)
    client = await running.connect()
    assert (await client.fetch("/before")).body == b"/before"
    client.close()
    await census.begin_when_quiet(running)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spent: list[int] = []
    with Crowd(running) as crowd:
        await crowd.connect(1)
        (known,) = crowd.sockets
        crowd.open(3)
        try:
            # Those that are open are all that there may be: no call can open another.
            resource.setrlimit(
                resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), hard)
            )
            spent += _spend_the_rest()
            answers = await crowd.meet()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for descriptor in spent:
                os.close(descriptor)
        assert [answer.partition(b"\r\n")[0] for answer in answers] == [
            b"HTTP/1.1 503 Service Unavailable"
        ] * 3
        assert known.fileno() >= 0
        crowd.end(fin)
    (line,) = log.take()
    assert re.fullmatch(
        r"WARNING The limit file_descriptors \(\d+\) refused 127\.0\.0\.1:\d+: 503", line
    )
    await census.nothing_is_left(running)
    client = await running.connect()
    assert (await client.fetch("/after")).body == b"/after"


def _spend_the_rest() -> list[int]:
    """Every descriptor that is still to be had."""
    spent: list[int] = []
    while True:
        try:
            spent.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            return spent
