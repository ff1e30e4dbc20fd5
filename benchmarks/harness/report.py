"""What is said on the terminal, and what is stored."""

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TypeAlias

from harness.build import BENCHMARKS, BUILD, CHECKOUT, COMPILER, FLAGS
from harness.contenders import BARE, CHANNELS, Contender
from harness.processes import Processors
from harness.scenarios import Effort, Lane, Scenario, Turn

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | float | None"
Turns: TypeAlias = dict[Lane, list[Turn]]

#: What decides how fast a stack is: only these versions are worth keeping.
KEPT_VERSIONS = (
    "asgiref",
    "channels",
    "django",
    "fairway",
    "httptools",
    "uvicorn",
    "uvloop",
    "websockets",
)

LIMITS = """\
Limits of the measure: server and load generator have one processor each and share caches, memory
and the kernel; other work on the machine disturbs both. The loopback has no latency, no loss and no
slow readers, and one message is in flight per socket, so a rate is that of both sides in turn. The
absolute figures mean little elsewhere: read the ratios, of alternating turns in this one run."""


def announce_turn(scenario: Scenario, lane: Lane, turn: Turn) -> str:
    """One line of progress."""
    line = f"{scenario.name:6} {lane.name:24} {turn.value:>11,.0f} {scenario.unit}"
    if "p99_ms" in turn.report:
        line += f"   p50 {turn.report['p50_ms']:.2f} ms, p99 {turn.report['p99_ms']:.2f} ms"
    return line


def table(scenario: Scenario, turns: Turns) -> str:
    """The scenario's table: ours above, the limit below."""
    direction = "lower" if scenario.lower_is_better else "higher"
    rows = [_row(turns, lane) for lane in turns]
    columns = list(rows[0])
    widths = [max(len(column), *(len(row[column]) for row in rows)) for column in columns]
    lines = [f"{scenario.title}", f"  {scenario.unit}, {direction} is better"]
    for name, cells in [
        ("", columns),
        *((lane.name, [*row.values()]) for lane, row in zip(turns, rows, strict=True)),
    ]:
        aligned = (f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        lines.append(f"  {name:24}{''.join(aligned)}")
    if not scenario.lower_is_better:
        lines.append(_proof(turns))
    return "\n".join(lines)


def _row(turns: Turns, lane: Lane) -> dict[str, str]:
    """The cells of a lane by column."""
    taken = turns[lane]
    values = _values(taken)
    cells = {
        "median": f"{figure(values):,.0f}",
        "min": f"{min(values):,.0f}",
        "max": f"{max(values):,.0f}",
    }
    for against, column in (CHANNELS, "x Channels"), (BARE, "x bare C"):
        if any(other.contender == against for other in turns):
            cells[column] = _times(ratio(turns, lane, against))
    if "p99_ms" in taken[0].report:
        cells["p50 ms"] = f"{_reported(taken, 'p50_ms'):.2f}"
        cells["p99 ms"] = f"{_reported(taken, 'p99_ms'):.2f}"
        cells["server µs each"] = f"{_reported(taken, 'server_us'):.2f}"
        cells["server busy"] = f"{_reported(taken, 'server_busy'):.0%}"
    cells["opened/s"] = f"{_reported(taken, 'opened_per_second'):,.0f}"
    return cells


def ratio(turns: Turns, lane: Lane, against: str) -> float | None:
    """This lane's figure divided by the named contender's, or None where that says nothing.

    Each turn is divided by the other's turn of the same round, since those two ran close together;
    of these ratios the median is taken.
    """
    for other, taken in turns.items():
        if other.contender == against and lane.contender != against:
            return median(
                ours / theirs
                for ours, theirs in zip(_values(turns[lane]), _values(taken), strict=True)
            )
    return None


def figure(values: Iterable[float]) -> float:
    """The figure that stands for several turns: their median."""
    return median(values)


def store(path: Path, document: Mapping[str, Json]) -> None:
    """Writes the results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def results_path(*, quick: bool) -> Path:
    """``benchmarks/results/<date>-<machine>.json``; a quick run is not worth keeping."""
    if quick:
        return BUILD / "quick.json"
    machine = re.sub(
        r"[^a-z0-9]+", "-", f"{_processor_name()} {os.cpu_count()} cpus".lower()
    ).strip("-")
    return BENCHMARKS / "results" / f"{datetime.now(UTC):%Y-%m-%d}-{machine}.json"


def document(
    results: Mapping[str, tuple[Scenario, Effort, Turns]],
    contenders: Iterable[Contender],
    processors: Processors,
    *,
    quick: bool,
) -> dict[str, Json]:
    """Everything that one needs to judge or repeat the run."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "quick": quick,
        "commit": _output("git", "-C", str(CHECKOUT), "describe", "--always", "--dirty"),
        "machine": {
            "processor": _processor_name(),
            "processors": os.cpu_count(),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "compiler": f"{_output(COMPILER, '-dumpfullversion')} {' '.join(FLAGS)}",
        },
        "method": {
            "limits": LIMITS.replace("\n", " "),
            "server_processor": processors.server,
            "generator_processor": processors.generator,
            "turns": "alternating, every second round in reverse, each in a fresh server process",
            "figure": "median of the turns; ratios are medians of the ratios within a round",
            "memory": "proportional set size of the server and its children, per socket",
        },
        "contenders": {
            contender.name: {
                "command": " ".join([Path(contender.words[0]).name, *contender.words[1:]]),
                "versions": {
                    key: contender.versions[key]
                    for key in KEPT_VERSIONS
                    if key in contender.versions
                },
            }
            for contender in contenders
        },
        "scenarios": {
            name: _scenario_document(scenario, effort, turns)
            for name, (scenario, effort, turns) in results.items()
        },
    }


def _scenario_document(scenario: Scenario, effort: Effort, turns: Turns) -> dict[str, Json]:
    lanes: dict[str, Json] = {
        lane.name: {
            "path": lane.path,
            "median": round(figure(_values(taken)), 1),
            "min": round(min(_values(taken)), 1),
            "max": round(max(_values(taken)), 1),
            "to_channels": _rounded(ratio(turns, lane, CHANNELS)),
            "to_bare": _rounded(ratio(turns, lane, BARE)),
            "turns": [{"value": turn.value, **turn.report} for turn in taken],
        }
        for lane, taken in turns.items()
    }
    return {
        "title": scenario.title,
        "unit": scenario.unit,
        "lower_is_better": scenario.lower_is_better,
        "size": scenario.size,
        "sockets": effort.sockets,
        "seconds": effort.seconds,
        "warmup": effort.warmup,
        "lanes": lanes,
    }


def _proof(turns: Turns) -> str:
    """Whether the load generator was the bottleneck, in figures."""
    slower = {lane: taken for lane, taken in turns.items() if lane.contender != BARE}
    busiest = max((_reported(taken, "generator_busy") for taken in slower.values()), default=0.0)
    if busiest > 0.9:
        return f"  Beware: the load generator itself was busy for {busiest:.0%} of the time."
    return (
        f"  The load generator was busy for at most {busiest:.0%} of the time, the bare loop apart."
    )


def _values(taken: Sequence[Turn]) -> list[float]:
    return [turn.value for turn in taken]


def _reported(taken: Sequence[Turn], key: str) -> float:
    return median(turn.report[key] for turn in taken)


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _processor_name() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _output(*command: str) -> str:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    return finished.stdout.strip()
