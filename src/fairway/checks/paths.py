"""What a dotted path in the settings leads to, or what stands in the way."""

import dataclasses
import difflib
import importlib
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

#: Where code lies that is not the project's.
_HOUSE: Final = Path(__file__).parents[1]
_PYTHON: Final = Path(sysconfig.get_path("stdlib"))
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})


@dataclasses.dataclass(frozen=True, slots=True)
class Resolved:
    """What it leads to."""

    value: object


@dataclasses.dataclass(frozen=True, slots=True)
class Unresolved:
    """Why it leads nowhere.

    Attributes:
        kind: What is at fault: the path itself, its module, its last name, or what importing the
            module raised.
        reason: The rest of a sentence that begins with the path.
        hint: What to do about it, if it is known.
        error: What importing the module raised.
    """

    kind: Literal["path", "module", "name", "raised"]
    reason: str
    hint: str = ""
    error: BaseException | None = dataclasses.field(default=None, compare=False)


def resolve(path: object) -> Resolved | Unresolved:
    """Import what a dotted path names, or say what stands in the way."""
    if not isinstance(path, str):
        return Unresolved("path", "that is not text")
    module_name, _, name = path.replace(":", ".").rpartition(".")
    if not all(part.isidentifier() for part in (*module_name.split("."), name)):
        return Unresolved("path", "that is not a dotted path")
    if ":" in path:
        return Unresolved(
            "path", "a colon is the command line's way", f'Write "{module_name}.{name}".'
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            return Unresolved("module", f"there is no module {error.name!r}")
        return _raised(module_name, error)
    except (Exception, SystemExit) as error:  # noqa: BLE001  anything can happen in an import
        return _raised(module_name, error)
    try:
        return Resolved(getattr(module, name))
    except ImportError as error:  # a name that is imported when it is asked for
        return _raised(path, error)
    except AttributeError:
        near = did_you_mean(name, vars(module))
        return Unresolved("name", f"module {module_name!r} has no {name!r}", near)


def _raised(module_name: str, error: BaseException) -> Unresolved:
    return Unresolved(
        "raised",
        f"importing {module_name!r} raises {type(error).__name__}: {str(error).rstrip('.')}",
        _place_of(error),
        error,
    )


def _place_of(error: BaseException) -> str:
    """Where an exception comes from: the last line of the project's own that led to it."""
    places = traceback.extract_tb(error.__traceback__)
    theirs = [place for place in places if not _is_foreign(place.filename)]
    if not theirs or theirs[-1] is places[-1]:
        return f"It is raised at {places[-1].filename}:{places[-1].lineno}."
    return f"{theirs[-1].filename}:{theirs[-1].lineno} leads to it: {theirs[-1].line}"


def _is_foreign(filename: str) -> bool:
    path = Path(filename)
    return (
        filename.startswith("<")  # importlib, which is frozen
        or not _INSTALLED.isdisjoint(path.parts)
        or path.is_relative_to(_PYTHON)
        or path.is_relative_to(_HOUSE)
    )


def did_you_mean(name: object, candidates: Iterable[str]) -> str:
    """A question after the nearest of the candidates; "" if none is near."""
    near = difflib.get_close_matches(str(name), list(candidates), n=1)
    return f"Did you mean {near[0]!r}?" if near else ""
