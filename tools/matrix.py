"""Run the tests on every supported Python and Django that this machine offers; print a table.

Each pair has an environment of its own below ``.venv-matrix``, made once and brought up to date
each time. Browser tests, the documentation's and the newcomer's path do not depend on the pair:
they run in ``make test``.

    make test-matrix                    every pair
    make test-matrix ARGS="-k mailbox"  with these arguments for pytest
"""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENVIRONMENTS = ROOT / ".venv-matrix"

#: Which releases of Django run on which Python: what the classifiers of both say and we promise.
SUPPORTED = [
    ("3.11", "5.2"),
    ("3.12", "5.2"),
    ("3.12", "6.0"),
    ("3.13", "5.2"),
    ("3.13", "6.0"),
    ("3.13", "6.1"),
]

DEFAULT_ARGUMENTS = [
    "-q",
    "-m",
    "not browser",
    "--ignore=tests/docs",
    "--ignore=tests/test_newcomer.py",
]


@dataclass
class Result:
    """What became of one pair."""

    python: str
    django: str
    verdict: str  # "ok", "FAIL" or "-" where the machine does not offer the pair
    detail: str
    seconds: float = 0.0


def interpreters() -> dict[str, str]:
    """The Python versions that ``tools/find-python`` finds, with their paths."""
    found = subprocess.run(
        [ROOT / "tools" / "find-python", "--all"], capture_output=True, text=True, check=True
    )
    return dict(line.split(" ", 1) for line in found.stdout.splitlines())


def install(python: str, interpreter: str, django: str) -> str:
    """Bring the environment of a pair up to date; return its interpreter."""
    environment = ENVIRONMENTS / f"python{python}-django{django}"
    own = str(environment / "bin" / "python")
    subprocess.run(
        [ROOT / "tools" / "install", environment, "test"],
        check=True,
        env=os.environ | {"PYTHON": interpreter},
    )
    subprocess.run(
        [own, "-m", "pip", "install", "-qq", "--upgrade", f"Django~={django}.0"], check=True
    )
    return own


def run_tests(interpreter: str, arguments: list[str]) -> tuple[bool, str]:
    """Run pytest; return whether it passed, and the last line that it printed."""
    command = [
        interpreter,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        *DEFAULT_ARGUMENTS,
        *arguments,
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        sys.stdout.write(line)
        last = line.strip() or last
    return process.wait() == 0, re.sub(r"\x1b\[[0-9;]*m", "", last).strip("= ")


def run_pair(python: str, django: str, interpreter: str | None, arguments: list[str]) -> Result:
    """Install and test one pair."""
    if interpreter is None:
        return Result(python, django, "-", "this machine has no such Python")
    print(f"\n== Python {python}, Django {django}", flush=True)
    started = time.monotonic()
    try:
        own = install(python, interpreter, django)
    except subprocess.CalledProcessError as error:
        detail = f"not installed: exit status {error.returncode}"
        return Result(python, django, "FAIL", detail, time.monotonic() - started)
    passed, summary = run_tests(own, arguments)
    verdict = "ok" if passed else "FAIL"
    return Result(python, django, verdict, summary, time.monotonic() - started)


def table(results: list[Result]) -> str:
    """The results, one line each."""
    lines = [f"{'Python':8}{'Django':8}{'':6}{'seconds':>8}  pytest"]
    lines += [f"{r.python:8}{r.django:8}{r.verdict:6}{r.seconds:8.0f}  {r.detail}" for r in results]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Run every pair, also after one failed; the exit status says whether all passed."""
    found = interpreters()
    results = [run_pair(py, django, found.get(py), arguments) for py, django in SUPPORTED]
    print("\n" + table(results))
    return 1 if any(result.verdict == "FAIL" for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
