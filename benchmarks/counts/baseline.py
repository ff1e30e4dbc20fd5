"""What the counts are compared with, and the verdict. Without input and output but one file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

__all__ = ["LIMIT", "Baseline", "Comparison", "compare", "table"]

#: A path may take so many times the baseline's instructions.
LIMIT: Final = 1.15


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Counts of one commit.

    Attributes:
        date: When they were made, such as ``"2026-11-20T21:00:00Z"``.
        commit: Of what, as ``git describe`` says it.
        python: The version of the interpreter; counts are compared within a minor version.
        machine: Its architecture, such as ``"x86_64"``; counts are compared within one.
        valgrind: The version of valgrind.
        versions: What else was installed, by distribution name.
        counts: Instructions per unit, by the name of the path.
    """

    date: str
    commit: str
    python: str
    machine: str
    valgrind: str
    versions: Mapping[str, str]
    counts: Mapping[str, int]

    @property
    def kind(self) -> str:
        """Within what it may be compared, such as ``"3.11-x86_64"``."""
        return f"{'.'.join(self.python.split('.')[:2])}-{self.machine}"

    def differences(self, other: "Baseline") -> list[str]:
        """What else may be the reason for other counts, such as ``"uvloop 0.22.0, now 0.23.0"``."""
        ours = {"python": self.python, "valgrind": self.valgrind, **self.versions}
        theirs = {"python": other.python, "valgrind": other.valgrind, **other.versions}
        return [
            f"{name} {ours.get(name, 'absent')}, now {theirs.get(name, 'absent')}"
            for name in sorted({*ours, *theirs})
            if ours.get(name) != theirs.get(name)
        ]

    def store(self, path: Path) -> None:
        """Write it, for :meth:`load`."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Baseline | None":
        """Read one; None if there is none."""
        return cls(**json.loads(path.read_text())) if path.exists() else None


@dataclass(frozen=True)
class Comparison:
    """A path now and then.

    Attributes:
        name: Of the path.
        now: Its instructions per unit.
        before: Those of the baseline; None if it did not know the path.
    """

    name: str
    now: int
    before: int | None

    @property
    def ratio(self) -> float | None:
        """Now divided by then, or None."""
        return self.now / self.before if self.before else None

    @property
    def regressed(self) -> bool:
        """Whether it takes more than is allowed."""
        return self.ratio is not None and self.ratio > LIMIT


def compare(counts: Mapping[str, int], baseline: Baseline | None) -> list[Comparison]:
    """Every path that was counted beside the baseline."""
    before = baseline.counts if baseline else {}
    return [Comparison(name, now, before.get(name)) for name, now in counts.items()]


def table(comparisons: list[Comparison], units: Mapping[str, str], against: str) -> str:
    """The comparison as lines of text.

    Args:
        comparisons: Its rows.
        units: What each path counts for.
        against: What they are compared with, as the head of a column.
    """
    widths = "  {:17} {:>13}   {:10} {:>18} {:>7}{}"
    lines = [widths.format("path", "instructions", "for each", against, "ratio", "")]
    for each in comparisons:
        before = "-" if each.before is None else f"{each.before:,}"
        ratio = "-" if each.ratio is None else f"{each.ratio:.3f}"
        mark = f"  <- beyond {100 * (LIMIT - 1):.0f} %" if each.regressed else ""
        now = f"{each.now:,}"
        lines.append(widths.format(each.name, now, units[each.name], before, ratio, mark))
    return "\n".join(lines)
