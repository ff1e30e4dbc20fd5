"""Changes to the text of a file that leave everything else in it as it was."""

import dataclasses
import re
from collections.abc import Iterable
from typing import Final

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Edit:
    """A piece of UTF-8 text to replace.

    Attributes:
        start: Where it begins, in bytes.
        end: Where it ends.
        text: What stands there afterwards.
    """

    start: int
    end: int
    text: str


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Note:
    """Something that a person has to look at.

    Attributes:
        line: Where, counted from 1.
        reason: What was left as it is, and what to do.
    """

    line: int
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Rewritten:
    """What came of a text."""

    text: str
    notes: tuple[Note, ...] = ()


class Text:
    """A text whose places are told as Python's parser does: a line, and bytes in it."""

    def __init__(self, text: str) -> None:
        self.data = text.encode("utf-8", "surrogateescape")
        self._starts = [0, *(found.end() for found in _LINE_END.finditer(self.data))]

    def offset(self, line: int, column: int) -> int:
        """The place of a line, counted from 1, and a column, counted from 0."""
        return self._starts[line - 1] + column

    def line_start(self, offset: int) -> int:
        """Where the line of a place begins."""
        return max(start for start in self._starts if start <= offset)

    def line_end(self, offset: int) -> int:
        """Where the line of a place ends, behind its line break."""
        return min((start for start in self._starts if start > offset), default=len(self.data))

    def piece(self, start: int, end: int) -> str:
        """A part of the text."""
        return self.data[start:end].decode("utf-8", "surrogateescape")

    def apply(self, edits: Iterable[Edit]) -> str:
        """The text with some pieces replaced; what is only removed may overlap.

        Raises:
            ValueError: Two pieces overlap that both are replaced by something.
        """
        parts: list[bytes] = []
        position = 0
        for edit in sorted(set(edits)):
            if edit.start < position and edit.text:
                raise ValueError(f"Two changes overlap at byte {edit.start}.")
            parts += [self.data[position : edit.start], edit.text.encode("utf-8")]
            position = max(position, edit.end)
        return b"".join([*parts, self.data[position:]]).decode("utf-8", "surrogateescape")
