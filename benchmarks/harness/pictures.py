"""Lines over time, and bars, as SVG without a library for it."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

__all__ = ["Bar", "Panel", "bars", "draw"]

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


class Bar(NamedTuple):
    """One bar.

    Attributes:
        name: Beside it, like the value.
        value: Its length.
        least: The least that was measured, and the next one the most.
        most: As it says.
        ours: Whether it is to be found at once.
        marks: Where else on its scale a line is drawn, by the words for it.
    """

    name: str
    value: float
    least: float
    most: float
    ours: bool
    marks: Mapping[str, float]


BAND: Final = 40  #: height of a bar with the line of text above it
LINE: Final = 16  #: of a line of text


def bars(title: str, axis: str, drawn: Sequence[Bar]) -> str:
    """Horizontal bars, one below the other, on one linear scale from nought.

    The picture is as wide as the place where it stands and its text no smaller on a phone: all
    lengths are percentages. Its colours are those of the page, by the style sheet of the docs.

    Args:
        title: For those who cannot see it.
        axis: What the values are.
        drawn: The bars from top to bottom.
    """
    most = max(max([bar.value, *bar.marks.values()]) for bar in drawn) or 1.0
    top = LINE + 8
    parts = [f'<text class="axis" x="0" y="{LINE - 3}">{escape(axis)}</text>']
    for bar in drawn:
        parts += _bar(bar, most, top)
        top += BAND + LINE * len(bar.marks)
    opening = '<svg xmlns="http://www.w3.org/2000/svg" class="bars" role="img" width="100%"'
    # No empty line, and no indentation: it may stand within Markdown.
    return "\n".join(
        [f'{opening} height="{top}">', f"<title>{escape(title)}</title>", *parts, "</svg>"]
    )


def _bar(bar: Bar, most: float, top: int) -> list[str]:
    kind = "ours" if bar.ours else "theirs"
    spread = f"{_short(bar.least)} to {_short(bar.most)}"
    parts = [
        f'<g class="{kind}">',
        f"<title>{escape(bar.name)}: {_short(bar.value)} ({spread})</title>",
        f'<text x="0" y="{top + 12}">{escape(bar.name)}</text>',
        f'<text x="100%" y="{top + 12}" text-anchor="end">{_short(bar.value)}</text>',
        f'<rect x="0" y="{top + 18}" width="{_percent(bar.value, most)}" height="12" rx="2"/>',
    ]
    # The shortest line's words stand lowest, so that no line crosses words.
    for number, (words, value) in enumerate(sorted(bar.marks.items(), key=lambda item: -item[1])):
        x, bottom = _percent(value, most), top + 34 + LINE * (number + 1)
        dx, anchor = (-5, "end") if value > most / 2 else (5, "start")
        place = f'x="{x}" dx="{dx}" y="{bottom - 3}" text-anchor="{anchor}"'
        parts.append(f'<line x1="{x}" x2="{x}" y1="{top + 15}" y2="{bottom}"/>')
        parts.append(f'<text class="mark" {place}>{escape(words)}</text>')
    return [*parts, "</g>"]


def _percent(value: float, most: float) -> str:
    return f"{100 * max(value, 0.0) / most:.2f}%"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
