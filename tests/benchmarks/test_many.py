"""So many processes share the sockets as the limit of open files takes."""

import pytest

from harness.generator import LoadError
from harness.scenarios import many


@pytest.mark.parametrize(
    ("files", "parts"), [(200_000, 2), (58_900, 2), (58_800, 3), (20_000, 6), (7_400, 16)]
)
def test_parts(monkeypatch: pytest.MonkeyPatch, files: int, parts: int) -> None:
    """Two at least; as many as it takes to fill no process beyond its share."""
    monkeypatch.setattr(many, "most_files", lambda: files)
    assert many.parts_of(100_000) == parts


def test_too_few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the limit is too low, the error says what it would have to be."""
    monkeypatch.setattr(many, "most_files", lambda: 1024)
    with pytest.raises(LoadError) as caught:
        many.parts_of(100_000)
    assert str(caught.value) == (
        "100,000 sockets need processes that may open 7,353 files each, and here it is 1,024:"
        " raise the hard limit (ulimit -Hn 7353, which takes root)"
    )
