"""Channel layers: our consumers over those of others, and stock Channels consumers over ours."""

import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from proving.client import Socket, Visitor, check
from proving.processes import ProofError, running
from proving.rows import Row, Stage, as_environ
from proving.services import postgres, redis

OURS = "Our consumers over other layers"
STOCK = "Stock Channels consumers over our layers"

FAIRWAY = "fairway talk.asgi:application -b 127.0.0.1 -p {port}"
DAPHNE = "daphne talk.asgi:application -b 127.0.0.1 -p {port}"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A channel layer with what it needs to run.

    Attributes:
        setting: Its entry in ``CHANNEL_LAYERS``.
        environ: More variables for the project.
        shared: It reaches from one process to another.
        once: It brings a message once.
    """

    setting: dict[str, object]
    environ: dict[str, str] = field(default_factory=dict)
    shared: bool = True
    once: bool = True


#: Makes a layer, and what it needs, for the length of a block.
Maker: TypeAlias = Callable[[Stage], AbstractContextManager[Layer]]


@contextmanager
def over_redis(backend: str, _stage: Stage) -> Iterator[Layer]:
    """A layer of Redis."""
    with redis() as port:
        host: object = f"redis://127.0.0.1:{port}/0"
        if backend.startswith("channels_redis."):
            # From redis-py 8 on its default of 5 s ends every idle consumer of channels_redis.core.
            host = {"address": host, "socket_timeout": None}
        yield Layer(setting={"BACKEND": backend, "CONFIG": {"hosts": [host]}})


@contextmanager
def over_postgres(stage: Stage) -> Iterator[Layer]:
    """``channels_postgres``, its tables migrated."""
    with postgres() as server:
        config: dict[str, object] = {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres"}
        config |= {
            "TIME_ZONE": None
        }  # Django fills in what is missing in DATABASES, and only there
        config |= {"USER": server.user, "PASSWORD": "", "HOST": "127.0.0.1", "PORT": server.port}
        layer = Layer(
            setting={"BACKEND": "channels_postgres.core.PostgresChannelLayer", "CONFIG": config},
            environ={
                "INTEROP_DATABASES": as_environ({"default": config, "channels_postgres": config}),
                "INTEROP_APPS": as_environ(["channels_postgres"]),
            },
            once=False,
        )
        migrate = "django-admin migrate --verbosity 0 --database channels_postgres"
        stage.run(migrate, environ_of(layer, "fairway"))
        yield layer


@contextmanager
def in_memory(_stage: Stage) -> Iterator[Layer]:
    """Our layer for one process."""
    yield Layer(setting={"BACKEND": "fairway.layers.InMemoryChannelLayer"}, shared=False)


@contextmanager
def local(stage: Stage) -> Iterator[Layer]:
    """Our layer for the processes of one machine."""
    config = {"path": str(stage.place / "layer")}
    yield Layer(setting={"BACKEND": "fairway.layers.local.LocalChannelLayer", "CONFIG": config})


def environ_of(layer: Layer, stack: str) -> dict[str, str]:
    """The variables for the project."""
    return {
        "DJANGO_SETTINGS_MODULE": "talk.settings",
        "INTEROP_STACK": stack,
        "INTEROP_LAYER": as_environ(layer.setting),
        **layer.environ,
    }


def prove(stack: str, server: str, make: Maker, stage: Stage) -> str:
    """Two servers and a worker, if the layer reaches that far, and all that can be sent."""
    return prove_with({}, stack, server, make, stage)


def prove_with(more: Mapping[str, str], stack: str, server: str, make: Maker, stage: Stage) -> str:
    """The same with more variables for the project."""
    with ExitStack() as around:
        layer = around.enter_context(make(stage))
        environ = {**environ_of(layer, stack), **more}
        _, port = around.enter_context(stage.server(server, environ))
        other = port
        if layer.shared:
            _, other = around.enter_context(stage.server(server, environ))
            command = stage.command("django-admin runworker jobs", environ)
            around.enter_context(running(command))
        _talk(port, other, _hear_once if layer.once else _hear)
        if not layer.shared:
            return "groups, single channels, a sync view, sync and async consumers in one process"
        _have_it_done(port)
    return (
        "two servers and a worker: groups, single channels, jobs, a sync view,"
        " sync and async consumers"
    )


def _talk(port: int, other: int, hear: Callable[[Socket, str], None]) -> None:
    """Three sockets on two servers: what one says or a view says, all of them hear once."""
    with (
        Visitor(port).socket("/ws/harbour/") as ada,
        Visitor(other).socket("/sync/harbour/") as kofi,
        Visitor(other).socket("/ws/kitchen/") as outsider,
    ):
        for socket in (ada, kofi):
            socket.receive()
        elsewhere = outsider.receive()["channel"]
        if hear is _hear:
            _warm_up(ada, kofi)
        ada.send(say="Ahoy ⚓")
        for socket in (ada, kofi):
            hear(socket, "Ahoy ⚓")
        kofi.send(say="Aye")
        for socket in (ada, kofi):
            hear(socket, "Aye")
        check(Visitor(other).get("/say/harbour/tide/").text, "said", "the page")
        for socket in (ada, kofi):
            hear(socket, "tide")
        ada.send(to=elsewhere, text="only you")
        hear(outsider, "only you")
        with Visitor(other).socket("/ws/harbour/") as mei:
            mei.receive()
        for socket in (ada, kofi):
            hear(socket, "(gone)")
        ada.send(leave=True)
        ada.receive_until(partial(operator.eq, {"left": "harbour"}))
        kofi.send(say="Anyone?")
        hear(kofi, "Anyone?")
        ada.send(to=elsewhere, text="the next that anyone hears")
        hear(outsider, "the next that anyone hears")


def _warm_up(speaker: Socket, listener: Socket) -> None:
    """Speak until both listen: the listeners of ``channels_postgres`` take a moment to start."""
    for number in range(20):
        speaker.send(say=f"warm {number}")
        with suppress(ProofError):
            for socket in (speaker, listener):
                socket.receive(1)
            return


def _hear_once(socket: Socket, text: str) -> None:
    socket.expect({"said": text})


def _hear(socket: Socket, text: str) -> None:
    socket.receive_until(partial(operator.eq, {"said": text}))


def _have_it_done(port: int) -> None:
    with Visitor(port).socket("/ws/jobs/") as socket:
        socket.receive()
        _wait_for_worker(socket)
        for text in ("one", "two", "three"):
            socket.send(job=text)
            _hear(socket, text.upper())


def _wait_for_worker(socket: Socket) -> None:
    """Layers on Redis's pub/sub lose what is sent before the worker listens."""
    for _ in range(40):
        socket.send(job="awake?")
        with suppress(ProofError):
            socket.receive(0.5)
            return
    raise ProofError("the worker did no job within 20 s")


CORE = "channels_redis.core.RedisChannelLayer"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"

ROWS = [
    Row(
        group=OURS,
        name="channels_redis.core",
        packages=("channels-redis", "channels", "redis"),
        environment="layers",
        prove=partial(prove, "fairway", FAIRWAY, partial(over_redis, CORE)),
        limits='From redis-py 8 on it needs `"socket_timeout": None` in each host, or idle'
        " consumers end after 5 s; on Channels, too.",
    ),
    Row(
        group=OURS,
        name="channels_redis.pubsub",
        packages=("channels-redis", "channels", "redis"),
        environment="layers",
        prove=partial(prove, "fairway", FAIRWAY, partial(over_redis, PUBSUB)),
        limits="What is sent to a worker that does not listen yet is lost; on Channels, too.",
    ),
    Row(
        group=OURS,
        name="channels_postgres",
        packages=("channels-postgres", "channels", "psycopg"),
        environment="layers",
        prove=partial(prove, "fairway", FAIRWAY, over_postgres),
        limits="While its listener starts, a message may come more than once; on Channels, too."
        " `CONFIG` needs all keys that Django reads, such as `TIME_ZONE`, not only those its"
        " documentation names.",
    ),
    Row(
        group=STOCK,
        name="fairway.layers.InMemoryChannelLayer",
        packages=("channels", "daphne"),
        environment="layers",
        prove=partial(prove, "channels", DAPHNE, in_memory),
    ),
    Row(
        group=STOCK,
        name="fairway.layers.local.LocalChannelLayer",
        packages=("channels", "daphne"),
        environment="layers",
        prove=partial(prove, "channels", DAPHNE, local),
        needs="fairway.layers.local:LocalChannelLayer",
    ),
    Row(
        group=STOCK,
        name="fairway.layers.redis.RedisChannelLayer",
        packages=("channels", "daphne", "redis"),
        environment="layers",
        prove=partial(
            prove,
            "channels",
            DAPHNE,
            partial(over_redis, "fairway.layers.redis.RedisChannelLayer"),
        ),
        needs="fairway.layers.redis:RedisChannelLayer",
    ),
]
