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
from harness.contenders import CONTENDERS, Contender
from harness.figures import Turns, ratio, values
from harness.processes import Processors
from harness.race import Heat
from harness.report import LIMITS
from harness.scenarios import Lane
from harness.targets import SATURATED, Verdict, verdicts

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | float | None"

#: What decides how fast a stack is: only these versions are worth keeping.
KEPT_VERSIONS = (
    "asgiref",
    "channels",
    "channels_redis",
    "daphne",
    "django",
    "fairway",
    "granian",
    "gunicorn",
    "hiredis",
    "httptools",
    "hypercorn",
    "node",
    "picows",
    "python-socketio",
    "redis",
    "socket.io",
    "socketify",
    "uvicorn",
    "uvloop",
    "websockets",
    "ws",
)

_PEERS = {word.replace("-", "_"): name for word, (name, _) in CONTENDERS.items()}


def store(path: Path, document: Mapping[str, Json]) -> None:
    """Writes the results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def results_path(suite: str, *, quick: bool) -> Path:
    """``benchmarks/results/<date>-<suite>-<machine>.json``; a quick run is not worth keeping."""
    if quick:
        return BUILD / f"quick-{suite}.json"
    words = f"{datetime.now(UTC):%Y-%m-%d} {suite} {_processor_name()} {os.cpu_count()} cpus"
    name = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
    return BENCHMARKS / "results" / f"{name}.json"


def document(
    heats: Sequence[Heat],
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
            "targets": "by rate where both servers had something to do for at least"
            f" {SATURATED:.0%} of the time, by processor time elsewhere",
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
            if any(lane.contender == contender.name for heat in heats for lane in heat.turns)
        },
        "scenarios": {heat.scenario.name: _scenario_document(heat) for heat in heats},
    }


def _scenario_document(heat: Heat) -> dict[str, Json]:
    scenario, effort, turns = heat.scenario, heat.effort, heat.turns
    lanes: dict[str, Json] = {
        lane.name: {
            "path": lane.path,
            **({"words": lane.words} if lane.words else {}),
            "median": round(median(values(taken)), 1),
            "min": round(min(values(taken)), 1),
            "max": round(max(values(taken)), 1),
            **_ratios(turns, lane),
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
        "count": effort.count,
        "seconds": effort.seconds,
        "warmup": effort.warmup,
        "lanes": lanes,
        "left_out": heat.left_out,
        "targets": [_target_document(verdict) for verdict in verdicts(scenario, turns)],
    }


def _target_document(verdict: Verdict) -> dict[str, Json]:
    target = verdict.target
    return {
        "lane": target.lane,
        "against": target.against,
        "figure": target.figure,
        "at_least": target.at_least,
        "at_most": target.at_most,
        "by": verdict.by,
        "measured": _rounded(verdict.measured),
        "rate": _rounded(verdict.rate),
        "processor": _rounded(verdict.processor),
        "met": verdict.met,
    }


def _ratios(turns: Turns, lane: Lane) -> dict[str, Json]:
    contenders = {each.contender for each in turns}
    peers = {name: against for name, against in _PEERS.items() if against in contenders}
    ratios: dict[str, Json] = {
        f"to_{name}": _rounded(ratio(turns, lane, against)) for name, against in peers.items()
    }
    if all("server_us" in taken[0].report for taken in turns.values()):
        for name, against in peers.items():
            value = ratio(turns, lane, against, processor=True)
            ratios[f"processor_to_{name}"] = _rounded(value)
    return ratios


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _processor_name() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _output(*command: str) -> str:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    return finished.stdout.strip()
