"""mypy, in its strict mode, accepts what users may write and finds the mistakes that they make."""

import re
from pathlib import Path

import pytest

api = pytest.importorskip("mypy.api", reason="mypy is a tool of the `lint` group")

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

_ERROR = re.compile(r"(?P<path>[^:]+):(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]")
_EXPECTED = re.compile(r"# E: (?P<code>[a-z-]+)")


def modules(kind: str) -> list[Path]:
    return sorted(path for path in (HERE / kind).glob("*.py") if path.name != "__init__.py")


@pytest.fixture(scope="module")
def found() -> set[tuple[str, int, str]]:
    """What mypy says, by path below ``tests/typing``, line and code; one run for all modules."""
    paths = [str(path) for kind in ("accepted", "rejected") for path in modules(kind)]
    config = str(ROOT / "pyproject.toml")
    output, trouble, _ = api.run(["--config-file", config, "--no-error-summary", *paths])
    assert trouble == ""
    errors = set()
    for line in output.splitlines():
        match = _ERROR.match(line)
        if match is not None:
            path = Path(match["path"]).resolve().relative_to(HERE).as_posix()
            errors.add((path, int(match["line"]), match["code"]))
    return errors


@pytest.mark.parametrize("path", modules("accepted"), ids=lambda path: path.stem)
def test_accepted(path: Path, found: set[tuple[str, int, str]]) -> None:
    """Nothing is wrong with it, and every ``assert_type`` holds."""
    name = path.relative_to(HERE).as_posix()
    assert {error for error in found if error[0] == name} == set()


@pytest.mark.parametrize("path", modules("rejected"), ids=lambda path: path.stem)
def test_rejected(path: Path, found: set[tuple[str, int, str]]) -> None:
    """Each line that says ``# E: code`` has that error, and no other line has any."""
    name = path.relative_to(HERE).as_posix()
    expected = {
        (name, number, match["code"])
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for match in _EXPECTED.finditer(line)
    }
    assert {error for error in found if error[0] == name} == expected
