"""Every row of Channels' behaviour, and every pain that is ended here, is named by a test."""

import ast
import functools
from pathlib import Path

import pytest

from tests.compat.pains import PAINS
from tests.compat.rows import ROWS

TESTS = Path(__file__).parent.parent
ALL_ROWS = {f"{section} {name}" for section, names in ROWS.items() for name in names}


@functools.cache
def _marks(kind: str) -> list[tuple[object, str]]:
    """The arguments of ``@pytest.mark.<kind>(…)`` in all the tests, with the place of each."""
    return [
        (ast.literal_eval(argument), f"{path.name}:{node.lineno}")
        for path in sorted(TESTS.rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"pytest.mark.{kind}"
        for argument in node.args
    ]


@pytest.mark.parametrize("row", sorted(ALL_ROWS))
def test_a_test_names_the_row(row: str) -> None:
    assert row in {argument for argument, _ in _marks("row")}


@pytest.mark.parametrize("number", sorted(PAINS))
def test_a_test_names_the_pain(number: int) -> None:
    assert number in {argument for argument, _ in _marks("pain")}


def test_marks_name_what_there_is() -> None:
    unknown = [place for argument, place in _marks("row") if argument not in ALL_ROWS]
    unknown += [place for argument, place in _marks("pain") if argument not in PAINS]
    assert unknown == []
