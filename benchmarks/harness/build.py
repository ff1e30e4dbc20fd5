"""What has to exist before anything can be measured: compiled programs, and environments."""

import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
import venv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
CHECKOUT = BENCHMARKS.parent
BUILD = BENCHMARKS / "build"

COMPILER = "gcc"
FLAGS = (
    "-std=c11",
    "-D_GNU_SOURCE",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wconversion",
    "-Wshadow",
)
LIBRARIES = ("-lz",)


class BuildError(Exception):
    """Something that the benchmarks need could not be made; the text says what and why."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A virtual environment of its own.

    Attributes:
        python: Its interpreter.
        versions: What is installed, by distribution name in lower case.
    """

    python: Path
    versions: dict[str, str]


def compile_program(name: str, folder: Path = BUILD) -> Path:
    """Compiles ``benchmarks/<name>/*.c``, with what both programs share, into the folder.

    Raises:
        BuildError: There is no compiler, or it refuses: such as where zlib has no headers.
    """
    if not shutil.which(COMPILER):
        raise BuildError(f"{COMPILER} is needed to compile the load generator; please install it")
    sources = [
        *sorted((BENCHMARKS / name).glob("*.c")),
        *sorted((BENCHMARKS / "shared").glob("*.c")),
    ]
    program = folder / name
    folder.mkdir(exist_ok=True)
    _run([COMPILER, *FLAGS, "-o", str(program), *map(str, sources), *LIBRARIES])
    return program


@cache
def fairway_environment(*, refresh: bool = False) -> Environment:
    """The environment of this checkout, installed in place: later edits need no reinstall."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    install = ["-e", f"{CHECKOUT}[http2,redis]"]
    environment = _environment("fairway", install, f"{install} {project!r}", refresh=refresh)
    # As pip compiles what it installs: else, where Python is told to write no byte code, each start
    # would compile all that was edited, which takes time, and memory that stays.
    compiled = [str(CHECKOUT / "src"), str(BENCHMARKS / "project")]
    _run([str(environment.python), "-m", "compileall", "-q", *compiled])
    return environment


@cache
def peer_environment(*, refresh: bool = False) -> Environment:
    """The environment of the peers, with the newest releases that their requirements allow."""
    return _required_environment("peer", refresh=refresh)


@cache
def socketify_environment(*, refresh: bool = False) -> Environment:
    """The environment of uWebSockets, which not every machine can have.

    Raises:
        BuildError: The library that its package brings does not load here.
    """
    environment = _required_environment("socketify", refresh=refresh)
    try:
        _run([str(environment.python), "-c", "import socketify"])
    except BuildError as error:
        raise BuildError(
            "the library in the package socketify is for Linux on x86-64, needs libuv.so.1 (Debian:"
            f" libuv1) and libz.so.1, and does not load here: {str(error).splitlines()[-1]}"
        ) from error
    return environment


def tools_environment() -> Environment:
    """The environment of the profiler."""
    return _required_environment("tools", refresh=False)


@dataclass(frozen=True, kw_only=True)
class NodeEnvironment:
    """A folder with packages for Node.

    Attributes:
        modules: Where they are.
        versions: What is installed, by name, and Node itself.
    """

    modules: Path
    versions: dict[str, str]


@cache
def node_environment(*, refresh: bool = False) -> NodeEnvironment:
    """The newest releases of the peers that run on Node (``requirements-node.txt``).

    Raises:
        BuildError: There is no Node, or no npm.
    """
    if not shutil.which("node") or not shutil.which("npm"):
        raise BuildError("node and npm are needed")
    folder = BUILD / "env-node"
    modules = folder / "node_modules"
    wanted = (BENCHMARKS / "requirements-node.txt").read_text().split()
    if refresh or not all((modules / name).is_dir() for name in wanted):
        print("Making the environment of node …", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        newest = [f"{name}@latest" for name in wanted]
        options = ["--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
        _run(["npm", "install", *options, *newest])
    versions = {
        name: json.loads((modules / name / "package.json").read_text())["version"]
        for name in wanted
    }
    node = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True)
    return NodeEnvironment(modules=modules, versions={**versions, "node": node.stdout.strip()})


def _required_environment(name: str, *, refresh: bool) -> Environment:
    """One with what ``requirements-<name>.txt`` asks for."""
    requirements = BENCHMARKS / f"requirements-{name}.txt"
    return _environment(name, ["-r", str(requirements)], requirements.read_text(), refresh=refresh)


def _environment(name: str, install: list[str], made_from: str, *, refresh: bool) -> Environment:
    """Makes the environment if it is missing, made from something else, or unwanted.

    The stamp is written last, so an environment whose making was interrupted is made again.
    """
    folder = BUILD / f"env-{name}"
    stamp = folder / "stamp"
    wanted = hashlib.sha256(f"{sys.version} {made_from}".encode())
    python = folder / "bin" / "python"
    if refresh or not stamp.exists() or stamp.read_text() != wanted.hexdigest():
        print(f"Making the environment of {name} …", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        _run(
            [
                str(python),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                *install,
            ]
        )
        stamp.write_text(wanted.hexdigest())
    return Environment(python=python, versions=_versions(python))


def _versions(python: Path) -> dict[str, str]:
    listing = subprocess.run(
        [str(python), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        check=True,
        capture_output=True,
        text=True,
    )
    return {row["name"].lower(): row["version"] for row in json.loads(listing.stdout)}


def _run(command: list[str]) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise BuildError(f"{' '.join(command)}\nfailed:\n{finished.stderr.strip()}")
