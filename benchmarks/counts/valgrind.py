"""Runs the work of a path under callgrind, and reads what it wrote."""

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from harness.build import BENCHMARKS, BUILD, COMPILER, BuildError

__all__ = ["CountError", "compile_marks", "count", "read_totals", "version"]

#: Seconds for one path on a machine that does nothing else; a busy one may take longer.
TIMEOUT: Final = 300
OUT: Final = "callgrind.out"  #: and a dot, and a number for each mark
LINES: Final = 20  #: of what a failed run said

_TOTAL: Final = re.compile(r"^(?:totals|summary): (\d+)$", re.MULTILINE)
_MARK: Final = re.compile(r"^desc: Trigger: Client Request: (\S+) (\d+)$", re.MULTILINE)


class CountError(Exception):
    """The instructions of a path could not be counted; the text says why."""


def version() -> str:
    """The version of valgrind, such as ``"3.19.0"``.

    Raises:
        BuildError: There is none.
    """
    if not shutil.which("valgrind"):
        raise BuildError("valgrind counts the instructions; `tools/system-packages valgrind`")
    said = subprocess.run(["valgrind", "--version"], check=True, capture_output=True, text=True)
    return said.stdout.strip().removeprefix("valgrind-")


def compile_marks() -> Path:
    """Compiles ``marks.c`` into a library for the interpreter that is watched.

    Raises:
        BuildError: There is no compiler, or it refuses.
    """
    if not shutil.which(COMPILER):
        raise BuildError(f"{COMPILER} is needed to compile benchmarks/counts/marks.c")
    library = BUILD / "counts" / "marks.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    source = BENCHMARKS / "counts" / "marks.c"
    fresh = library.with_suffix(f".{os.getpid()}")  # another run may have the old one open
    command: list[str | Path] = [COMPILER, "-O2", "-Wall", "-Werror", "-shared", "-fPIC"]
    command += ["-o", fresh, source]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise BuildError(f"{source} cannot be compiled:\n{finished.stderr.strip()}")
    fresh.replace(library)
    return library


async def count(name: str, python: Path, library: Path, sources: Path | None, kept: Path) -> int:
    """The instructions between two marks of a path: the least of all sets.

    Not the median: what comes with the time of day, such as a new date for the responses or a look
    at all deadlines, falls into one set or another, and into more of them on a busy machine.

    Args:
        name: Of the path.
        python: The interpreter, with what is to be measured.
        library: What :func:`compile_marks` returned.
        sources: Where ``fairway`` is imported from, rather than from where it is installed.
        kept: The folder for what callgrind wrote, to be looked at with ``callgrind_annotate``;
            what was in it is removed.

    Raises:
        CountError: The work failed.
    """
    with tempfile.TemporaryDirectory(prefix="fairway-counts-") as place:
        process = await asyncio.create_subprocess_exec(
            *("valgrind", "--tool=callgrind", "--instr-atstart=no"),
            f"--callgrind-out-file={place}/{OUT}",
            *(python, "-m", "counts.drive", name, library),
            cwd=BENCHMARKS,
            env=_environment(place, sources),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(TIMEOUT):
                _, said = await process.communicate()
        except TimeoutError:
            raise CountError(f"{name}: it took longer than {TIMEOUT} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            lines = [
                line for line in said.decode(errors="replace").splitlines() if line[:2] != "=="
            ]
            raise CountError("\n".join([f"{name}: the work failed:", *lines[-LINES:]]))
        totals = read_totals(Path(place))
        _keep(Path(place), kept)
    if not totals:
        raise CountError(f"{name}: callgrind has written nothing into {kept}")
    return min(totals)


def read_totals(folder: Path) -> list[int]:
    """What was counted up to each mark, in the order of the marks."""
    found = {}
    for path in folder.glob(f"{OUT}.*"):
        head = path.read_text(errors="replace")
        mark, total = _MARK.search(head), _TOTAL.search(head)
        if mark and total:
            found[int(mark[2])] = int(total[1])
    return [found[number] for number in sorted(found)]


def _keep(place: Path, kept: Path) -> None:
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True, exist_ok=True)
    for path in place.glob(f"{OUT}.*"):
        shutil.copy(path, kept)


def _environment(place: str, sources: Path | None) -> dict[str, str]:
    """As little as possible, for what is in it moves memory and so changes counts."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONHASHSEED": "0",
        "DJANGO_SETTINGS_MODULE": "counts.settings",
        "BENCH_STACK": "fairway",
        "COUNTS_PLACE": place,
    }
    if sources is not None:
        environment["PYTHONPATH"] = str(sources)
    return environment
