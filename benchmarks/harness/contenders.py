"""Who is compared: one command line each, all serving the same project."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from harness.build import (
    BENCHMARKS,
    compile_program,
    fairway_environment,
    node_environment,
    peer_environment,
)

#: The bare loop is no peer but the limit; its name is needed where ratios are taken.
BARE = "bare C"
FAIRWAY = "Fairway"
CHANNELS = "Channels on uvicorn"
#: Other servers.
UVICORN, GRANIAN, HYPERCORN, DAPHNE = "uvicorn", "Granian", "Hypercorn", "Daphne"
GUNICORN, GRANIAN_WSGI = "Gunicorn gthread", "Granian WSGI"
#: Servers of WebSockets and nothing else, each with the shortest echo that it has.
WEBSOCKETS, PICOWS, WS = "websockets", "picows", "Node ws"
#: The same two with the channel layers that connect processes.
REDIS, LOCAL = "Fairway, Redis", "Fairway, local"
PUBSUB, CORE = "channels_redis pub/sub", "channels_redis core"

#: What is served: with Django, and without.
APPLICATION, PLAIN = "project.asgi:application", "project.plain:application"
WSGI = "project.wsgi:application"
DJANGO = {"DJANGO_SETTINGS_MODULE": "project.settings"}


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A server with the stack behind it.

    Attributes:
        name: As it stands in the table and in the results.
        words: The command line; ``{port}`` stands for the port, ``{application}`` for what is
            served.
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

    def command(self, port: int, application: str = APPLICATION) -> list[str]:
        """The command line for a port."""
        return [word.format(port=port, application=application) for word in self.words]


def fairway(*, refresh: bool) -> Contender:
    """This checkout with its defaults, but for the access log, which the peer does without too."""
    environment = fairway_environment(refresh=refresh)
    return Contender(
        name=FAIRWAY,
        words=f"{environment.python} -m fairway {{application}} --port {{port}} -v 0".split(),
        environment={**DJANGO, "BENCH_STACK": "fairway"},
        versions=environment.versions,
        python=environment.python,
    )


def channels_on_uvicorn(*, refresh: bool) -> Contender:
    """Channels with its in-memory layer on uvicorn, as fast as its options make it.

    ``websockets-sansio`` is the faster of uvicorn's implementations, and what its default becomes.
    """
    environment = peer_environment(refresh=refresh)
    words = f"{environment.python} -m uvicorn {{application}} --port {{port}} --log-level warning"
    words += " --no-access-log --loop uvloop --http httptools --ws websockets-sansio"
    return Contender(
        name=CHANNELS,
        words=words.split(),
        environment={**DJANGO, "BENCH_STACK": "channels"},
        versions=environment.versions,
        python=environment.python,
    )


def peer(name: str, words: str, stack: str = "django", *, refresh: bool) -> Contender:
    """Another program of the peers' environment."""
    environment = peer_environment(refresh=refresh)
    python = environment.python
    return Contender(
        name=name,
        words=[word.replace("PYTHON", str(python)) for word in words.split()],
        environment={**DJANGO, "BENCH_STACK": stack},
        versions=environment.versions,
        python=python,
    )


def node_ws(*, refresh: bool) -> Contender:
    """The WebSocket server that Node's users take."""
    environment = node_environment(refresh=refresh)
    return Contender(
        name=WS,
        words=("node", str(BENCHMARKS / "peers" / "ws.cjs"), "{port}"),
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


_UVLOOP = "--loop uvloop"
#: Programs of the peers' environment, each with one process and one loop that serves.
PEERS = {
    UVICORN: "PYTHON -m uvicorn {application} --port {port} --log-level warning --no-access-log "
    f"{_UVLOOP} --http httptools --ws websockets-sansio",
    GRANIAN: "PYTHON -m granian --interface asgi --host 127.0.0.1 --port {port} --workers 1 "
    f"{_UVLOOP} --log-level warning {{application}}",
    HYPERCORN: "PYTHON -m hypercorn --bind 127.0.0.1:{port} --workers 1 --worker-class uvloop "
    "--log-level warning {application}",
    DAPHNE: "PYTHON -m daphne -b 127.0.0.1 -p {port} -v 0 {application}",
    GUNICORN: "PYTHON -m gunicorn -b 127.0.0.1:{port} -w 1 -k gthread --threads 8 "
    f"--keep-alive 60 --log-level warning {WSGI}",
    GRANIAN_WSGI: "PYTHON -m granian --interface wsgi --host 127.0.0.1 --port {port} --workers 1 "
    f"--log-level warning {WSGI}",
    WEBSOCKETS: "PYTHON -m peers.websockets_echo {port}",
    PICOWS: "PYTHON -m peers.picows_echo {port}",
}

#: By the word on the command line: the name, and what makes it with all that it needs.
CONTENDERS: dict[str, tuple[str, Callable[..., Contender]]] = {
    "fairway": (FAIRWAY, fairway),
    "channels": (CHANNELS, channels_on_uvicorn),
    "bare": (BARE, bare),
    **{
        name.lower().replace(" ", "-"): (name, partial(peer, name, words))
        for name, words in PEERS.items()
    },
    "ws": (WS, node_ws),
    "redis": (REDIS, partial(with_layer, fairway, REDIS, "redis")),
    "local": (LOCAL, partial(with_layer, fairway, LOCAL, "local")),
    "pubsub": (PUBSUB, partial(with_layer, channels_on_uvicorn, PUBSUB, "pubsub")),
    "core": (CORE, partial(with_layer, channels_on_uvicorn, CORE, "core")),
}
