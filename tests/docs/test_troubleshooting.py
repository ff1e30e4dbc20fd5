"""The lines of the log on the page for trouble are those that the package logs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
#: Lines of Django and Python.
OF_OTHERS = {
    "Not Found: /ws/…",
    "No module named 'channels'",
    "You cannot call this from an async context",
    "coroutine … was never awaited",
}
#: What stands on the page as an example of what is filled in, or joins two texts.
FILLED_IN = re.compile(r"…|\b(?:2 s|WebSocket|websocket(?:_connect_timeout)?|from|origin)\b|: ")


def texts() -> Iterator[str]:
    """Every text in the package; what is filled in is an ellipsis."""
    for path in (ROOT / "src" / "fairway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "…"
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"%[sdgr]|\{\}", "…", node.value)


def lines() -> list[str]:
    """What the first column of the tables says that the log says."""
    found = re.findall(
        r"^\| `([^`]+)`[^|]*\|[^|]*\|[^|]*\|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    return [line for line in found if line not in OF_OTHERS]


@pytest.fixture(scope="module")
def known() -> str:
    return "\n".join(texts())


def test_there_are_lines() -> None:
    """The tables were found."""
    assert len(lines()) > 10


@pytest.mark.parametrize("line", lines())
def test_is_logged(known: str, line: str) -> None:
    """Each part between what is filled in stands in the package."""
    parts = [part.strip(" :().") for part in FILLED_IN.split(line)]
    assert [part for part in parts if part not in known] == []
