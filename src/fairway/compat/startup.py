"""``FAIRWAY_COMPAT=1`` in the environment: the alias in every process, before any code of its own.

The package installs ``fairway_compat.pth`` beside itself, a line that Python's :mod:`site` runs at
the start of every process of the environment. Where the variable is set it imports this module;
where it is not, nothing of Fairway is imported. ``python -S`` runs no such lines.
"""

import os
import sys
from collections.abc import Mapping
from typing import Final

from fairway.compat import install

VARIABLE: Final = "FAIRWAY_COMPAT"

_ON: Final = frozenset({"1", "true", "yes"})
_OFF: Final = frozenset({"0", ""})


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether the environment asks for the alias.

    Raises:
        ValueError: It says something that is neither yes nor no.
    """
    text = environment.get(VARIABLE, "").strip()
    if text.lower() in _ON:
        return True
    if text in _OFF:
        return False
    raise ValueError(f"{VARIABLE} must be 1, true or yes, or else 0 or empty, not {text!r}.")


def run() -> None:
    """Install the alias if the environment asks for it.

    A mistake ends the process with code 2 and one line: it must not go on with the wrong packages,
    and an exception would only be printed by :mod:`site`.
    """
    try:
        if is_wanted(os.environ):
            install()
    except (ValueError, RuntimeError) as error:
        sys.stderr.write(f"fairway: {error}\n")
        sys.stderr.flush()
        os._exit(2)
