"""What is said on the terminal, stored beside the code and shown in the documentation."""

import json
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import TypedDict

from proving.environments import INTEROP
from proving.processes import ProofError
from proving.rows import Outcome, Status, python_version
from proving.services import find_program

RESULTS = INTEROP / "results.json"

#: What is proven beside Python's packages, and how it says its version.
PROGRAMS = {
    "Redis": ("redis-server", "--version"),
    "PostgreSQL": ("postgres", "--version"),
    "nginx": ("nginx", "-v"),
}

_SIGNS = {"works": "ok    ", "absent": "absent", "fails": "FAILS "}


class StoredRow(TypedDict):
    """A row as the file has it."""

    group: str
    name: str
    status: Status
    note: str
    limits: str
    versions: dict[str, str]
    date: str
    seconds: float


class Stored(TypedDict):
    """The file."""

    python: str
    system: str
    programs: dict[str, str]
    rows: list[StoredRow]


def line(outcome: Outcome) -> str:
    """What became of a row, in a line; more if it fails."""
    first, *rest = outcome.note.splitlines() or [""]
    shown = [f"      {_SIGNS[outcome.status]} {outcome.seconds:4.1f} s  {first}"]
    return "\n".join([*shown, *(f"             {more}" for more in rest)])


def table(outcomes: Sequence[Outcome]) -> str:
    """All rows, for the terminal."""
    width = max(len(outcome.row.name) for outcome in outcomes)
    lines = []
    for group, members in groupby(outcomes, key=lambda outcome: outcome.row.group):
        lines.append(group)
        for each in members:
            versions = ", ".join(f"{name} {number}" for name, number in each.versions.items())
            lines.append(f"  {_SIGNS[each.status]} {each.row.name:{width}}  {versions}")
    counts = {status: sum(each.status == status for each in outcomes) for status in _SIGNS}
    lines.append(", ".join(f"{count} {status}" for status, count in counts.items() if count))
    return "\n".join(lines)


def store(outcomes: Sequence[Outcome], order: Sequence[tuple[str, str]]) -> None:
    """Write what was found; rows that were not run, or are absent, keep what an earlier run found.

    Args:
        outcomes: Of this run.
        order: Group and name of all rows there are; what is not among them is dropped.
    """
    rows = {(row["group"], row["name"]): row for row in load()["rows"]} if RESULTS.exists() else {}
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    for outcome in outcomes:
        key = outcome.row.group, outcome.row.name
        if outcome.status == "absent" and key in rows:
            continue
        rows[key] = {
            "group": outcome.row.group,
            "name": outcome.row.name,
            "status": outcome.status,
            "note": outcome.note,
            "limits": outcome.row.limits,
            "versions": outcome.versions,
            "date": date,
            "seconds": round(outcome.seconds, 1),
        }
    document: Stored = {
        "python": python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "programs": {name: _version(*words) for name, words in PROGRAMS.items()},
        "rows": [rows[key] for key in order if key in rows],
    }
    RESULTS.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def load() -> Stored:
    """What the last run found."""
    stored: Stored = json.loads(RESULTS.read_text())
    return stored


def markdown(stored: Stored) -> str:
    """The results for the documentation: a table for each group."""
    programs = [f"{name} {version}" for name, version in stored["programs"].items() if version]
    parts = [f"Python {stored['python']}, {', '.join(programs)}, {stored['system']}.\n"]
    for group, members in groupby(stored["rows"], key=lambda row: row["group"]):
        parts.append(
            f"## {group}\n\n| With | | What was shown | What does not work |\n|---|---|---|---|"
        )
        parts += [_markdown_row(row) for row in members]
        parts.append("")
    return "\n".join(parts)


def _markdown_row(row: StoredRow) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in row["versions"].items())
    works = {"works": "works", "absent": "not run", "fails": "**fails**"}[row["status"]]
    cells = [
        f"**{row['name']}**<br>{versions}",
        f"{works}, {row['date']}",
        row["note"],
        row["limits"],
    ]
    return (
        "| "
        + " | ".join(re.sub(r"\s*\n\s*", " ", cell).replace("|", "\\|") for cell in cells)
        + " |"
    )


def _version(program: str, flag: str) -> str:
    """The version that a program prints; nothing if it is not there."""
    try:
        command = [find_program(program), flag]
    except ProofError:
        return ""
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
    return found[0] if found else ""
