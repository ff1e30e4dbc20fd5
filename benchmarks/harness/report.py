"""What is said on the terminal."""

from statistics import median

from harness.contenders import BARE, CHANNELS, CORE, GRANIAN, GRANIAN_WSGI, PUBSUB, UVICORN
from harness.figures import Turns, ratio, reported, values
from harness.scenarios import Lane, Scenario, Turn
from harness.targets import FIGURE, PROCESSOR, SATURATED, Verdict, verdicts

WIDTH = 30  #: of the names of lanes
#: A load generator that is busier than this share of the time may be the bottleneck.
BOTTLENECK = 0.9
#: Whom others are compared with, and the column for it.
PEERS = (
    (CHANNELS, "x Channels"),
    (UVICORN, "x uvicorn"),
    (GRANIAN, "x Granian"),
    (GRANIAN_WSGI, "x its WSGI"),
    (BARE, "x bare C"),
    (PUBSUB, "x pub/sub"),
    (CORE, "x core"),
)
#: What else a report may hold that is worth a column: its name, and how many decimals.
OTHERS = {
    "p50_ms": ("p50 ms", 2),
    "p99_ms": ("p99 ms", 2),
    "quiet_p50_ms": ("quiet p50 ms", 2),
    "quiet_p99_ms": ("quiet p99 ms", 2),
    "loaded_p50_ms": ("loaded p50 ms", 2),
    "loaded_p99_ms": ("loaded p99 ms", 2),
    "gap_p99_ms": ("generator p99 ms", 3),
    "one_us": ("one µs", 2),
    "two_us": ("two µs", 2),
    "held": ("held", 0),
    "workers": ("workers", 0),
    "broadcast_seconds": ("broadcast s", 2),
    "memory_per_socket": ("bytes/socket", 0),
    "opening_seconds": ("opening s", 0),
    "server_us": ("server µs*", 2),
    "mean_ms": ("mean ms", 2),
    "clock_ms": ("by the clock", 1),
    "processor_ms": ("processor ms", 1),
    "django_ms": ("Django alone", 1),
    "redis": ("in Redis", 1),
    "called_by_scripts": ("in scripts", 1),
    "producer_us": ("producer µs", 1),
    "worker_us": ("worker µs", 1),
}

LIMITS = """\
Limits of the measure: server and load generator have one processor each and share caches, memory
and the kernel; other work on the machine disturbs both. The loopback has no latency, no loss and no
slow readers, and one message is in flight per socket, so a rate is that of both sides in turn. The
absolute figures mean little elsewhere: read the ratios, of alternating turns in this one run."""


def announce_turn(scenario: Scenario, lane: Lane, turn: Turn) -> str:
    """One line of progress."""
    line = f"{scenario.name:11} {lane.name:{WIDTH}} {_figure(turn.value):>11} {scenario.unit}"
    if "p99_ms" in turn.report:
        line += f"   p50 {turn.report['p50_ms']:.2f} ms, p99 {turn.report['p99_ms']:.2f} ms"
    return line


def table(scenario: Scenario, turns: Turns) -> str:
    """The scenario's table: ours above, the limit below."""
    direction = "lower" if scenario.lower_is_better else "higher"
    rows = [_row(turns, lane) for lane in turns]
    columns = list(rows[0])
    widths = [max(len(column), *(len(row[column]) for row in rows)) for column in columns]
    lines = [f"{scenario.title}", f"  {scenario.unit}, {direction} is better"]
    for name, cells in [
        ("", columns),
        *((lane.name, [*row.values()]) for lane, row in zip(turns, rows, strict=True)),
    ]:
        aligned = (f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        lines.append(f"  {name:{WIDTH}}{''.join(aligned)}")
    if all("server_busy" in turn.report for taken in turns.values() for turn in taken):
        lines += _remarks(turns)
    lines += map(_verdict_line, verdicts(scenario, turns))
    return "\n".join(lines)


def _row(turns: Turns, lane: Lane) -> dict[str, str]:
    """The cells of a lane by column."""
    taken = turns[lane]
    figures = values(taken)
    cells = {"median": _figure(median(figures))}
    cells |= {"min": _figure(min(figures)), "max": _figure(max(figures))}
    peers = [
        (name, column) for name, column in PEERS if any(name == each.contender for each in turns)
    ]
    for against, column in peers:
        cells[column] = _times(ratio(turns, lane, against))
    for key, (column, decimals) in OTHERS.items():
        if key in taken[0].report:
            cells[column] = f"{reported(taken, key):,.{decimals}f}"
    if "server_us" in taken[0].report:
        for against, column in peers:
            cells[f"{column}*"] = _times(ratio(turns, lane, against, processor=True))
    return cells


def _remarks(turns: Turns) -> list[str]:
    """What one should know about the figures above."""
    remarks = ["  * processor time of the server for each, and the ratios by that time"]
    slower = [taken for lane, taken in turns.items() if lane.contender != BARE]
    busiest = max((reported(taken, "generator_busy") for taken in slower), default=0.0)
    beware = "Beware: this may be the bottleneck. " if busiest > BOTTLENECK else ""
    remarks.append(
        f"  {beware}The load generator was busy for {busiest:.0%} at most, bare C apart."
    )
    idlest = min(reported(taken, "server_busy") for taken in turns.values())
    if idlest < SATURATED:
        remarks.append(
            f"  Beware: a server had its processor for {idlest:.0%} of the time only; if other work"
            " on this machine was the reason, read the ratios by processor time."
        )
    return remarks


def _verdict_line(verdict: Verdict) -> str:
    """Such as ``Target: Fairway >= 6 x Channels on uvicorn: 6.71 by rate (6.65 …), met``."""
    target = verdict.target
    sign, limit = (">=", target.at_least) if target.at_least is not None else ("<=", target.at_most)
    line = f"  Target: {target.lane}{', ' * bool(target.figure)}{target.figure} {sign} {limit:,g}"
    if target.against:
        line += f" x {target.against}"
    if verdict.measured is None:
        return f"{line}: not measured"
    line += f": {verdict.measured:,.0f}" if verdict.measured >= 100 else f": {verdict.measured:.3g}"
    if verdict.by != FIGURE:
        other, value = (
            ("rate", verdict.rate) if verdict.by == PROCESSOR else (PROCESSOR, verdict.processor)
        )
        line += f" by {verdict.by} ({_times(value)} by {other})"
    return f"{line}: {'met' if verdict.met else 'MISSED'}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
