"""Files that are no Python: requirements, and commands that start Daphne."""

import re
from collections.abc import Iterable
from typing import Final

from fairway import __version__
from fairway.compat.migrate.edits import Note, Rewritten

_REQUIREMENT: Final = re.compile(
    r"(?P<name>channels[-_.]redis|channels|daphne)(?P<extras>\[[^\]]*\])?"
    r"(?P<version>\s*(?:[=<>!~]=?|===)(?:(?!--)[^;#\\])*?)?(?P<marker>\s*;[^#\\]*?)?"
    r"(?P<comment>\s+#.*)?",
    re.IGNORECASE,
)
_MENTIONED: Final = re.compile(r"(?<![\w./-])(?:channels[-_.]redis|channels|daphne)(?![\w-])", re.I)
_DEPENDENCY: Final = re.compile(
    r"""(?<![\w./-])["']?(?:channels[-_.]redis|channels|daphne)"""
    r"""(?:\[|\s*[=<>~!]|["']\s*(?:=|[,\])]|$)|\s*$)"""
)
_COMMAND: Final = re.compile(r"(?:(?<![\w./-])|(?<=bin/))daphne(?![\w-]).*\S:\S")


def rewrite_requirements(source: str) -> Rewritten:
    """The text of a requirements file with Fairway in the place of the packages, once.

    A requirement that is more than a name, extras, a version and a marker is left with a note.
    """
    lines = source.splitlines(keepends=True)
    found = {number: match for number, line in enumerate(lines) if (match := _requirement(line))}
    name = _our_name(found.values())
    present = any(re.match(r"\s*fairway\b", line, re.IGNORECASE) for line in lines)
    result: list[str] = []
    notes: list[Note] = []
    for number, line in enumerate(lines):
        match = found.get(number)
        if match is None:
            result.append(line)
            if _MENTIONED.search(line.partition("#")[0]):
                notes.append(
                    Note(
                        number + 1,
                        "This requirement was left: it is more than a name and a version.",
                    )
                )
        elif not present:
            present = True
            ours = f"{name}>={__version__}{match['marker'] or ''}{match['comment'] or ''}"
            result.append(ours + line[len(line.rstrip("\r\n")) :])
    return Rewritten("".join(result), tuple(notes))


def _our_name(theirs: Iterable[re.Match[str]]) -> str:
    """Fairway with the extras that bring what these requirements have brought."""
    extras = []
    layers = [match for match in theirs if match["name"].lower() not in ("channels", "daphne")]
    if layers:
        extras.append("redis")
    if any("cryptography" in (match["extras"] or "").lower() for match in layers):
        extras.append("encryption")
    return f"fairway[{','.join(extras)}]" if extras else "fairway"


def _requirement(line: str) -> re.Match[str] | None:
    return _REQUIREMENT.fullmatch(line.rstrip())


def note_dependencies(source: str) -> Rewritten:
    """Notes on the packages in files whose form is not known here, such as ``pyproject.toml``."""
    reason = (
        f'This was left: depend on "fairway>={__version__}" (with the extra "redis" in the place '
        "of channels-redis), and make lock files anew."
    )
    return Rewritten(source, _notes(source, _DEPENDENCY, reason))


def note_commands(source: str) -> Rewritten:
    """Notes on commands that start Daphne."""
    reason = 'This was left: write "fairway" for "daphne"; its flags mean the same.'
    return Rewritten(source, _notes(source, _COMMAND, reason))


def _notes(source: str, pattern: re.Pattern[str], reason: str) -> tuple[Note, ...]:
    return tuple(
        Note(number, reason)
        for number, line in enumerate(source.splitlines(), 1)
        if pattern.search(line) and not line.lstrip().startswith("#")
    )
