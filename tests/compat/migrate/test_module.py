"""A file as text and tree."""

import ast

import pytest

from fairway.compat.migrate.edits import Note
from fairway.compat.migrate.module import Module


def test_places() -> None:
    """Nodes are found with their parents and their text, whatever stands before them."""
    module = Module("x = 'é'; y = a.b\n")
    (attribute,) = module.nodes(ast.Attribute)
    assert module.source(attribute) == "a.b"
    parent = module.parent(attribute)
    assert isinstance(parent, ast.Assign)
    assert module.parent(parent) is module.tree
    assert module.parent(module.tree) is None


def test_collects() -> None:
    """Changes and notes are kept; a note once for a line."""
    module = Module("x = 1\n")
    statement = module.tree.body[0]
    module.replace(*module.span(statement), "y = 2")
    module.note(statement, "a")
    module.note(statement, "a")
    assert module.text.apply(module.edits) == "y = 2\n"
    assert module.notes == [Note(1, "a")]


def test_no_python() -> None:
    """What is no Python is an error."""
    with pytest.raises(SyntaxError):
        Module("print 1")
