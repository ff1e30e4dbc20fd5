"""What of the stored results is shown: on a page of the docs, and in the README.

Nothing here is typed from a table: the newest stored result of each scenario is judged by the
targets of today, with the rules of :mod:`harness.targets`.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from harness.build import BENCHMARKS
from harness.contenders import (
    BARE,
    CHANNELS,
    FAIRWAY,
    GRANIAN_WSGI,
    HYPERCORN,
    UVICORN,
)
from harness.figures import Turns, values, work_per_processor_second
from harness.pictures import Bar, bars
from harness.scenarios import ALL, Scenario, Target, Turn
from harness.targets import PROCESSOR, Verdict, verdicts

__all__ = [
    "Result",
    "claims",
    "goal",
    "load",
    "missed",
    "plots",
    "remarks",
    "runs",
    "table",
    "unexplained",
]

RESULTS = BENCHMARKS / "results"
REMARKS = BENCHMARKS / "remarks.toml"


@dataclass(frozen=True, kw_only=True)
class Result:
    """The newest stored result of a scenario.

    Attributes:
        scenario: What was measured; with the title of that time.
        turns: Each turn of each row.
        run: All else that is stored of the run: date, commit, machine, method, contenders.
    """

    scenario: Scenario
    turns: Turns
    run: Mapping[str, Any]

    @property
    def verdicts(self) -> list[Verdict]:
        """Whether it reaches the targets of today."""
        return verdicts(self.scenario, self.turns)

    def judge(self, target: Target) -> Verdict:
        """What was measured of something that need not be a target."""
        (verdict,) = verdicts(replace(self.scenario, targets=(target,)), self.turns)
        return verdict


def load(folder: Path = RESULTS) -> list[Result]:
    """The newest result of each scenario that there is, in the order of the scenarios."""
    runs = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    runs.sort(key=lambda run: str(run.get("date", "")))
    newest = {
        name: (stored, run)
        for run in runs
        if not run.get("quick")
        for name, stored in run.get("scenarios", {}).items()
    }
    return [
        _result(scenario, *newest[scenario.name]) for scenario in ALL if scenario.name in newest
    ]


def _result(scenario: Scenario, stored: Mapping[str, Any], run: Mapping[str, Any]) -> Result:
    turns: Turns = {}
    for lane in scenario.lanes:
        if lane.name in stored["lanes"]:
            turns[lane] = [
                Turn(value=turn["value"], report={key: turn[key] for key in turn if key != "value"})
                for turn in stored["lanes"][lane.name]["turns"]
            ]
    titled = replace(scenario, title=stored["title"], unit=stored["unit"])
    return Result(scenario=titled, turns=turns, run=run)


# ---------------------------------------------------------------------- targets


def table(results: Sequence[Result]) -> str:
    """Every target beside what was measured, as Markdown; a title stands with the first of several.

    What was judged by processor time has an asterisk.
    """
    by_name = {result.scenario.name: result for result in results}
    lines = ["| Work | Target | Measured |", "|---|---|---|"]
    above = ""
    for scenario in ALL:
        result = by_name.get(scenario.name)
        judged = result.verdicts if result else [Verdict(target=each) for each in scenario.targets]
        for verdict in judged:
            title = (result.scenario if result else scenario).title
            if verdict.target.lane != FAIRWAY:
                title += f": {verdict.target.lane.removeprefix(f'{FAIRWAY}, ')}"
            words = title if title != above else ""
            above = title
            measured = _measured(verdict)
            if verdict.met is not None:
                measured += ", reached" if verdict.met else ", **missed**"
                measured += r" \*" * (verdict.by == PROCESSOR)
            lines.append(f"| {words} | {goal(verdict.target, scenario)} | {measured} |")
    return "\n".join(lines)


def goal(target: Target, scenario: Scenario) -> str:
    """A target in words, such as ``"≥ 6 × Channels on uvicorn"``."""
    sign, limit = ("≥", target.at_least) if target.at_least is not None else ("≤", target.at_most)
    if target.against:
        return f"{sign} {limit:,g} × {target.against}"
    unit = target.figure.replace("_", " ") or scenario.unit
    return f"{sign} {limit:,g} {unit.replace('x ', '× ', 1) if unit.startswith('x ') else unit}"


def _measured(verdict: Verdict) -> str:
    if verdict.measured is None:
        return "not yet"
    value = f"{verdict.measured:,.0f}" if verdict.measured >= 100 else f"{verdict.measured:.3g}"
    return f"{value} ×" if verdict.target.against else value


def missed(results: Iterable[Result]) -> list[tuple[Result, Verdict]]:
    """The targets that were measured and not reached."""
    return [
        (result, verdict)
        for result in results
        for verdict in result.verdicts
        if verdict.met is False
    ]


def remarks(results: Sequence[Result], path: Path = REMARKS) -> str:
    """What was tried, for each target that is missed, as Markdown."""
    written = {_key(each): each["text"].strip() for each in _remarks(path)}
    parts = []
    for result, verdict in missed(results):
        key = _place(result.scenario, verdict.target)
        heading = f"**{result.scenario.title}: {_measured(verdict)}, where it should be "
        heading += f"{goal(verdict.target, result.scenario)}.**"
        parts.append(f"{heading}\n\n{written.get(key, 'Nothing is known about it yet.')}")
    return "\n\n".join(parts) or "Every target that was measured is reached."


def unexplained(results: Sequence[Result], path: Path = REMARKS) -> list[str]:
    """What to add to the remarks, or to take out of them: one line of text for each."""
    written = {_key(each) for each in _remarks(path)}
    wanted = {_place(result.scenario, verdict.target) for result, verdict in missed(results)}
    known = {_place(scenario, target) for scenario in ALL for target in scenario.targets}
    return [
        *(f"missed, and not explained: {place}" for place in sorted(wanted - written)),
        *(f"no such target: {place}" for place in sorted(written - known)),
    ]


def _remarks(path: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = tomllib.loads(path.read_text()).get("remark", [])
    return found


def _key(remark: Mapping[str, str]) -> str:
    target = Target(lane=remark.get("lane", FAIRWAY), against=remark.get("against", ""), at_least=0)
    return _names(remark["scenario"], target)


def _place(scenario: Scenario, target: Target) -> str:
    return _names(scenario.name, target)


def _names(scenario: str, target: Target) -> str:
    figure = f', figure = "{target.figure}"' if target.figure else ""
    return f'scenario = "{scenario}", lane = "{target.lane}", against = "{target.against}"{figure}'


# ---------------------------------------------------------------------- pictures


def plots(results: Iterable[Result]) -> list[tuple[str, str]]:
    """A title and an SVG with a bar for each row, for each scenario that has a peer."""
    return [(each.scenario.title, _plot(each)) for each in results if len(each.turns) > 1]


def _plot(result: Result) -> str:
    scenario, turns = result.scenario, result.turns
    judged = result.verdicts
    by_processor = any(verdict.by == PROCESSOR for verdict in judged)
    figures = work_per_processor_second if by_processor else values
    unit = scenario.unit
    if by_processor:
        unit = f"{unit.removesuffix('/s')} per second of the server's processor time"
    drawn = []
    for lane, taken in turns.items():
        each = figures(taken)
        middle = median(each)
        marks = {
            goal(verdict.target, scenario): middle * _limit(verdict.target) / verdict.measured
            for verdict in judged
            if verdict.target.lane == lane.name and not verdict.target.figure and verdict.measured
        }
        drawn.append(
            Bar(
                name=lane.name,
                value=middle,
                least=min(each),
                most=max(each),
                ours=lane.contender.startswith(FAIRWAY),
                marks=marks,
            )
        )
    direction = "less is better" if scenario.lower_is_better else "more is better"
    return bars(f"{scenario.title}: {unit}", f"{unit}, {direction}", drawn)


def _limit(target: Target) -> float:
    limit = target.at_least if target.at_least is not None else target.at_most
    assert limit is not None
    return limit


# ---------------------------------------------------------------------- runs


def runs(results: Iterable[Result]) -> str:
    """Where the figures come from: a list of the runs, as Markdown."""
    seen: dict[str, list[Result]] = {}
    for result in results:
        seen.setdefault(result.run["date"], []).append(result)
    return "\n\n".join(_run(found) for _, found in sorted(seen.items()))


def _run(results: Sequence[Result]) -> str:
    run = results[0].run
    machine, method = run["machine"], run["method"]
    names = ", ".join(f"`{result.scenario.name}`" for result in results)
    facts = {
        "Scenarios": names,
        "Commit": f"`{run['commit']}`",
        "Machine": f"{machine['processor']}, {machine['processors']} processors, "
        f"{machine['system']}, Python {machine['python']}, gcc {machine['compiler'].split()[0]}",
        "Turns": f"{method['turns']}; {method['figure']}",
        "Memory": method["memory"],
    }
    lines = [f"**{run['date'].replace('T', ', ').removesuffix('Z')} UTC**", ""]
    lines += [f"- {name}: {fact}" for name, fact in facts.items()]
    lines.append("- Versions:")
    for name, contender in run["contenders"].items():
        versions = ", ".join(f"{each} {said}" for each, said in contender["versions"].items())
        lines.append(f"  - {name} (`{contender['command']}`){': ' * bool(versions)}{versions}")
    return "\n".join(lines)


# ---------------------------------------------------------------------- the README

ENCODED_ONCE = f"{FAIRWAY}, websocket.send"

#: What the README says: the work in its words, the scenario, our row, and whom it is beside.
CLAIMS = (
    ("a group message to 1,000 sockets, a handler in each consumer", "group", FAIRWAY, CHANNELS),
    ("the same, sent as `websocket.send`", "group", ENCODED_ONCE, CHANNELS),
    ("the same", "group", ENCODED_ONCE, BARE),
    ("an echo through an async consumer, 50 sockets", "echo", FAIRWAY, CHANNELS),
    ("the same", "echo", FAIRWAY, BARE),
    ("an echo through a sync consumer, 20 sockets", "sync-echo", FAIRWAY, CHANNELS),
    ("sockets opened, 64 at a time", "open", FAIRWAY, CHANNELS),
    ("requests to a sync view", "view", FAIRWAY, UVICORN),
    ("the same", "view", FAIRWAY, GRANIAN_WSGI),
    ("requests to an async view", "async-view", FAIRWAY, UVICORN),
    ("requests to a bare ASGI application", "hello", FAIRWAY, UVICORN),
    ("the same over HTTP/2", "http2", FAIRWAY, HYPERCORN),
    ("memory of an idle socket in a group", "idle", FAIRWAY, CHANNELS),
)
WORDS = {BARE: "a bare loop in C"}
MORE = """\
Measured on {dates}. [The page of benchmarks](docs/benchmarks.md) has all of it: the limits of the
measure, the method, every target, those that are missed, and why."""


def claims(results: Sequence[Result]) -> str:
    """The README's table: those of :data:`CLAIMS` that were measured, as Markdown."""
    by_name = {result.scenario.name: result for result in results}
    told = partial(_claim, by_name)
    rows = [row for claim in CLAIMS if (row := told(*claim))]
    dates = sorted({by_name[name].run["date"][:10] for _, name, *_ in CLAIMS if name in by_name})
    return "\n".join(
        [
            "| Work, one core for the server | beside | Fairway does |",
            "|---|---|---:|",
            *rows,
            "",
            MORE.format(dates=" and ".join(dates)),
        ]
    )


def _claim(
    by_name: Mapping[str, Result], words: str, name: str, lane: str, against: str
) -> str | None:
    if name not in by_name:
        return None
    verdict = by_name[name].judge(Target(lane=lane, against=against, at_least=0))
    if verdict.measured is None:
        return None
    much = "as much" if by_name[name].scenario.lower_is_better else "as many"
    return f"| {words} | {WORDS.get(against, against)} | {verdict.measured:.2g} × {much} |"
