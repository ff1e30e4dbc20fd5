"""What callgrind has written."""

from pathlib import Path

from counts.valgrind import read_totals


def write(folder: Path, number: int, mark: int | None, total: int) -> None:
    trigger = "Program termination" if mark is None else f"Client Request: echo {mark}"
    text = (
        f"version: 1\ndesc: Trigger: {trigger}\nevents: Ir\n\nfn=(1)\n7 {total}\ntotals: {total}\n"
    )
    (folder / f"callgrind.out.{number}").write_text(text)


def test_totals(tmp_path: Path) -> None:
    """Totals come in the order of the marks, without what stands behind the last one."""
    write(tmp_path, 2, mark=1, total=200)
    write(tmp_path, 1, mark=0, total=100)
    write(tmp_path, 3, mark=None, total=999)
    assert read_totals(tmp_path) == [100, 200]


def test_nothing_written(tmp_path: Path) -> None:
    """Nothing is there if nothing was marked."""
    assert read_totals(tmp_path) == []
