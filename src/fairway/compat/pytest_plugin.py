"""A pytest plugin: a ``conftest.py`` that installs the alias does so in time.

pytest-django sets Django up before any ``conftest.py`` is imported, so ``INSTALLED_APPS`` with
``"daphne"`` and ``"channels"`` would fail before its first line. This plugin, which pytest finds by
itself, reads the ``conftest.py`` of the directory that pytest runs in: if that calls
:func:`fairway.compat.install` outside of any function, it is called before anything else.
"""

import ast
import os
from collections.abc import Generator
from pathlib import Path

import pytest

from fairway.compat import install


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Install the alias if a ``conftest.py`` is about to."""
    places = {early_config.rootpath, Path(early_config.invocation_params.dir)}
    if any(installs(place / "conftest.py") for place in places):
        install()
    return (yield)


def installs(path: Path) -> bool:
    """Whether a file calls ``fairway.compat.install()`` at its top level, as far as can be read."""
    try:
        text = path.read_text(encoding="utf-8")
        if "fairway" not in text:
            return False
        tree = ast.parse(text, os.fspath(path))
    except (OSError, ValueError, SyntaxError):
        return False  # pytest itself will say what is wrong with it
    names = {"fairway.compat.install"}
    for node in tree.body:
        match node:
            case ast.ImportFrom(module="fairway.compat"):
                names |= {a.asname or a.name for a in node.names if a.name == "install"}
            case ast.ImportFrom(module="fairway"):
                names |= {f"{a.asname or a.name}.install" for a in node.names if a.name == "compat"}
            case ast.Import():
                names |= {f"{a.asname}.install" for a in node.names if a.name == "fairway.compat"}
            case ast.Expr(value=ast.Call(func=function)) if ast.unparse(function) in names:
                return True
    return False
