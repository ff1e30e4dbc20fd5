"""Ten minutes of churn, abuse and slow readers at full load, and every socket accounted for.

    python benchmarks/soak.py                       ten minutes, two workers
    python benchmarks/soak.py --seconds 60 --out build/soak

Starts ``fairway`` with an example application (pages, an echo, a channel group across the workers)
and lets a crowd at it: clients that come and go, a group with readers that do not read, garbage,
slow lorises, half handshakes and floods (``harness/abuse.py``). Prints a line each ten seconds. At
the end the crowd goes, and then:

- each socket that a client opened was opened for the server and is closed for it, too,
- no WebSocket, application task or file descriptor is left in any worker,
- the memory of the workers has not grown in the second half of the run,
- the log has no error.

Writes ``soak.json`` and ``soak.svg`` into a directory. Linux only: it reads /proc.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import platform
import re
import resource
import signal
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import uvloop

from harness.abuse import CROWD, Clients
from harness.pictures import Panel, draw

HERE: Final = Path(__file__).parent
MIB: Final = 1 << 20
#: Memory that the workers may have grown by in the second half, in all: allocators are not exact.
TOLERANCE: Final = 4 * MIB
#: The same as a share of what they have.
TOLERATED_SHARE: Final = 0.03
#: Seconds with the whole crowd before anything is counted.
WARM_UP: Final = 5.0
#: Seconds for the server to part with clients that are gone.
SETTLING: Final = 60.0

_SAMPLE: Final = re.compile(r"^(\w+)(\{[^}]*\})? (\S+)$", re.MULTILINE)


@dataclasses.dataclass
class Sample:
    """What there is at one moment.

    Attributes:
        seconds: Since the beginning.
        memory: Resident bytes of all workers.
        descriptors: Theirs.
        sockets: Connections that the server has.
        counts: What the clients have counted.
    """

    seconds: float
    memory: int
    descriptors: int
    sockets: int
    counts: dict[str, int]


class Watched:
    """A server that runs, and what can be seen of it from outside."""

    def __init__(self, pid: int, metrics: int) -> None:
        self._pid = pid
        self._metrics = metrics

    def workers(self) -> list[int]:
        """The processes that serve."""
        children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def memory(self) -> int:
        """Their resident memory in bytes."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.workers()]
        return sum(pages) * resource.getpagesize()

    def descriptors(self) -> int:
        """Their open descriptors."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.workers())

    async def figures(self) -> dict[str, float]:
        """The server's own figures, those of all workers and labels added up by name."""
        url = f"http://127.0.0.1:{self._metrics}/metrics"
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=30).read())
        found: dict[str, float] = {}
        for name, _, value in _SAMPLE.findall(text.decode()):
            found[name] = found.get(name, 0.0) + float(value)
        return found


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description="Soak the server.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0, help="of the crowd")
    parser.add_argument("--out", type=Path, default=HERE / "build" / "soak", help="directory")
    return parser.parse_args()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.asynccontextmanager
async def server(workers: int, log: Path) -> AsyncIterator[tuple[Watched, int]]:
    """The server with the example application, and its port."""
    port, metrics = free_port(), free_port()
    with tempfile.TemporaryDirectory() as place, log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fairway", "--workers", str(workers), "--bind", "127.0.0.1"),
            *("--port", str(port), "--metrics", f"127.0.0.1:{metrics}", "--header-timeout", "5"),
            *("--ping-interval", "5", "--ping-timeout", "5", "--access-log", os.devnull),
            "project.asgi:application",
            env={
                **os.environ,
                "PYTHONPATH": str(HERE),
                "DJANGO_SETTINGS_MODULE": "project.settings",
                "BENCH_STACK": "fairway",
                "BENCH_LAYER": "local",
                "BENCH_PLACE": place,
            },
            stdout=output,
            stderr=output,
        )
        try:
            await _answers(port, process, log)
            yield Watched(process.pid, metrics), port
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(60):
                await process.wait()


async def _answers(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    """Wait until the server does."""
    async with asyncio.timeout(60):
        while True:
            if process.returncode is not None:
                raise SystemExit(f"The server did not start: see {log}.")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                await writer.wait_closed()
                return


async def watch(watched: Watched, clients: Clients, seconds: float) -> list[Sample]:
    """A sample each second until the time is over, and a line each ten."""
    samples: list[Sample] = []
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        figures = await watched.figures()
        samples.append(
            Sample(
                round(passed, 2),
                watched.memory(),
                watched.descriptors(),
                int(figures["fairway_connections"]),
                dict(clients.counts),
            )
        )
        if len(samples) % 10 == 0:
            print(line(samples, figures), flush=True)
        await asyncio.sleep(max(0.0, began + len(samples) - time.monotonic()))
    return samples


def line(samples: list[Sample], figures: dict[str, float]) -> str:
    """What happened in the last ten seconds."""
    last, before = samples[-1], samples[-10]
    passed = last.seconds - before.seconds or 1.0
    rates = {
        name: (last.counts.get(name, 0) - before.counts.get(name, 0)) / passed
        for name in ("opened", "messages", "pages")
    }
    return (
        f"{last.seconds:5.0f} s  {last.sockets:4d} sockets  {rates['opened']:6.0f} opened/s  "
        f"{rates['messages']:7.0f} messages/s  {rates['pages']:6.0f} pages/s  "
        f"{last.memory / MIB:6.1f} MiB  {last.descriptors:4d} descriptors  "
        f"{figures.get('fairway_refused_total', 0):6.0f} refused"
    )


async def warm_up(port: int) -> None:
    """Let the workers make what they keep, such as threads, caches and their way to each other."""
    clients = Clients(port)
    for name, (behaviour, number) in CROWD.items():
        clients.start(name, behaviour, number)
    await asyncio.sleep(WARM_UP)
    await clients.stop()


async def settled(watched: Watched) -> dict[str, float]:
    """The server's figures once it has parted with everybody, or when that takes too long."""
    end = time.monotonic() + SETTLING
    while True:
        figures = await watched.figures()
        names = ("fairway_connections", "fairway_websockets", "fairway_tasks")
        if not any(figures.get(name, 0) for name in names) or time.monotonic() > end:
            return figures
        await asyncio.sleep(0.2)


def growth(samples: list[Sample]) -> float:
    """By how many bytes the memory grew in the second half, by a line through its samples."""
    half = samples[len(samples) // 2 :]
    middle = sum(sample.seconds for sample in half) / len(half)
    mean = sum(sample.memory for sample in half) / len(half)
    slope = sum((s.seconds - middle) * (s.memory - mean) for s in half) / (
        sum((s.seconds - middle) ** 2 for s in half) or 1.0
    )
    return slope * (half[-1].seconds - half[0].seconds)


def verdict(
    samples: list[Sample],
    before: tuple[dict[str, float], int],
    after: tuple[dict[str, float], int],
    counts: dict[str, int],
    log: str,
) -> dict[str, bool]:
    """What was to be proven, and whether it was."""
    opened = after[0]["fairway_connections_opened_total"]
    grown = growth(samples)
    mean = sum(sample.memory for sample in samples) / len(samples)
    allowed = max(TOLERANCE, TOLERATED_SHARE * mean)
    return {
        f"clients closed what they opened ({counts['opened']})": counts["opened"]
        == counts["closed"],
        f"the server has counted the same sockets ({opened:.0f})": counts["opened"]
        == opened - before[0]["fairway_connections_opened_total"],
        "no connection is left": after[0]["fairway_connections"] == 0,
        "no WebSocket is left": after[0]["fairway_websockets"] == 0,
        "no application task is left": after[0]["fairway_tasks"] == 0,
        f"no descriptor is left ({before[1]} before, {after[1]} after)": after[1] <= before[1],
        f"memory is flat ({grown / MIB:+.1f} MiB in the second half, "
        f"{allowed / MIB:.1f} allowed)": grown <= allowed,
        "the log has no error": not re.search(r"ERROR|CRITICAL|Traceback", log),
    }


def picture(samples: list[Sample], title: str) -> str:
    """Memory, sockets and work over time."""
    seconds = [sample.seconds for sample in samples]
    rates: dict[str, list[float]] = {"messages": [], "pages": [], "sockets opened": []}
    for previous, sample in zip([samples[0], *samples], samples, strict=False):
        passed = sample.seconds - previous.seconds or 1.0
        for shown, name in zip(rates, ("messages", "pages", "opened"), strict=True):
            done = sample.counts.get(name, 0) - previous.counts.get(name, 0)
            rates[shown].append(done / passed)
    return draw(
        title,
        seconds,
        [
            Panel("Memory of all workers, MiB", {"": [s.memory / MIB for s in samples]}),
            Panel("Open", {"sockets": [float(s.sockets) for s in samples],
                           "descriptors": [float(s.descriptors) for s in samples]}),
            Panel("In a second", dict(rates)),
        ],
    )  # fmt: skip


async def soak(options: argparse.Namespace) -> bool:
    """Run all of it; says whether everything was proven."""
    options.out.mkdir(parents=True, exist_ok=True)
    log = options.out / "server.log"
    crowd = {name: max(1, round(number * options.scale)) for name, (_, number) in CROWD.items()}
    async with server(options.workers, log) as (watched, port):
        await warm_up(port)
        before = (await settled(watched), watched.descriptors())
        clients = Clients(port)
        for name, number in crowd.items():
            clients.start(name, CROWD[name][0], number)
        samples = await watch(watched, clients, options.seconds)
        await clients.stop()
        after = (await settled(watched), watched.descriptors())
        resting = watched.memory()
    counts = dict(clients.counts)
    proven = verdict(samples, before, after, counts, log.read_text())
    record: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "seconds": options.seconds,
        "workers": options.workers,
        "crowd": crowd,
        "clients": dict(sorted(counts.items())),
        "server": dict(sorted(after[0].items())),
        "memory_at_rest": resting,
        "memory_growth": round(growth(samples)),
        "proven": proven,
        "samples": [[s.seconds, s.memory, s.descriptors, s.sockets] for s in samples],
    }
    (options.out / "soak.json").write_text(json.dumps(record, indent=1) + "\n")
    title = f"{options.seconds:.0f} seconds of churn, abuse and slow readers"
    (options.out / "soak.svg").write_text(picture(samples, title))
    for what, well in proven.items():
        print("ok    " if well else "FAILED", what)
    return all(proven.values())


def main() -> None:
    """Soak, and end with 1 if something was not proven."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(0 if runner.run(soak(arguments())) else 1)


if __name__ == "__main__":
    main()
