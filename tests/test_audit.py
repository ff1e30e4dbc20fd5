"""``make audit``: what is asked about, and when it is an error."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOUND = {
    "name": "django",
    "version": "1.0",
    "vulns": [{"id": "CVE-2000-1", "fix_versions": ["1.1", "1.2"]}],
}
CLEAN = {"name": "asgiref", "version": "3.13", "vulns": []}
SILENT = {"name": "uvloop", "skip_reason": "nobody knows it"}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    path = Path(__file__).parents[1] / "tools" / "audit.py"
    spec = importlib.util.spec_from_file_location("audit", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_closure(audit: ModuleType) -> None:
    """What is required is asked about, and what that requires, and all of it for extras."""
    found = audit.closure("fairway")
    assert found.keys() >= {"django", "sqlparse", "asgiref", "redis", "hiredis", "cryptography"}
    assert "pytest" not in found


@pytest.mark.parametrize(
    ("answer", "strict", "code", "printed"),
    [
        ([CLEAN], True, 0, "   1 packages, 0 known vulnerabilities\n"),
        (
            [CLEAN, FOUND],
            False,
            1,
            "django 1.0: CVE-2000-1, mended in 1.1, 1.2\n   2 packages, 1 known vulnerabilities\n",
        ),
        (
            [CLEAN, SILENT],
            False,
            0,
            "   1 packages, 0 known vulnerabilities\n   no answer about: uvloop\n",
        ),
        (
            [CLEAN, SILENT],
            True,
            1,
            "   1 packages, 0 known vulnerabilities\n   no answer about: uvloop\n",
        ),
        ([SILENT], False, 0, "   no advisory database answered: nothing is known, good or bad\n"),
        (None, True, 1, "   no advisory database answered: nothing is known, good or bad\n"),
    ],
)
def test_report(
    audit: ModuleType,
    capsys: pytest.CaptureFixture[str],
    answer: list[dict[str, Any]] | None,
    strict: bool,
    code: int,
    printed: str,
) -> None:
    """A known vulnerability is an error; that nobody answers is one if asked for."""
    assert audit.report(answer, strict=strict) == code
    assert capsys.readouterr().out == printed


def test_not_installed(audit: ModuleType, tmp_path: Path) -> None:
    """Without pip-audit nothing is known, which is said."""
    assert audit.ask(str(tmp_path / "pip-audit"), {"asgiref": "3.13"}) is None
