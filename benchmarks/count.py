"""Counts the instructions of the hot paths, beside the baseline or another commit.

Exits with 1 if a path takes 15 % more than it did.
"""

import argparse
import asyncio
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from counts import valgrind
from counts.baseline import LIMIT, Baseline, compare, table
from counts.paths import PATHS
from harness.build import BENCHMARKS, BUILD, CHECKOUT, BuildError, fairway_environment

LIMITS = """\
Instructions in user space, of server and client in one process: what the kernel does is not in
them, nor what waiting for memory or for another thread costs. They tell two commits apart, not two
servers."""

RATES = "By the clock, beside Channels; on a machine that does other work too, this is a guess:"

#: What callgrind wrote, for each path.
KEPT = BUILD / "counts"

#: What decides how many instructions it takes, beside Python itself.
VERSIONS = ("asgiref", "django", "h2", "httptools", "ormsgpack", "uvloop", "websockets")


def main() -> int:
    """Counts what was asked for; the exit status is 1 if something is wrong with it."""
    arguments = _arguments()
    try:
        status = asyncio.run(_run(arguments))
        return (status or _rates()) if arguments.rates else status
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\nInterrupted; nothing is stored, and every process that was started has ended.")
        return 130


async def _run(arguments: argparse.Namespace) -> int:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    print(LIMITS + "\n", flush=True)
    names = arguments.paths or [*PATHS]
    now = await _count(names, arguments.commit)
    path = BENCHMARKS / f"baseline-{now.kind}.json"
    if arguments.against:
        before: Baseline | None = await _count(names, arguments.against)
    else:
        before = Baseline.load(path)
    _tell(now, before)
    missing = [name for name in names if name not in now.counts]
    if missing:
        print(f"\nNot counted, for the work failed: {', '.join(missing)}.", file=sys.stderr)
        return 1
    if arguments.store:
        now.store(path)
        print(f"\nStored in {path.relative_to(CHECKOUT)}")
        return 0
    if before is None:
        print(f"\nThere is no baseline for {now.kind}: --store makes one of these counts.")
    return _verdict(now, before)


def _rates() -> int:
    """The ordinary comparison, in little more than a minute."""
    print(f"\n{RATES}\n", flush=True)
    command = [sys.executable, "benchmarks/run.py", "--quick", "--only", "fairway,channels"]
    return subprocess.run([*command, "echo", "group"], cwd=CHECKOUT, check=False).returncode


async def _count(names: Sequence[str], wanted: str) -> Baseline:
    """Counts the paths, as many at a time as there are processors.

    Args:
        names: Which.
        wanted: The commit; empty for the files as they are.
    """
    sources = _sources_of(wanted) if wanted else None
    commit = _git("describe", "--always", wanted or "--dirty").decode().strip()
    environment = fairway_environment()
    library = valgrind.compile_marks()
    turns = asyncio.Semaphore(os.cpu_count() or 1)
    started = time.monotonic()

    async def one(name: str) -> int | None:
        async with turns:
            kept = KEPT / (commit if wanted else "now") / name
            try:
                total = await valgrind.count(name, environment.python, library, sources, kept)
            except valgrind.CountError as error:
                print(error, file=sys.stderr)
                return None
            elapsed = time.monotonic() - started
            print(f"  {elapsed:4.0f} s  {PATHS[name].title} ({commit})", flush=True)
            return round(total / PATHS[name].units / PATHS[name].turns)

    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(one(name)) for name in names}
    counted = {name: task.result() for name, task in tasks.items()}
    return Baseline(
        date=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        commit=commit,
        python=platform.python_version(),
        machine=platform.machine(),
        valgrind=valgrind.version(),
        versions={
            name: environment.versions[name] for name in VERSIONS if name in environment.versions
        },
        counts={name: count for name, count in counted.items() if count is not None},
    )


def _tell(now: Baseline, before: Baseline | None) -> None:
    units = {name: path.unit for name, path in PATHS.items()}
    print()
    print(table(compare(now.counts, before), units, before.commit if before else "baseline"))
    if before is not None and (different := before.differences(now)):
        print(f"\nNot the same as then: {'; '.join(different)}.")


def _verdict(now: Baseline, before: Baseline | None) -> int:
    if before is None:
        return 0
    more = [each.name for each in compare(now.counts, before) if each.regressed]
    if not more:
        return 0
    written = (KEPT / "*" / more[0] / "callgrind.out.4").relative_to(CHECKOUT)
    print(
        f"\nMore than {LIMIT - 1:.0%} above {before.commit}: {', '.join(more)}."
        f"\nWhere they went: callgrind_annotate {written}"
        "\nIf it is worth it, say why in the commit and store the new baseline:"
        ' make bench-quick ARGS="--store"',
        file=sys.stderr,
    )
    return 1


def _sources_of(commit: str) -> Path:
    """The package as it was in a commit.

    Raises:
        BuildError: There is no such commit.
    """
    folder = (
        KEPT / "sources" / _git("rev-parse", "--verify", f"{commit}^{{commit}}").decode().strip()
    )
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=KEPT) as place:
            archive = _git("archive", commit, "src")
            subprocess.run(["tar", "-x", "-C", place], input=archive, check=True)
            folder.parent.mkdir(exist_ok=True)
            shutil.copytree(place, folder)
    return folder / "src"


def _git(*words: str) -> bytes:
    finished = subprocess.run(
        ["git", "-C", str(CHECKOUT), *words], capture_output=True, check=False
    )
    if finished.returncode:
        raise BuildError(finished.stderr.decode(errors="replace").strip())
    return finished.stdout


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add = parser.add_argument
    add("paths", nargs="*", metavar="path", help=f"of {', '.join(PATHS)}; default: all of them")
    add("--store", action="store_true", help="make these counts the baseline")
    add(
        "--commit",
        metavar="COMMIT",
        default="",
        help="count that one; default: the files as they are",
    )
    add("--rates", action="store_true", help="a rough comparison by the clock with Channels, too")
    add("--against", metavar="COMMIT", help="count that commit too and compare with it instead")
    arguments = parser.parse_args()
    if arguments.store and arguments.paths:
        parser.error("--store is for all paths: one baseline is of one commit")
    if unknown := [name for name in arguments.paths if name not in PATHS]:
        parser.error(f"unknown: {', '.join(unknown)}; choose from {', '.join(PATHS)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
