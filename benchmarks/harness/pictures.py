"""Lines over time as an SVG, without a library for it."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

__all__ = ["Panel", "draw"]

WIDTH: Final = 760
HEIGHT: Final = 130  #: of a panel
LEFT: Final = 70
TOP: Final = 28
COLOURS: Final = ("#0b6e99", "#d9730d", "#448361", "#9065b0")


class Panel(NamedTuple):
    """One drawing: a title with the unit, and lines by their names."""

    title: str
    lines: dict[str, Sequence[float]]


def draw(title: str, seconds: Sequence[float], panels: Sequence[Panel]) -> str:
    """The picture, its panels one below the other over the same time.

    Args:
        title: Of all of it.
        seconds: When each value of each line was measured.
        panels: What was.
    """
    height = TOP + len(panels) * (HEIGHT + 46) + 20
    box = f"0 0 {WIDTH} {height}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" role="img">',
        "<style>text { font: 12px sans-serif }</style>",
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, seconds, TOP + number * (HEIGHT + 46))
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, seconds: Sequence[float], top: int) -> list[str]:
    end = max(seconds[-1], 1.0)
    most = max(max(line, default=0.0) for line in panel.lines.values()) * 1.1 or 1.0
    bottom = top + HEIGHT
    parts = [f'<text x="{LEFT}" y="{top - 8}" font-weight="bold">{escape(panel.title)}</text>']
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * HEIGHT
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - 10}" stroke="#dddddd"/>')
        label = f"{most * share:,.0f}"
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = LEFT + share * (WIDTH - 10 - LEFT)
        label = f"{end * share:.0f} s"
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{label}</text>')
    for number, (name, line) in enumerate(panel.lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(
            f"{LEFT + at / end * (WIDTH - 10 - LEFT):.1f},{bottom - value / most * HEIGHT:.1f}"
            for at, value in zip(seconds, line, strict=True)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
        x = WIDTH - 10 - 130 * (len(panel.lines) - number - 1)
        parts.append(
            f'<text x="{x}" y="{top - 8}" text-anchor="end" fill="{colour}">{escape(name)}</text>'
        )
    return parts
