"""Makes contenders: each function sees to all that one needs, and gives its command line."""

from collections.abc import Callable
from dataclasses import replace

from harness.build import (
    Environment,
    compile_program,
    fairway_environment,
    node_environment,
)
from harness.contenders.model import DJANGO, Contender
from harness.contenders.names import BARE, FAIRWAY


def fairway(*, refresh: bool) -> Contender:
    """This checkout with its defaults, but for the access log, which the peers do without too."""
    environment = fairway_environment(refresh=refresh)
    words = f"{environment.python} -m fairway {{application}} --port {{port}} -v 0"
    return Contender(
        name=FAIRWAY,
        words=words.split(),
        environment={**DJANGO, "BENCH_STACK": "fairway"},
        versions=environment.versions,
        python=environment.python,
    )


def peer(
    name: str,
    words: str,
    make_environment: Callable[..., Environment],
    stack: str = "django",
    *,
    refresh: bool,
) -> Contender:
    """A program in Python of an environment.

    Args:
        name: The contender's.
        words: The command line without the interpreter.
        make_environment: A function of :mod:`harness.build`.
        stack: What ``project/stack.py`` takes the consumers from.
        refresh: Whether the newest releases are installed first.
    """
    environment = make_environment(refresh=refresh)
    return Contender(
        name=name,
        words=[str(environment.python), *words.split()],
        environment={**DJANGO, "BENCH_STACK": stack},
        versions=environment.versions,
        python=environment.python,
    )


def on_node(name: str, program: str, *, refresh: bool) -> Contender:
    """A program of ``peers/`` that Node runs."""
    environment = node_environment(refresh=refresh)
    return Contender(
        name=name,
        words=("node", f"peers/{program}", "{port}"),
        environment={"NODE_PATH": str(environment.modules)},
        versions=environment.versions,
    )


def bare(*, refresh: bool) -> Contender:
    """The loop in C that does little but the system calls."""
    return Contender(name=BARE, words=(str(compile_program("bare")), "--port", "{port}"))


def with_layer(
    make: Callable[..., Contender], name: str, layer: str, *, refresh: bool
) -> Contender:
    """One of the servers above with another channel layer."""
    contender = make(refresh=refresh)
    environment = {**contender.environment, "BENCH_LAYER": layer}
    return replace(contender, name=name, environment=environment, layer=layer)
