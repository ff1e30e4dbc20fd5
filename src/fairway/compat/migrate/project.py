"""A project's files: which are read, what would become of each, and how it is written."""

import codecs
import dataclasses
import difflib
import fnmatch
import io
import os
import tempfile
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from fairway.compat.migrate.edits import Note, Rewritten
from fairway.compat.migrate.others import note_commands, note_dependencies, rewrite_requirements
from fairway.compat.migrate.python import rewrite_python

#: Larger files are no source code.
MAX_SIZE: Final = 2 * 1024 * 1024

_SKIPPED: Final = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages"})

_Rewrite = Callable[[str], Rewritten]

#: What is done with a file, by the first pattern that fits its name.
_KINDS: Final[tuple[tuple[str, tuple[_Rewrite, ...]], ...]] = (
    ("setup.py", (rewrite_python, note_dependencies)),
    ("*.py", (rewrite_python,)),
    ("*requirements*.txt", (rewrite_requirements,)),
    ("*requirements*.in", (rewrite_requirements,)),
    ("pyproject.toml", (note_dependencies, note_commands)),
    ("Pipfile", (note_dependencies, note_commands)),
    ("setup.cfg", (note_dependencies, note_commands)),
    ("environment.y*ml", (note_dependencies,)),
    ("Procfile*", (note_commands,)),
    ("Dockerfile*", (note_commands,)),
    ("*.Dockerfile", (note_commands,)),
    ("Makefile", (note_commands,)),
    ("*compose*.y*ml", (note_commands,)),
    ("*.sh", (note_commands,)),
    ("*.service", (note_commands,)),
    ("*.conf", (note_commands,)),
    ("*.ini", (note_commands,)),
    ("fly.toml", (note_commands,)),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One file that would be written.

    Attributes:
        path: Where it is.
        before: Its text.
        after: Its text afterwards.
        encoding: What its bytes are, by Python's name.
    """

    path: Path
    before: str
    after: str
    encoding: str

    def diff(self, root: Path) -> str:
        """The difference, as ``patch`` takes it."""
        name = _relative(self.path, root)
        lines = difflib.unified_diff(
            _lines(self.before), _lines(self.after), f"a/{name}", f"b/{name}"
        )
        return "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            for line in lines
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What would be done with a project.

    Attributes:
        root: Its directory, or the one file.
        changes: The files that would be written.
        notes: What a person has to look at, with its file.
    """

    root: Path
    changes: tuple[Change, ...]
    notes: tuple[tuple[Path, Note], ...]

    def diff(self) -> str:
        """The difference of all files."""
        return "".join(change.diff(self.root) for change in self.changes)

    def remarks(self) -> list[str]:
        """The notes as lines, ``file:line: reason``."""
        return [
            f"{_relative(path, self.root)}:{note.line}: {note.reason}" for path, note in self.notes
        ]


def make_plan(root: Path) -> Plan:
    """Read a project, or one file, and find out what would be done. Nothing is written.

    Hidden directories, virtual environments and what was built are left alone, links too.

    Raises:
        FileNotFoundError: There is no such directory or file.
    """
    if not root.exists():
        raise FileNotFoundError(f"There is no {root}.")
    changes: list[Change] = []
    notes: list[tuple[Path, Note]] = []
    for path in [root] if root.is_file() else sorted(_files(root)):
        rewrites = _rewrites(path)
        found = _read(path, notes) if rewrites else None
        if found is None:
            continue
        before, encoding = found
        text = before
        for rewrite in rewrites:
            result = rewrite(text)
            text = result.text
            notes += [(path, note) for note in result.notes]
        if text != before:
            changes.append(Change(path, before, text, encoding))
    return Plan(root, tuple(changes), tuple(notes))


def write(plan: Plan) -> None:
    """Write the files of a plan, each at once, with the permissions and the encoding that it had.

    Raises:
        OSError: A file cannot be written; those before it are.
        RuntimeError: A file has changed since the plan was made.
    """
    for change in plan.changes:
        if change.path.read_bytes() != _encode(change.before, change.encoding):
            raise RuntimeError(f"{change.path} has changed meanwhile; start again.")
        mode = change.path.stat().st_mode
        with tempfile.NamedTemporaryFile(dir=change.path.parent, delete=False) as file:
            file.write(_encode(change.after, change.encoding))
        os.chmod(file.name, mode)
        os.replace(file.name, change.path)


def _rewrites(path: Path) -> tuple[_Rewrite, ...]:
    name = path.name
    if path.parent.name == "requirements" and path.suffix in {".txt", ".in"}:
        name = "requirements.txt"  # such as requirements/production.txt
    return next((found for pattern, found in _KINDS if fnmatch.fnmatch(name, pattern)), ())


def _files(root: Path) -> Iterator[Path]:
    for directory, directories, files in os.walk(root):
        here = Path(directory)
        directories[:] = [
            name
            for name in directories
            if not name.startswith(".")
            and name not in _SKIPPED
            and not (here / name / "pyvenv.cfg").exists()
        ]
        yield from (here / name for name in files if not (here / name).is_symlink())


def _read(path: Path, notes: list[tuple[Path, Note]]) -> tuple[str, str] | None:
    """A file's text and encoding; None, with a note where that matters, if it cannot be read."""
    try:
        if path.stat().st_size > MAX_SIZE:
            return None
        data = path.read_bytes()
        encoding = "utf-8"
        if path.suffix == ".py":
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        elif data.startswith(codecs.BOM_UTF8):
            encoding = "utf-8-sig"
        text = data.decode(encoding)
        if _encode(text, encoding) != data:
            raise ValueError("its text does not come back as it was")
    except (OSError, SyntaxError, ValueError) as error:
        notes.append((path, Note(1, f"The file was left: it cannot be read ({error}).")))
        return None
    return text, encoding


def _encode(text: str, encoding: str) -> bytes:
    return text.encode(encoding)


def _lines(text: str) -> list[str]:
    """Lines with their ends, as ``diff`` counts them; ``splitlines`` ends some elsewhere, too."""
    return io.StringIO(text, newline="\n").readlines()


def _relative(path: Path, root: Path) -> str:
    return path.name if path == root else path.relative_to(root).as_posix()
