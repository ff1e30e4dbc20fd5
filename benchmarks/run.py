"""Compares Fairway with its peers and with a bare loop in C; ``--help`` tells how."""

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from harness import report, results
from harness.build import BuildError, compile_program
from harness.contenders import CONTENDERS
from harness.generator import Generator
from harness.processes import Processors
from harness.race import Field, Heat, Progress, heats
from harness.scenarios import ALL, SUITES, Effort, Scenario

#: The word for every suite, in one go; how often each row has its turn then, so that one can wait.
EVERYTHING, TURNS = "all", 3
#: What is measured if nothing is asked for: without the peers that no target names.
DEFAULT = "consumers"
OK, FAILED, INCOMPLETE, INTERRUPTED = 0, 1, 3, 130
EPILOG = f"""\
Without a word: {DEFAULT}, beside only those peers that a target names.
The first run makes the environments and compiles the load generator.
The exit status is {OK} if every row has its figure, {INCOMPLETE} if a peer cannot run here and was
left out, {FAILED} if Fairway did not do the work; whether targets are met does not matter to it.
"""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Scenarios whose results are stored in one file.

    Attributes:
        name: Of the file.
        heats: What is measured.
    """

    name: str
    heats: Sequence[Heat]


def main() -> int:
    """Measures what was asked for, and returns the exit status."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _terminated)
    contenders = Field(arguments.only, refresh=arguments.refresh)
    try:
        processors = Processors.choose()
        generator = Generator(
            compile_program("load"), processors.generator, sleeps=processors.shared
        )
        return _measure(contenders, generator, processors, arguments)
    except BuildError as error:
        print(f"\n{error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("\nInterrupted; what is under way is not stored, and every process has ended.")
        return INTERRUPTED


def _measure(
    contenders: Field,
    generator: Generator,
    processors: Processors,
    arguments: argparse.Namespace,
) -> int:
    """Takes all turns, stores each batch as soon as it is done, and returns the exit status."""
    print(report.LIMITS)
    if processors.shared:
        print("Only one processor is usable: server and load generator take turns on it.")
    print(f"Server on processor {processors.server}, load generator on {processors.generator}.\n")
    batches = _batches(contenders, arguments)
    run = [heat for batch in batches for heat in batch.heats]
    progress = Progress(sum(heat.total for heat in run))
    for batch in batches:
        for heat in batch.heats:
            heat.run(contenders, generator, processors, progress)
            if heat.turns:
                print(f"\n{report.table(heat.scenario, heat.turns)}\n", flush=True)
        path = arguments.output or results.results_path(batch.name, quick=arguments.quick)
        document = results.document(batch.heats, contenders.made, processors, quick=arguments.quick)
        results.store(path, document)
        print(f"Stored in {path}\n")
    for heat in run:
        for lane, why in heat.left_out.items():
            print(f"{heat.scenario.name}: {lane} was left out: {why}", file=sys.stderr)
    if any(heat.lost for heat in run):
        return FAILED
    return INCOMPLETE if any(heat.left_out for heat in run) else OK


def _batches(contenders: Field, arguments: argparse.Namespace) -> list[Batch]:
    """One for each suite if it is everything; what was asked for otherwise."""
    words = arguments.scenarios
    suites: dict[str, Sequence[Scenario]]
    suites = {word: suite for word, suite in SUITES.items() if words in ([word], [EVERYTHING])}
    if not words:
        suites = {"leading": SUITES[DEFAULT]}
    elif not suites:
        named = {scenario.name for word in words for scenario in SUITES.get(word, ())}
        suites = {"mixed": [each for each in ALL if each.name in named.union(words)]}
    if {*arguments.only} != {*CONTENDERS}:
        suites = {"mixed": [each for suite in suites.values() for each in suite]}

    def effort(scenario: Scenario) -> Effort:
        chosen = scenario.quick if arguments.quick else scenario.full
        return replace(chosen, turns=min(chosen.turns, arguments.turns))

    return [
        Batch(name=name, heats=heats(suite, contenders, effort, leading=not words))
        for name, suite in suites.items()
    ]


def _arguments() -> argparse.Namespace:
    # A suite may be called like its only scenario.
    names = [*dict.fromkeys((*(scenario.name for scenario in ALL), *SUITES, EVERYTHING))]
    parser = argparse.ArgumentParser(
        description="Compares Fairway with its peers and with a bare loop in C.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "scenarios",
        nargs="*",
        metavar="scenario",
        help=f"of {', '.join(names)}; {', '.join(SUITES)} each stand for several, {EVERYTHING} for"
        f" every one of them, with {TURNS} turns and a file for each suite",
    )
    add("--quick", action="store_true", help="a rough answer in under a minute, not kept")
    add("--turns", type=_turns, metavar="N", help="at most so many turns for each row")
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
    everything = arguments.scenarios == [EVERYTHING]
    if EVERYTHING in arguments.scenarios and not everything:
        parser.error(f"{EVERYTHING} stands alone")
    if everything and arguments.output:
        parser.error(f"{EVERYTHING} stores a file for each suite: leave out --output")
    if arguments.turns is None:
        arguments.turns = TURNS if everything else max(each.full.turns for each in ALL)
    return arguments


def _turns(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError("at least 1")
    return int(text)


def _words(text: str) -> list[str]:
    return text.split(",")


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    # As an exception, so that every `finally` between here and the servers is run.
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
