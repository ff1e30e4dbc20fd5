"""Who is compared: one command line each, all serving the same project."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from harness.build import compile_program, fairway_environment, peer_environment

#: The bare loop is no peer but the limit; its name is needed where ratios are taken.
BARE = "bare C"
FAIRWAY = "Fairway"
CHANNELS = "Channels on uvicorn"
#: The same two with the channel layers that connect processes.
REDIS, LOCAL = "Fairway, Redis", "Fairway, local"
PUBSUB, CORE = "channels_redis pub/sub", "channels_redis core"

APPLICATION = "project.asgi:application"
DJANGO = {"DJANGO_SETTINGS_MODULE": "project.settings"}


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A server with the stack behind it.

    Attributes:
        name: As it stands in the table and in the results.
        words: The command line; ``{port}`` stands for the port.
        environment: Variables for the server.
        versions: What is installed beside it, by distribution name.
        python: Its interpreter; None where there is none.
        layer: Its channel layer, by the word that ``project/settings.py`` knows.
    """

    name: str
    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    python: Path | None = None
    layer: str = "memory"

    @property
    def needs_redis(self) -> bool:
        """Whether its layer talks to a Redis server."""
        return self.layer in {"redis", "pubsub", "core"}

    def command(self, port: int) -> list[str]:
        """The command line for a port."""
        return [word.format(port=port) for word in self.words]


def fairway(*, refresh: bool) -> Contender:
    """This checkout with its defaults, but for the access log, which the peer does without too."""
    environment = fairway_environment(refresh=refresh)
    return Contender(
        name=FAIRWAY,
        words=f"{environment.python} -m fairway {APPLICATION} --port {{port}} -v 0".split(),
        environment={**DJANGO, "BENCH_STACK": "fairway"},
        versions=environment.versions,
        python=environment.python,
    )


def channels_on_uvicorn(*, refresh: bool) -> Contender:
    """Channels with its in-memory layer on uvicorn, as fast as its options make it.

    ``websockets-sansio`` is the faster of uvicorn's implementations, and what its default becomes.
    """
    environment = peer_environment(refresh=refresh)
    words = f"{environment.python} -m uvicorn {APPLICATION} --port {{port}} --log-level warning"
    words += " --no-access-log --loop uvloop --http httptools --ws websockets-sansio"
    return Contender(
        name=CHANNELS,
        words=words.split(),
        environment={**DJANGO, "BENCH_STACK": "channels"},
        versions=environment.versions,
        python=environment.python,
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


#: By the word on the command line: the name, and what makes it with all that it needs.
CONTENDERS: dict[str, tuple[str, Callable[..., Contender]]] = {
    "fairway": (FAIRWAY, fairway),
    "channels": (CHANNELS, channels_on_uvicorn),
    "bare": (BARE, bare),
    "redis": (REDIS, partial(with_layer, fairway, REDIS, "redis")),
    "local": (LOCAL, partial(with_layer, fairway, LOCAL, "local")),
    "pubsub": (PUBSUB, partial(with_layer, channels_on_uvicorn, PUBSUB, "pubsub")),
    "core": (CORE, partial(with_layer, channels_on_uvicorn, CORE, "core")),
}
