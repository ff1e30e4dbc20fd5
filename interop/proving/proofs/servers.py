"""The chat under the ASGI servers of others, with the commands of :mod:`proving.servers`."""

import time
from contextlib import ExitStack
from functools import partial

from proving.client import Socket, Visitor, check
from proving.processes import ProofError
from proving.proofs.chat import (
    diary,
    in_room,
    look_at_pages,
    prepare,
    say,
    somebody,
    stay_outside,
)
from proving.proofs.layers import Maker, environ_of, in_memory, local
from proving.rows import CHAT, Row, Stage, as_environ
from proving.servers import HOST, SERVERS, Server

GROUP = "Our application under other servers"
MOST_SOCKETS = 60  #: that are opened until two processes have one


def command(
    server: Server, *, several: bool = False, application: str = "config.asgi:application"
) -> str:
    """The command with only the port left open."""
    words = f"{server.command} {server.workers if several else ''}".strip()
    return words.format(application=application, host=HOST, port="{port}")


def prove_one(server: Server, stage: Stage) -> str:
    """One process: pages, login, talk, and a stop that every consumer hears of."""
    environ = prepare(stage)
    with stage.server(command(server), environ, cwd=CHAT) as (process, port):
        ada, kofi = somebody(port, "Ada"), somebody(port, "Kofi")
        look_at_pages(ada)
        stay_outside(port)
        with in_room(ada) as first:
            with in_room(kofi) as second:
                first.receive_until(lambda event: event["type"] == "joined")
                say(first, [second], "Is anyone there?")
                say(second, [first], "Aye ⚓")
            first.receive_until(lambda event: event["type"] == "left")
            check(len(diary(environ, "disconnect")), 1, "the number of disconnect() so far")
            with in_room(kofi) as second:
                time.sleep(server.settle)
                status = process.stop()
                codes = sorted({first.close_code(), second.close_code()})
        if server.finishes:
            check(len(diary(environ, "disconnect")), 3, "the number of disconnect() after the stop")
    heard = "`disconnect()` runs for each socket, " if server.finishes else ""
    return (
        "login, pages, static files, two people talk, refusal without login; on SIGTERM"
        f" {heard}clients see {', '.join(map(str, codes))}, exit status {status}"
    )


def prove_several(server: Server, make: Maker, stage: Stage) -> str:
    """Several processes: what is said on a socket of one is heard on those of the others."""
    environ = prepare(stage)
    told = "sockets in two processes hear each other over LocalChannelLayer"
    with ExitStack() as around:
        layer = around.enter_context(make(stage))
        environ["INTEROP_LAYER"] = as_environ(layer.setting)
        words = command(server, several=True)
        process, port = around.enter_context(stage.server(words, environ, cwd=CHAT))
        ada, kofi = somebody(port, "Ada"), somebody(port, "Kofi")
        with ExitStack() as room:
            speaker = room.enter_context(in_room(ada))
            listeners: list[Socket] = []
            while len(set(diary(environ, "connect"))) < 2:
                if len(listeners) == MOST_SOCKETS:
                    raise ProofError(f"one process got all of {MOST_SOCKETS} sockets")
                listeners.append(room.enter_context(in_room(kofi)))
            say(speaker, listeners, "To all hands")
            say(listeners[-1], [speaker, *listeners[:-1]], "Aye")
            process.stop()
            if not server.finishes:
                return told
            _wait_for(environ, 1 + len(listeners))
    return f"{told}; `disconnect()` runs in both on SIGTERM"


def prove_alone(server: Server, stage: Stage) -> str:
    """Applications without a ``ProtocolTypeRouter`` around them, one process for each."""
    with in_memory(stage) as layer:
        environ = environ_of(layer, "fairway")
    for name in ("consumer", "middleware", "routes"):
        words = command(server, application=f"talk.alone:{name}")
        with stage.server(words, environ) as (_, port), Visitor(port).socket("/") as socket:
            socket.send(hail=name)
            socket.expect({"heard": {"hail": name}})
    with stage.server(command(server, application="talk.alone:pages"), environ) as (_, port):
        check(Visitor(port).get("/nowhere/").status, 404, "the status of a page that is not there")
    return (
        "a bare `as_asgi()`, a `BaseMiddleware` without a call of its own, a `URLRouter` and"
        " `get_asgi_application()`, each as the outermost application"
    )


def _wait_for(environ: dict[str, str], number: int) -> None:
    """A supervisor may be gone a moment before its last worker."""
    deadline = time.monotonic() + 15
    while len(diary(environ, "disconnect")) < number and time.monotonic() < deadline:
        time.sleep(0.1)
    check(len(diary(environ, "disconnect")), number, "the number of disconnect() after the stop")


ROWS = [
    *(
        Row(
            group=GROUP,
            name=server.name,
            packages=server.packages,
            environment="servers",
            prove=partial(prove_one, server),
            limits=server.limits,
        )
        for server in SERVERS
    ),
    *(
        Row(
            group=GROUP,
            name=f"{server.name}, single applications",
            packages=server.packages,
            environment="servers",
            prove=partial(prove_alone, server),
        )
        for server in SERVERS
    ),
    *(
        Row(
            group=GROUP,
            name=f"{server.name}, two processes",
            packages=server.packages,
            environment="servers",
            prove=partial(prove_several, server, local),
            needs="fairway.layers.local:LocalChannelLayer",
            limits=server.limits,
        )
        for server in SERVERS
        if server.workers
    ),
]
