"""Who is compared: one command line each, all serving the same project.

A new one is a name in :mod:`~harness.contenders.names` and a word in :data:`CONTENDERS`.
"""

from collections.abc import Callable
from functools import partial

from harness.build import peer_environment, socketify_environment
from harness.contenders.makers import bare, fairway, on_node, peer, with_layer
from harness.contenders.model import APPLICATION, PLAIN, WSGI, Contender
from harness.contenders.names import (
    BARE,
    CHANNELS,
    CHANNELS_DAPHNE,
    CHANNELS_GRANIAN,
    CHANNELS_HYPERCORN,
    CORE,
    DAPHNE,
    FAIRWAY,
    GRANIAN,
    GRANIAN_WSGI,
    GUNICORN,
    GUNICORN_SYNC,
    HYPERCORN,
    LOCAL,
    PICOWS,
    PUBSUB,
    REDIS,
    SOCKETIO_NODE,
    SOCKETIO_PYTHON,
    UVICORN,
    UWEBSOCKETS,
    WEBSOCKETS,
    WS,
)

__all__ = [
    "APPLICATION",
    "BARE",
    "CHANNELS",
    "CHANNELS_DAPHNE",
    "CHANNELS_GRANIAN",
    "CHANNELS_HYPERCORN",
    "CONTENDERS",
    "CORE",
    "DAPHNE",
    "FAIRWAY",
    "GRANIAN",
    "GRANIAN_WSGI",
    "GUNICORN",
    "GUNICORN_SYNC",
    "HYPERCORN",
    "LOCAL",
    "PICOWS",
    "PLAIN",
    "PUBSUB",
    "REDIS",
    "SOCKETIO_NODE",
    "SOCKETIO_PYTHON",
    "UVICORN",
    "UWEBSOCKETS",
    "WEBSOCKETS",
    "WS",
    "Contender",
]

#: Each with one process and one loop that serves, on uvloop where it takes it, without access log.
#: ``websockets-sansio`` is the faster of uvicorn's implementations, and what its default becomes.
_UVICORN = (
    "-m uvicorn {application} --port {port} --log-level warning --no-access-log --loop uvloop "
    "--http httptools --ws websockets-sansio"
)
_GRANIAN = (
    "-m granian --host 127.0.0.1 --port {port} --workers 1 --loop uvloop --log-level warning "
)
_GRANIAN_ASGI = _GRANIAN + "--interface asgi {application}"
_HYPERCORN = (
    "-m hypercorn --config peers/hypercorn.toml --bind 127.0.0.1:{port} --workers 1 "
    "--worker-class uvloop --log-level warning {application}"
)
_DAPHNE = "-m daphne -b 127.0.0.1 -p {port} -v 0 {application}"
_GUNICORN = f"-m gunicorn -b 127.0.0.1:{{port}} -w 1 --log-level warning {WSGI} "
_SOCKETIO = _UVICORN.replace("{application}", "peers.socketio_server:application")

#: Programs of the peers' environment: the name and the command line.
_PEERS = {
    "uvicorn": (UVICORN, _UVICORN),
    "granian": (GRANIAN, _GRANIAN_ASGI),
    "hypercorn": (HYPERCORN, _HYPERCORN),
    "daphne": (DAPHNE, _DAPHNE),
    "gunicorn": (GUNICORN, _GUNICORN + "-k gthread --threads 8 --keep-alive 60"),
    "gunicorn-sync": (GUNICORN_SYNC, _GUNICORN + "-k sync"),
    "granian-wsgi": (GRANIAN_WSGI, f"{_GRANIAN} --interface wsgi {WSGI}"),
    "websockets": (WEBSOCKETS, "-m peers.websockets_echo {port}"),
    "picows": (PICOWS, "-m peers.picows_echo {port}"),
}
#: The same for those that serve Channels.
_CHANNELS = {
    "channels": (CHANNELS, _UVICORN),
    "channels-daphne": (CHANNELS_DAPHNE, _DAPHNE),
    "channels-granian": (CHANNELS_GRANIAN, _GRANIAN_ASGI),
    "channels-hypercorn": (CHANNELS_HYPERCORN, _HYPERCORN),
}
_channels = partial(peer, CHANNELS, _UVICORN, peer_environment, "channels")

#: By the word on the command line: the name, and what makes it with all that it needs.
CONTENDERS: dict[str, tuple[str, Callable[..., Contender]]] = {
    "fairway": (FAIRWAY, fairway),
    **{
        word: (name, partial(peer, name, words, peer_environment, "channels"))
        for word, (name, words) in _CHANNELS.items()
    },
    "bare": (BARE, bare),
    **{
        word: (name, partial(peer, name, words, peer_environment))
        for word, (name, words) in _PEERS.items()
    },
    "uwebsockets": (
        UWEBSOCKETS,
        partial(peer, UWEBSOCKETS, "-m peers.uwebsockets {port}", socketify_environment),
    ),
    "ws": (WS, partial(on_node, WS, "ws.cjs")),
    "socketio-node": (SOCKETIO_NODE, partial(on_node, SOCKETIO_NODE, "socketio.cjs")),
    "socketio-python": (
        SOCKETIO_PYTHON,
        partial(peer, SOCKETIO_PYTHON, _SOCKETIO, peer_environment),
    ),
    "redis": (REDIS, partial(with_layer, fairway, REDIS, "redis")),
    "local": (LOCAL, partial(with_layer, fairway, LOCAL, "local")),
    "pubsub": (PUBSUB, partial(with_layer, _channels, PUBSUB, "pubsub")),
    "core": (CORE, partial(with_layer, _channels, CORE, "core")),
}
