"""What ``manage.py fairway_migrate`` and ``python -m fairway.compat.migrate`` share."""

import argparse
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from fairway.compat.migrate.project import Change, Plan, make_plan, write

HELP: Final = (
    "Rewrites a project that was written for Channels, Daphne and channels_redis for Fairway. "
    "Shows what it would change, and asks before it does."
)


class Output(Protocol):
    """Where text is shown."""

    def write(self, text: str, /) -> object:
        """Show it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument(
        "path",
        nargs="?",
        type=Path,
        default=Path(),
        help="The project's directory, or one file; the working directory if not given.",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--write", "--yes", action="store_true", dest="write", help="Write without asking."
    )
    mode.add_argument("--dry-run", action="store_true", help="Show only.")
    mode.add_argument(
        "--check",
        action="store_true",
        help="Show only, and exit with 1 if there is something to change.",
    )
    parser.add_argument(
        "--force-dirty",
        action="store_true",
        help="Also write files with changes that are not committed.",
    )


def execute(
    *,
    path: Path,
    write_at_once: bool,
    show_only: bool,
    check: bool,
    force_dirty: bool,
    out: Output,
    ask: Callable[[str], str] | None,
) -> int:
    """Show what would be changed, and change it.

    Args:
        path: The project.
        write_at_once: Do not ask.
        show_only: Do not write.
        check: Do not write, and return 1 if there is something to change.
        force_dirty: Also write files with changes that are not committed.
        out: Where everything is shown.
        ask: Puts a question to somebody and returns the answer; None if nobody is there.

    Returns:
        The exit code: 0, or 1 if something is left to do because of ``check`` or of changes that
        are not committed.

    Raises:
        FileNotFoundError: There is no such project.
    """
    plan = make_plan(path)
    _show(plan, out)
    if not plan.changes:
        return 0
    if check:
        return 1
    if show_only:
        return 0
    dirty = [] if force_dirty else dirty_files(plan)
    if dirty:
        out.write(
            "Nothing was written: these files have changes that are not committed, which could not "
            "be told from those above afterwards. Commit them, or add --force-dirty.\n"
        )
        for change in dirty:
            out.write(f"  {change.path}\n")
        return 1
    if not write_at_once:
        if ask is None:
            out.write("Nothing was written. Add --write to write these changes.\n")
            return 0
        if ask("Write these changes? [y/N] ").strip().lower() not in {"y", "yes"}:
            out.write("Nothing was written.\n")
            return 0
    write(plan)
    out.write(f"Wrote {_count(len(plan.changes), 'file')}.\n")
    return 0


def _show(plan: Plan, out: Output) -> None:
    out.write(plan.diff())
    remarks = plan.remarks()
    if remarks:
        out.write("\nTo look at by hand:\n")
        for remark in remarks:
            out.write(f"  {remark}\n")
    if not plan.changes:
        out.write("Nothing to change.\n")
        return
    out.write(f"\n{_count(len(plan.changes), 'file')} to change, {_count(len(remarks), 'note')}.\n")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def dirty_files(plan: Plan) -> list[Change]:
    """The files to be changed that differ from what Git has; none where there is no Git."""
    directory = plan.root if plan.root.is_dir() else plan.root.parent
    return [change for change in plan.changes if _is_dirty(directory, change.path)]


def _is_dirty(directory: Path, path: Path) -> bool:
    command = ["git", "status", "--porcelain", "--", str(path.resolve())]
    try:
        found = subprocess.run(  # noqa: S603  no shell, and the path is no option behind "--"
            command, cwd=directory, capture_output=True, check=False
        )
    except OSError:  # there is no Git
        return False
    # What Git does not know is not lost either: "??" stands for a file that was never added.
    return found.returncode == 0 and bool(found.stdout) and not found.stdout.startswith(b"??")
