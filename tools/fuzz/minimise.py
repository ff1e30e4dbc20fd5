"""Pick the few inputs of a long run that reach everything that all of them reach.

    python tools/fuzz/minimise.py build/fuzz/corpus tools/fuzz/corpus

Each input is traced line by line, as pairs of lines that follow each other; the shortest input with
something new is taken first. Prints for each target what it reaches of its modules.
"""

import argparse
import dis
import hashlib
import inspect
import sys
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

from fuzzing.target import Target
from fuzzing.targets import TARGETS

#: A step from one line of a file to another.
Step = tuple[str, int, int]

#: Longer inputs are not kept: what they reach is said in the tests in one line.
LONGEST = 600


def steps(target: Target, files: frozenset[str], data: bytes) -> set[Step]:
    """What an input reaches of the target's modules."""
    found: set[Step] = set()
    last: dict[int, int] = {}

    def local(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            before = last.get(id(frame), 0)
            last[id(frame)] = frame.f_lineno
            found.add((frame.f_code.co_filename, before, frame.f_lineno))
        return local

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        last.pop(id(frame), None)
        return local

    sys.settrace(trace)
    try:
        target.check(data)
    finally:
        sys.settrace(None)
    return found


def modules(target: Target) -> list[ModuleType]:
    """The modules that are watched."""
    return [module for name, module in sorted(sys.modules.items()) if name in target.modules]


def lines(code: CodeType) -> set[int]:
    """The lines of all functions in a module; its own are run by the import."""
    found: set[int] = set()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_flags & inspect.CO_OPTIMIZED:  # not the body of a class
                found |= {line for _, line in dis.findlinestarts(constant) if line}
                found.discard(constant.co_firstlineno)
            found |= lines(constant)
    return found


def minimise(target: Target, inputs: list[bytes]) -> tuple[list[bytes], set[Step]]:
    """The inputs to keep, and what they reach together with the target's seeds."""
    files = frozenset(str(module.__file__) for module in modules(target))
    reached: set[Step] = set()
    for seed in target.seeds:
        reached |= steps(target, files, seed)
    kept = []
    for data in sorted(inputs, key=lambda data: (len(data), data)):
        if len(data) <= LONGEST:
            new = steps(target, files, data) - reached
            if new:
                kept.append(data)
                reached |= new
    return kept, reached


def main() -> None:
    """Minimise the corpus of each target that there is one of."""
    parser = argparse.ArgumentParser(description="Pick the inputs that are worth keeping.")
    parser.add_argument("source", type=Path)
    parser.add_argument("destination", type=Path)
    options = parser.parse_args()
    for name, target in TARGETS.items():
        source, destination = options.source / name, options.destination / name
        if not source.is_dir():
            continue
        inputs = [path.read_bytes() for path in sorted(source.iterdir())]
        kept, reached = minimise(target, inputs)
        destination.mkdir(parents=True, exist_ok=True)
        for path in destination.iterdir():
            path.unlink()
        for data in kept:
            (destination / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
        all_lines = {
            (str(module.__file__), line)
            for module in modules(target)
            for line in lines(compile(Path(str(module.__file__)).read_text(), "", "exec"))
        }
        seen = {(file, line) for file, _, line in reached} & all_lines
        print(
            f"{name}: {len(kept)} of {len(inputs)} inputs, {sum(map(len, kept))} bytes; "
            f"{len(seen)} of {len(all_lines)} lines"
        )


if __name__ == "__main__":
    main()
