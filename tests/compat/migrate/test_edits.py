"""Changes to a text by their places."""

import pytest

from fairway.compat.migrate.edits import Edit, Text


class TestText:
    """Places and pieces."""

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_lines(self, end: str) -> None:
        """Columns are bytes, lines end as they do in Python."""
        text = Text(f"é = 1{end}b = 2{end}")
        start = text.offset(2, 4)
        assert text.piece(start, start + 1) == "2"
        assert text.piece(text.line_start(start), start) == "b = "
        assert text.piece(start, text.line_end(start)) == f"2{end}"
        assert text.line_end(len(text.data)) == len(text.data)

    def test_apply(self) -> None:
        """Pieces are replaced in their order, and once if they are named twice."""
        text = Text("a é c")
        edits = [Edit(5, 6, "z"), Edit(2, 4, ""), Edit(0, 0, "x"), Edit(5, 6, "z")]
        assert text.apply(edits) == "xa  z"
        assert text.apply([]) == "a é c"

    def test_overlap(self) -> None:
        """What is removed may overlap; what is replaced may not."""
        assert Text("abcdef").apply([Edit(0, 3, ""), Edit(1, 5, "")]) == "f"
        with pytest.raises(ValueError, match=r"^Two changes overlap at byte 1\.$"):
            Text("abcdef").apply([Edit(0, 3, ""), Edit(1, 5, "x")])
