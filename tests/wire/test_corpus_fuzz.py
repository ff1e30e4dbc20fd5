"""The inputs that the coverage-guided run has found worth keeping, once more."""

from pathlib import Path

import pytest

from fuzzing.targets import TARGETS

CORPUS = Path(__file__).parents[2] / "tools" / "fuzz" / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_corpus(name: str) -> None:
    """Each input, and each that the run began with, keeps what the target promises."""
    target = TARGETS[name]
    kept = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    assert kept, f"tools/fuzz/corpus/{name} is empty: tools/fuzz/minimise.py fills it"
    for data in [*target.seeds, *kept]:
        target.check(data)


def test_size() -> None:
    """The corpus stays small: what a clone carries for ever."""
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert len(files) < 1000
    assert sum(path.stat().st_size for path in files) < 100_000
    assert sorted({path.parent.name for path in files}) == sorted(TARGETS)
