"""A Python file as text and as a tree, with the changes and notes that are being collected."""

import ast
from collections.abc import Iterator
from typing import TypeVar

from fairway.compat.migrate.edits import Edit, Note, Text

_Node = TypeVar("_Node", bound=ast.AST)


class Module:
    """One Python file.

    Args:
        source: Its text.

    Attributes:
        text: The text, by places.
        tree: What Python makes of it.
        edits: What to replace.
        notes: What a person has to look at.

    Raises:
        SyntaxError: It is no Python of this version.
    """

    def __init__(self, source: str) -> None:
        self.tree = ast.parse(source)
        self.text = Text(source)
        self.edits: list[Edit] = []
        self.notes: list[Note] = []
        self._parents = {
            child: parent
            for parent in ast.walk(self.tree)
            for child in ast.iter_child_nodes(parent)
        }

    def nodes(self, kind: type[_Node]) -> Iterator[_Node]:
        """Every node of a kind."""
        return (node for node in ast.walk(self.tree) if isinstance(node, kind))

    def parent(self, node: ast.AST) -> ast.AST | None:
        """What a node is a part of; None for the whole."""
        return self._parents.get(node)

    def span(self, node: ast.expr | ast.stmt | ast.alias) -> tuple[int, int]:
        """Where a node begins and ends."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self.text.offset(node.lineno, node.col_offset),
            self.text.offset(node.end_lineno, node.end_col_offset),
        )

    def source(self, node: ast.expr | ast.stmt | ast.alias) -> str:
        """A node's text."""
        return self.text.piece(*self.span(node))

    def replace(self, start: int, end: int, text: str) -> None:
        """Note a change."""
        self.edits.append(Edit(start, end, text))

    def note(self, node: ast.expr | ast.stmt | ast.alias, reason: str) -> None:
        """Note what a person has to look at."""
        note = Note(node.lineno, reason)
        if note not in self.notes:
            self.notes.append(note)
