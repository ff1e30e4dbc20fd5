"""Beside other servers, with the same applications."""

from collections.abc import Mapping

from harness.contenders import (
    APPLICATION,
    BARE,
    CHANNELS,
    DAPHNE,
    FAIRWAY,
    GRANIAN,
    GRANIAN_WSGI,
    GUNICORN,
    GUNICORN_SYNC,
    HYPERCORN,
    PICOWS,
    PLAIN,
    UVICORN,
    UWEBSOCKETS,
    WEBSOCKETS,
    WS,
)
from harness.scenarios.consumers import CHANNELS_ANYWHERE, socketio
from harness.scenarios.model import Effort, Scenario, Target, lanes
from harness.scenarios.turns import opening, under_load


def _pages(
    name: str,
    title: str,
    path: str,
    *contenders: str,
    application: str,
    targets: Mapping[str, float],
) -> Scenario:
    """Requests for one page, each on one of 50 connections that stay; targets by peer."""
    return Scenario(
        name=name,
        title=title,
        unit="requests/s",
        mode="http",
        measure=under_load,
        application=application,
        targets=[Target(against=peer, at_least=ratio) for peer, ratio in targets.items()],
        lanes=lanes(path, *contenders),
        full=Effort(turns=5, sockets=50, seconds=1.5, warmup=0.5),
        quick=Effort(turns=1, sockets=50, seconds=1.0, warmup=0.3),
    )


SCENARIOS = (
    _pages(
        "hello", "Thirteen bytes from an ASGI application over HTTP/1.1, 50 connections", "/",
        FAIRWAY, UVICORN, GRANIAN, HYPERCORN, DAPHNE, BARE, application=PLAIN,
        targets={UVICORN: 1, GRANIAN: 0.9},
    ),
    _pages(
        "view", "The same from a sync view of Django without middleware", "/view/",
        FAIRWAY, UVICORN, GRANIAN, HYPERCORN, DAPHNE, GUNICORN, GUNICORN_SYNC, GRANIAN_WSGI,
        application=APPLICATION,
        targets={UVICORN: 5, GRANIAN_WSGI: 0.7},
    ),
    _pages(
        "async-view", "The same from an async view", "/async-view/",
        FAIRWAY, UVICORN, GRANIAN, HYPERCORN, DAPHNE, application=APPLICATION,
        targets={UVICORN: 2.5},
    ),
    Scenario(
        name="asgi-echo",
        title="Echo through a bare ASGI application: 50 sockets, 128 bytes, one message in flight",
        unit="messages/s",
        mode="echo",
        measure=under_load,
        application=PLAIN,
        lanes=lanes(
            "/echo/",
            FAIRWAY, UVICORN, GRANIAN, HYPERCORN, DAPHNE, WEBSOCKETS, PICOWS, WS, UWEBSOCKETS, BARE,
        ),
        targets=(Target(against=UVICORN, at_least=1.7), Target(against=GRANIAN, at_least=3)),
        full=Effort(turns=5, sockets=50, seconds=1.5, warmup=0.5),
        quick=Effort(turns=1, sockets=50, seconds=1.0, warmup=0.3),
    ),
    Scenario(
        name="sync-echo",
        title="Echo through a sync consumer: 20 sockets, 128 bytes, one message in flight each",
        unit="messages/s",
        mode="echo",
        measure=under_load,
        lanes=lanes("/sync-echo/", FAIRWAY, CHANNELS),
        targets=(Target(against=CHANNELS, at_least=3),),
        full=Effort(turns=5, sockets=20, seconds=1.5, warmup=0.5),
        quick=Effort(turns=1, sockets=20, seconds=1.0, warmup=0.3),
    ),
    Scenario(
        name="open",
        title="Sockets opened one after the other, 64 at a time, a consumer for each",
        unit="sockets/s",
        mode="idle",
        measure=opening,
        lanes=[
            *lanes("/echo/", FAIRWAY, *CHANNELS_ANYWHERE),
            *socketio("echo"),
            *lanes("/echo/", BARE),
        ],
        targets=(Target(against=CHANNELS, at_least=6),),
        full=Effort(turns=5, sockets=3000),
        quick=Effort(turns=1, sockets=1000),
    ),
)  # fmt: skip
