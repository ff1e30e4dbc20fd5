"""What is published: the wheel is the package alone, the archive all that is versioned."""

import email
import importlib.util
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def built(target: str, directory: Path) -> Path:
    """Build it as a release does; return the file."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(directory)],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    (made,) = directory.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(built("wheel", tmp_path_factory.mktemp("wheel"))) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


@pytest.fixture(scope="module")
def matrix() -> ModuleType:
    spec = importlib.util.spec_from_file_location("matrix", ROOT / "tools" / "matrix.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # for its dataclass
    spec.loader.exec_module(module)
    del sys.modules[spec.name]
    return module


def versions(metadata: Message, subject: str) -> set[str]:
    """The versions after such a beginning of a classifier."""
    pattern = re.compile(re.escape(subject) + r" :: (\d+\.\d+)")
    found = map(pattern.fullmatch, metadata.get_all("Classifier", []))
    return {match[1] for match in found if match}


class TestWheel:
    """What ``pip install fairway`` puts into an environment."""

    def test_files(self, wheel: zipfile.ZipFile) -> None:
        """It is the package with its types, and the line that Python runs at its start."""
        source = ROOT / "src"
        package = {
            str(path.relative_to(source))
            for path in source.joinpath("fairway").rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        assert names == package | {"fairway_compat.pth"}
        assert "fairway/py.typed" in names

    def test_license(self, wheel: zipfile.ZipFile, metadata: Message) -> None:
        """The licence is named, and with it."""
        assert metadata["License-Expression"] == "BSD-3-Clause"
        (name,) = (name for name in wheel.namelist() if name.endswith("/licenses/LICENSE"))
        assert wheel.read(name) == ROOT.joinpath("LICENSE").read_bytes()


class TestVersions:
    """What is promised is what is tested, wherever it is written."""

    def test_python(self, metadata: Message, matrix: ModuleType) -> None:
        """The classifiers, the oldest that may install it, and what ``make`` looks for agree."""
        tested = {python for python, _ in matrix.SUPPORTED}
        assert versions(metadata, "Programming Language :: Python") == tested
        oldest = min(tested, key=lambda version: int(version.partition(".")[2]))
        assert metadata["Requires-Python"] == f">={oldest}"
        looked_for = re.search(
            r'^supported="(.+)"$', ROOT.joinpath("tools/find-python").read_text(), re.MULTILINE
        )
        assert looked_for
        assert set(looked_for[1].split()) == tested

    def test_django(self, metadata: Message, matrix: ModuleType) -> None:
        """The classifiers are the releases of Django that the tests run on."""
        tested = {django for _, django in matrix.SUPPORTED}
        assert versions(metadata, "Framework :: Django") == tested


@pytest.mark.skipif(not ROOT.joinpath(".git").exists(), reason="this is an archive itself")
def test_source_archive(tmp_path: Path) -> None:
    """Whoever has the archive has all that is versioned, so ``make test`` works there too."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    versioned = {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}
    with tarfile.open(built("sdist", tmp_path)) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers()}
    assert versioned - names == set()
