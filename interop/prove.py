"""Proves what was asked for: ``make interop``; ``--help`` tells how."""

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from proving import report
from proving.proofs import ROWS
from proving.rows import Outcome, prove, select


def main() -> int:
    """Runs the rows; the exit status is 1 if one fails that should work."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _terminated)
    rows = select(ROWS, arguments.k)
    if not rows:
        print(f"No row has {arguments.k!r} in its name.", file=sys.stderr)
        return 2
    outcomes: list[Outcome] = []
    refreshed: set[str] = set()
    try:
        for number, row in enumerate(rows, 1):
            print(f"[{number:2}/{len(rows)}] {row.group}: {row.name}", flush=True)
            refresh = arguments.refresh and row.environment not in refreshed
            refreshed.add(row.environment)
            with tempfile.TemporaryDirectory(prefix="fairway-interop-") as place:
                outcomes.append(prove(row, Path(place), refresh=refresh))
            print(report.line(outcomes[-1]), flush=True)
    except KeyboardInterrupt:
        print("\nInterrupted; nothing is stored, and every process that was started has ended.")
        return 130
    print(f"\n{report.table(outcomes)}")
    if not arguments.dry:
        report.store(outcomes, [(row.group, row.name) for row in ROWS])
        print(f"\nStored in {report.RESULTS.name}; docs/interoperation.md shows it.")
    return 1 if any(outcome.status == "fails" for outcome in outcomes) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make interop",
        description="Proves on the real packages that Fairway works with them.",
        epilog="The first run makes the environments in interop/build; later ones use them again.",
    )
    add = parser.add_argument
    add("-k", default="", metavar="WORDS", help="rows with one of these words in group or name")
    add("--refresh", action="store_true", help="install the newest releases of everything first")
    add("--dry", action="store_true", help="store nothing")
    return parser.parse_args()


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    # As an exception, so that every `finally` between here and the processes is run.
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
