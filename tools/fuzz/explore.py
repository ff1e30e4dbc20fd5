"""Fuzz every parser of the wire, guided by what each input reaches (libFuzzer, through atheris).

    pip install --group fuzz --editable .
    python tools/fuzz/explore.py --seconds 3600 --state build/fuzz

Targets take turns, each in a process of its own. A run that is begun again with the same directory
goes on where the last one stopped. What is found is in ``findings`` there, the inputs that reach
new code are in ``corpus``, and the record of the run is ``record.json``. Afterwards ``minimise.py``
picks the few inputs that are worth keeping.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from fuzzing.targets import TARGETS

HERE = Path(__file__).parent
WORKER = HERE / "fuzzing" / "worker.py"

_RUNS = re.compile(r"stat::number_of_executed_units: +(\d+)")
_LAST = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)/(\d+)(Kb|Mb|b)?")


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description="Fuzz every parser of the wire.")
    parser.add_argument("--seconds", type=int, default=3600, help="of the whole run")
    parser.add_argument("--slice", type=int, default=60, help="seconds that a target has in a turn")
    parser.add_argument("--state", type=Path, default=Path("build/fuzz"), help="directory")
    parser.add_argument("targets", nargs="*", default=list(TARGETS), help="all if none is named")
    return parser.parse_args()


def turn(name: str, seconds: int, state: Path) -> dict[str, Any]:
    """Fuzz one target for so long; how often it was called, and what libFuzzer says of it."""
    corpus, findings = state / "corpus" / name, state / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(WORKER), name, str(seconds), str(corpus), str(findings)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    runs, last = _RUNS.search(done.stderr), _LAST.findall(done.stderr)
    if done.returncode:
        # A hang or a crash of the process: libFuzzer has kept the input beside the other findings.
        (findings / f"{name}-process-{int(time.time())}.log").write_text(done.stderr[-20_000:])
    return {
        "executions": int(runs[1]) if runs else 0,
        "seconds": time.monotonic() - began,
        "edges": int(last[-1][0]) if last else 0,
        "features": int(last[-1][1]) if last else 0,
        "corpus": len(list(corpus.iterdir())) if corpus.is_dir() else 0,
        "failed": done.returncode != 0,
    }


def add(record: dict[str, Any], name: str, done: dict[str, Any]) -> None:
    """Add a turn to the record of the run."""
    entry = record.setdefault(name, {"executions": 0, "seconds": 0.0, "turns": 0, "failed": 0})
    entry["executions"] += done["executions"]
    entry["seconds"] = round(entry["seconds"] + done["seconds"], 1)
    entry["turns"] += 1
    entry["failed"] += done["failed"]
    for key in ("edges", "features", "corpus"):
        entry[key] = done[key] or entry.get(key, 0)


def main() -> None:
    """Take turns until the time is over; print a line for each."""
    options = arguments()
    end = time.monotonic() + options.seconds
    path = options.state / "record.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    while (left := end - time.monotonic()) > 1:
        # The target that had the least time has its turn, so that a new one catches up.
        name = min(options.targets, key=lambda name: record.get(name, {}).get("seconds", 0))
        done = turn(name, max(1, min(options.slice, int(left))), options.state)
        add(record, name, done)
        options.state.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
        print(name, done, flush=True)
        if done["failed"] and done["seconds"] < 1:
            time.sleep(1)  # it cannot be started at all: do not spin
    findings = sorted((options.state / "findings").glob("*.txt"))
    print(f"{len(findings)} findings", *findings, sep="\n")


if __name__ == "__main__":
    main()
