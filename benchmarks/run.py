"""Compares Fairway with its peers and with a bare loop in C; ``--help`` tells how."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from harness import report, results
from harness.build import BuildError, compile_program
from harness.contenders import CONTENDERS, Contender
from harness.figures import Turns
from harness.generator import Generator, LoadError
from harness.processes import Processors, ServerError
from harness.scenarios import ALL, SUITES, Lane, Scenario, Work

HELP = "consumers (the default), servers and layers each stand for several"


def main() -> int:
    """Measures what was asked for; the exit status is 1 if something was wrong with it."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _terminated)
    chosen = [scenario for scenario in ALL if scenario.name in arguments.scenarios]
    try:
        field = _field(chosen, arguments)
        processors = Processors.choose()
        generator = Generator(
            compile_program("load"), processors.generator, sleeps=processors.shared
        )
        _compare(chosen, field, generator, processors, arguments)
    except (BuildError, ServerError, LoadError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; nothing is stored, and every process that was started has ended.")
        return 130
    return 0


def _compare(
    chosen: Sequence[Scenario],
    field: Sequence[Contender],
    generator: Generator,
    processors: Processors,
    arguments: argparse.Namespace,
) -> None:
    print(report.LIMITS)
    if processors.shared:
        print("Only one processor is usable: server and load generator take turns on it.")
    print(f"Server on processor {processors.server}, load generator on {processors.generator}.\n")
    efforts = {each.name: each.quick if arguments.quick else each.full for each in chosen}
    by_name = {contender.name: contender for contender in field}
    lanes = {
        each.name: [lane for lane in each.lanes if lane.contender in by_name] for each in chosen
    }
    progress = Progress(sum(efforts[each.name].turns * len(lanes[each.name]) for each in chosen))
    measured = {}
    for scenario in chosen:
        effort = efforts[scenario.name]
        turns: Turns = {lane: [] for lane in lanes[scenario.name]}
        for lane in _order(lanes[scenario.name], effort.turns):
            contender = by_name[lane.contender]
            turn = Work(
                scenario=scenario,
                lane=lane,
                effort=effort,
                contender=contender,
                generator=generator,
                processors=processors,
            ).take_turn()
            turns[lane].append(turn)
            progress.say(report.announce_turn(scenario, lane, turn))
        measured[scenario.name] = scenario, effort, turns
        print(f"\n{report.table(scenario, turns)}\n", flush=True)
    suite = next(
        (word for word, suite in SUITES.items() if all(each in suite for each in chosen)), "mixed"
    )
    path = arguments.output or results.results_path(suite, quick=arguments.quick)
    results.store(path, results.document(measured, field, processors, quick=arguments.quick))
    print(f"Stored in {path}")


def _field(chosen: Sequence[Scenario], arguments: argparse.Namespace) -> list[Contender]:
    """Those of the contenders asked for that the scenarios know."""
    wanted = {lane.contender for scenario in chosen for lane in scenario.lanes}
    refresh = arguments.refresh
    field = []
    for word in arguments.only:
        name, make = CONTENDERS[word]
        if name in wanted:
            field.append(make(refresh=refresh))
            refresh = False  # two contenders may share an environment
    return field


def _order(lanes: Sequence[Lane], turns: int) -> Iterator[Lane]:
    """All lanes in turn, again and again; every second round in reverse: drift favours none."""
    for number in range(turns):
        yield from lanes if number % 2 == 0 else reversed(lanes)


class Progress:
    """Numbers the lines, so that one sees how far it is."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._started = time.monotonic()

    def say(self, line: str) -> None:
        """Prints a line behind its number and the seconds so far."""
        self._done += 1
        elapsed = time.monotonic() - self._started
        print(f"[{self._done:2}/{self._total}] {elapsed:4.0f} s  {line}", flush=True)


def _arguments() -> argparse.Namespace:
    names = [*(scenario.name for scenario in ALL), *SUITES]
    parser = argparse.ArgumentParser(
        description="Compares Fairway with Channels on uvicorn and with a bare loop in C.",
        epilog="The first run makes two environments and compiles the load generator.",
    )
    # No `choices`: argparse would hold the default, a list, against them.
    add = parser.add_argument
    add("scenarios", nargs="*", metavar="scenario", help=f"of {', '.join(names)}; {HELP}")
    add("--quick", action="store_true", help="a rough answer in under a minute, not kept")
    add(
        "--only",
        default=[*CONTENDERS],
        type=_words,
        metavar="WORDS",
        help=f"of {','.join(CONTENDERS)}",
    )
    add("--refresh", action="store_true", help="install the newest releases of everything first")
    add("--output", type=Path, metavar="FILE", help="store the results there instead")
    arguments = parser.parse_args()
    for given, known in (arguments.scenarios, names), (arguments.only, [*CONTENDERS]):
        unknown = ", ".join(word for word in given if word not in known)
        if unknown:
            parser.error(f"unknown: {unknown}; choose from {', '.join(known)}")
    for word in [*arguments.scenarios] or ["consumers"]:
        arguments.scenarios += [scenario.name for scenario in SUITES.get(word, ())]
    return arguments


def _words(text: str) -> list[str]:
    return text.split(",")


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    # As an exception, so that every `finally` between here and the servers is run.
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
