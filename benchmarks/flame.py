"""Shows where a server's time goes in one scenario: a table here, and a flame graph.

Samples the server with py-spy, from the load generator's processor, while the load runs. It must be
allowed to look into another process: root, or ``kernel.yama.ptrace_scope`` 0.
"""

import argparse
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from harness.build import BUILD, BuildError, compile_program, tools_environment
from harness.contenders import CONTENDERS
from harness.generator import Generator, LoadError
from harness.processes import Processors, Server, ServerError, pinned, serving
from harness.scenarios import SUITES

RATE = 500  #: samples per second
ROWS = 25  #: of the table

#: What a scenario's sockets do for as long as one looks; an idle server has no profile.
PROFILED = {scenario.name: scenario for scenario in SUITES["consumers"] if scenario.mode != "idle"}


def main() -> int:
    """Profiles what was asked for; the exit status is 1 if something was wrong with it."""
    arguments = _arguments()
    try:
        _profile(arguments)
    except (BuildError, ServerError, LoadError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _profile(arguments: argparse.Namespace) -> None:
    scenario = PROFILED[arguments.scenario]
    contender = CONTENDERS[arguments.contender][1](refresh=False)
    lane = next(lane for lane in scenario.lanes if lane.contender == contender.name)
    processors = Processors.choose()
    # Asleep it lets py-spy have their processor, for which the server is stopped.
    generator = Generator(compile_program("load"), processors.generator, sleeps=True)
    spy = tools_environment().python.parent / "py-spy"
    options = {
        "--path": arguments.path or lane.path,
        "--sockets": str(scenario.full.sockets),
        "--size": str(scenario.size),
        # Both recordings, and the time that py-spy takes to begin each.
        "--seconds": str(2 * arguments.seconds + 4),
    }
    with (
        serving(contender.command, contender.environment, processors.server) as server,
        generator.hold(scenario.mode, [server], options) as report,
    ):
        stacks, graph = (
            _record(spy, server, kind, BUILD / f"flame-{scenario.name}.{suffix}", arguments)
            for kind, suffix in (("raw", "txt"), ("flamegraph", "svg"))
        )
    _print_table(stacks)
    print(
        f"\n{report['per_second']:,.0f} {scenario.unit} while being watched; flame graph: {graph}"
    )


def _record(
    spy: Path, server: Server, kind: str, path: Path, arguments: argparse.Namespace
) -> Path:
    command = [
        str(spy),
        "record",
        "--pid",
        str(server.pid),
        "--format",
        kind,
        "--output",
        str(path),
    ]
    command += ["--rate", str(RATE), "--duration", str(arguments.seconds)]
    if arguments.native:
        command.append("--native")
    processor = Processors.choose().generator
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=pinned(processor),
    )
    return path


def _print_table(stacks: Path) -> None:
    """Prints the functions with most time of their own.

    Args:
        stacks: One ``outermost;…;innermost samples`` per line, as py-spy writes them.
    """
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for line in stacks.read_text().splitlines():
        stack, _, samples = line.rpartition(" ")
        stack = stack or "(outside of Python)"
        # Without the line numbers, so that a function is one row.
        frames = re.sub(r":\d+\)", ")", stack).split(";")
        own[frames[-1]] += int(samples)
        for frame in set(frames):
            total[frame] += int(samples)
    everything = own.total() or 1
    print(f"{'own':>7} {'total':>7}  function")
    for frame, count in own.most_common(ROWS):
        print(f"{count / everything:7.1%} {total[frame] / everything:7.1%}  {frame}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add = parser.add_argument
    add("scenario", choices=[*PROFILED])
    add("--contender", choices=["fairway", "channels"], default="fairway")
    add("--path", help="of the project, such as /broadcast/; default: that of the scenario")
    add("--seconds", type=int, default=5, help="of each of the two recordings (default: 5)")
    add("--native", action="store_true", help="see into C extensions; slows the server down")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
