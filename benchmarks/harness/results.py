"""What is stored of a run."""

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
from harness.figures import Turns, ratio, values
from harness.processes import Processors
from harness.report import LIMITS
from harness.scenarios import Effort, Lane, Scenario

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | float | None"

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
            "median": round(median(values(taken)), 1),
            "min": round(min(values(taken)), 1),
            "max": round(max(values(taken)), 1),
            "to_channels": _rounded(ratio(turns, lane, CHANNELS)),
            "to_bare": _rounded(ratio(turns, lane, BARE)),
            **_processor_ratios(turns, lane),
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


def _processor_ratios(turns: Turns, lane: Lane) -> dict[str, Json]:
    if "server_us" not in turns[lane][0].report:
        return {}
    return {
        f"processor_{name}": _rounded(ratio(turns, lane, against, processor=True))
        for name, against in (("to_channels", CHANNELS), ("to_bare", BARE))
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _processor_name() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _output(*command: str) -> str:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    return finished.stdout.strip()
