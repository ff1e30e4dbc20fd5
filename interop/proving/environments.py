"""Environments of their own for the packages that are tried out: never the one of development."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

INTEROP = Path(__file__).resolve().parent.parent
CHECKOUT = INTEROP.parent
BUILD = INTEROP / "build"
REQUIREMENTS = INTEROP / "requirements"

EXTRAS = ("redis",)  #: of Fairway's, that the rows need
INSTALL_TIMEOUT = 600.0  #: seconds for one call of pip

#: These settings of a user's pip would put the packages somewhere else.
_FOREIGN = (
    "PIP_USER",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_REQUIRE_HASHES",
    "PYTHONHOME",
    "PYTHONNOUSERSITE",
    "PYTHONPATH",
    "PYTHONUSERBASE",
)


class MakingError(Exception):
    """An environment could not be made; the text says what pip said."""


class MissingError(Exception):
    """What a row needs is not on this machine; the text says what. It tells nothing of Fairway."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A virtual environment.

    Attributes:
        name: As in ``requirements/<name>.txt``.
        folder: Where it is.
        versions: What is installed, by normalised distribution name.
    """

    name: str
    folder: Path
    versions: dict[str, str]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def program(self, name: str) -> str:
        """The path of one of its commands."""
        return str(self.folder / "bin" / name)


def environment(name: str, *, refresh: bool = False) -> Environment:
    """The environment of ``requirements/<name>.txt``, made if it is missing or out of date.

    Fairway is installed in place, so later edits need no reinstall. What stands in
    ``requirements/<name>-alone.txt`` is installed without what it asks for: packages that would
    bring ``channels`` along, where Fairway's alias is to take its place.

    Args:
        name: Of the requirement files.
        refresh: Make it anew, with the newest releases that the ranges allow.

    Raises:
        MakingError: pip failed.
    """
    wanted, alone = REQUIREMENTS / f"{name}.txt", REQUIREMENTS / f"{name}-alone.txt"
    document = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    project = document["project"]
    extras = ",".join(
        extra for extra in EXTRAS if extra in project.get("optional-dependencies", {})
    )
    installed = [
        extras,
        document["tool"]["hatch"],  # which files are put where
        *(project.get(key) for key in ("requires-python", "dependencies", "scripts")),
    ]
    made_from = [sys.version, repr(installed), wanted.read_text()]
    installs = [["-e", f"{CHECKOUT}[{extras}]", "-r", str(wanted)]]
    if alone.exists():
        made_from.append(alone.read_text())
        installs.append(["--no-deps", "-r", str(alone)])
    folder = BUILD / f"env-{name}"
    stamp = folder / "stamp"
    # The stamp is written last: an environment whose making was interrupted is made again.
    digest = hashlib.sha256("\n".join(made_from).encode()).hexdigest()
    python = folder / "bin" / "python"
    if refresh or not stamp.exists() or stamp.read_text() != digest:
        print(f"      making the environment {name!r}", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        for install in installs:
            _pip(python, "install", "--quiet", *install)
        stamp.write_text(digest)
    return Environment(name=name, folder=folder, versions=_versions(python))


@dataclass(frozen=True, kw_only=True)
class OldEnvironment:
    """Packages for Python 2.7, which has no ``venv``: they are its user's, for who sets that place.

    Attributes:
        python: The interpreter.
        environ: The variables with which it finds them.
    """

    python: Path
    environ: Mapping[str, str]


def old_environment(name: str) -> OldEnvironment:
    """The packages of ``requirements/<name>.txt``, all of them pinned, for Python 2.7.

    Raises:
        MakingError: pip failed.
        MissingError: There is no Python 2.7.
    """
    wanted = REQUIREMENTS / f"{name}.txt"
    python = next(_old_pythons(), None)
    if python is None:
        raise MissingError(
            "a Python 2.7 with pip is neither on PATH nor among the versions of pyenv"
        )
    folder = BUILD / f"env-{name}"
    stamp = folder / "stamp"
    made = OldEnvironment(python=python, environ={"PYTHONUSERBASE": str(folder)})
    digest = hashlib.sha256(f"{python}\n{wanted.read_text()}".encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"      making the environment {name!r}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        options = ("--quiet", "--user", "--ignore-installed", "--no-deps")
        _pip(python, "install", *options, "-r", str(wanted), environ=made.environ)
        stamp.write_text(digest)
    return made


def _old_pythons() -> Iterator[Path]:
    places = [Path(place) for place in os.get_exec_path()]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    places += sorted(pyenv.glob("versions/2.7*/bin"))
    for place in places:
        python = place / "python2.7"
        # pyenv puts programs on PATH that only say that a version has to be chosen.
        asked = [str(python), "-c", "import pip"]
        if (
            python.exists()
            and not subprocess.run(asked, capture_output=True, check=False).returncode
        ):
            yield python


def source_distribution(requirement: str, using: Environment) -> Path:
    """The unpacked source distribution of the release that ``using`` has installed.

    Raises:
        MakingError: There is none, or it cannot be had.
    """
    version = using.versions[requirement]
    folder = BUILD / "sources" / f"{requirement}-{version}"
    if not folder.exists():
        download = BUILD / "sources" / "download"
        download.mkdir(parents=True, exist_ok=True)
        for old in download.iterdir():
            old.unlink()
        options = ["--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(download)]
        _pip(using.python, "download", *options, f"{requirement}=={version}")
        (archive,) = download.glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(download, filter="data")
        archive.unlink()
        (unpacked,) = download.iterdir()
        unpacked.rename(folder)
    return folder


def clean_environ() -> dict[str, str]:
    """This process's variables without those that would lead another Python astray."""
    return {name: value for name, value in os.environ.items() if name not in _FOREIGN}


def _versions(python: Path) -> dict[str, str]:
    listing = _pip(python, "list", "--format=json")
    return {
        row["name"].lower().replace("_", "-").replace(".", "-"): row["version"]
        for row in json.loads(listing)
    }


def _pip(python: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
    command = [str(python), "-m", "pip", *arguments]
    finished = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_TIMEOUT,
        env={
            **clean_environ(),
            "PIP_NO_INPUT": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            **(environ or {}),
        },
    )
    if finished.returncode:
        raise MakingError(f"pip {' '.join(arguments)} failed:\n{finished.stderr.strip()}")
    return finished.stdout
