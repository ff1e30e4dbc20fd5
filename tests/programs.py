"""Programs that a machine need not have."""

import shutil

import pytest


def program(name: str) -> str:
    """The path of a program, which a machine need not have."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"This machine has no {name}.")
    return found
