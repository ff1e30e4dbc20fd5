"""Writes the figures in the README, from the stored results. The page of the docs needs no help."""

import re
from pathlib import Path

from harness.build import CHECKOUT
from harness.published import claims, load

README = CHECKOUT / "README.md"
_FIGURES = re.compile(r"(<!-- figures: begin -->\n)(.*?)(\n<!-- figures: end -->)", re.DOTALL)


def main(path: Path = README) -> None:
    """Replaces what stands between the marks."""
    text = path.read_text(encoding="utf-8")
    path.write_text(_FIGURES.sub(rf"\1{claims(load())}\3", text), encoding="utf-8")


def figures(path: Path = README) -> str:
    """What stands there now."""
    found = _FIGURES.search(path.read_text(encoding="utf-8"))
    assert found is not None, f"{path} has no place for figures"
    return found[2]


if __name__ == "__main__":
    main()
