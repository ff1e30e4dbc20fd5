"""Code without an event loop that sends: task queues, greenlets, WSGI servers that fork."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from proving.client import Socket, Visitor, check
from proving.processes import running
from proving.proofs.layers import Maker, environ_of, local, over_redis
from proving.rows import Row, Stage
from proving.services import redis

GROUP = "Messages from workers and other code without an event loop"
FAIRWAY = "fairway -w 2 talk.asgi:application -b 127.0.0.1 -p {port}"
LAYERS: Sequence[Maker] = (local, partial(over_redis, "fairway.layers.redis.RedisChannelLayer"))
WAYS = ("sync", "async_to_sync", "queue")
IN_GREENLETS = ("sync", "queue")
#: How often each thing is said in each way.
TIMES = 5

GREENLETS = (
    "`async_to_sync` does not work in greenlets, whatever it calls: write `layer.sync`. What is"
    " patched late, as with `--preload`, fails elsewhere in Django."
)


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Whoever runs the code.

    Attributes:
        name: Of the row.
        queue: The task queue, as ``senders.feed`` knows it; empty for a server of WSGI.
        command: What runs it, on ``{port}`` if it is a server.
        packages: The distributions whose versions matter.
        ways: How the code sends.
        environment: The environment with the packages.
        limits: What does not work with it.
    """

    name: str
    queue: str
    command: str
    packages: Sequence[str]
    ways: Sequence[str] = WAYS
    environment: str = "workers"
    limits: str = ""


CELERY = "celery -A senders.celery_app worker -c 3 --without-gossip --without-mingle -P "
UWSGI = (
    "uwsgi --http-socket 127.0.0.1:{port} --master --die-on-term --processes 2 --need-app"
    " --module senders.wsgi"
)
SENDERS = [
    Sender(
        name="Celery, prefork",
        queue="celery",
        command=f"{CELERY} prefork --max-tasks-per-child 4",
        packages=("celery",),
    ),
    Sender(
        name="Celery, threads", queue="celery", command=f"{CELERY} threads", packages=("celery",)
    ),
    Sender(
        name="Celery, gevent",
        queue="celery",
        command=f"{CELERY} gevent",
        packages=("celery", "gevent"),
        ways=IN_GREENLETS,
        limits=GREENLETS,
    ),
    Sender(
        name="Celery, eventlet",
        queue="celery",
        command=f"{CELERY} eventlet",
        packages=("celery", "eventlet"),
        ways=IN_GREENLETS,
        limits=GREENLETS,
    ),
    Sender(
        name="RQ",
        queue="rq",
        command="rq worker",
        packages=("rq",),
    ),
    Sender(
        name="Dramatiq",
        queue="dramatiq",
        command="dramatiq senders.dramatiq_app --processes 2 --threads 2",
        packages=("dramatiq",),
    ),
    Sender(
        name="Huey",
        queue="huey",
        command="huey_consumer senders.huey_app.huey -k process -w 2",
        packages=("huey",),
    ),
    Sender(
        name="Gunicorn, gevent",
        queue="",
        command="gunicorn senders.wsgi --preload -k gevent -w 1 -b 127.0.0.1:{port}",
        packages=("gunicorn", "gevent"),
        ways=IN_GREENLETS,
        limits=GREENLETS,
    ),
    Sender(
        name="uWSGI",
        queue="",
        command=UWSGI,
        packages=("uwsgi",),
        environment="uwsgi",
        limits="`--py-call-osafterfork` stops uWSGI itself on Python 3.13. Fairway does without.",
    ),
]


def prove(sender: Sender, stage: Stage) -> str:
    """On each layer: all that is said is heard on each socket, once, and everything ends."""
    for number, make in enumerate(LAYERS):
        with ExitStack() as around:
            layer = around.enter_context(make(stage))
            broker = around.enter_context(redis())
            environ = environ_of(layer, "fairway")
            environ["INTEROP_BROKER"] = environ["RQ_REDIS_URL"] = f"redis://127.0.0.1:{broker}/0"
            _, port = around.enter_context(stage.server(FAIRWAY, environ))
            sockets = [around.enter_context(_in_harbour(port)) for _ in range(2)]
            texts = [f"{way}:{way}-{number}-{time}" for way in sender.ways for time in range(TIMES)]
            if sender.queue:
                _have_it_said(sender, environ, texts, sockets, stage)
            else:
                _ask_for_it(sender, environ, texts, sockets, stage)
            stage.run("python -m senders.feed itself sync:over", environ)
            _hear(["over"], sockets)
    ways = ", ".join(f"`{_CODE[way]}`" for way in sender.ways)
    before = "" if sender.queue else "; a message before the fork"
    return (
        f"{ways}{before}: heard once on each socket of two workers, over LocalChannelLayer and over"
        " RedisChannelLayer; SIGTERM ends it"
    )


_CODE = {
    "sync": "layer.sync.group_send",
    "async_to_sync": "async_to_sync(layer.group_send)",
    "queue": "layer.sync.send and receive",
}


def _have_it_said(
    sender: Sender,
    environ: dict[str, str],
    texts: Sequence[str],
    sockets: Sequence[Socket],
    stage: Stage,
) -> None:
    with running(stage.command(sender.command, environ)) as worker:
        stage.run(["python", "-m", "senders.feed", sender.queue, *texts], environ)
        _hear([text.partition(":")[2] for text in texts], sockets)
        worker.stop()


def _ask_for_it(
    sender: Sender,
    environ: dict[str, str],
    texts: Sequence[str],
    sockets: Sequence[Socket],
    stage: Stage,
) -> None:
    with stage.server(sender.command, environ) as (server, port):
        _hear(["awake"], sockets)
        for text in texts:
            check(Visitor(port).get(f"/{text.replace(':', '/')}/").text, "said", "the page")
        _hear([text.partition(":")[2] for text in texts], sockets)
        server.stop()


@contextmanager
def _in_harbour(port: int) -> Iterator[Socket]:
    with Visitor(port).socket("/ws/harbour/") as socket:
        socket.receive()  # it is a member by then
        yield socket


def _hear(texts: Sequence[str], sockets: Sequence[Socket]) -> None:
    """Each socket hears each text once, in whatever order."""
    for socket in sockets:
        heard = sorted(socket.receive()["said"] for _ in texts)
        check(heard, sorted(texts), "what was heard")


ROWS = [
    Row(
        group=GROUP,
        name=sender.name,
        packages=sender.packages,
        environment=sender.environment,
        prove=partial(prove, sender),
        limits=sender.limits,
    )
    for sender in SENDERS
]
