"""Pages over WSGI and sockets over Fairway, behind one nginx and with one channel layer."""

from contextlib import ExitStack
from functools import partial

from proving.client import Visitor, check
from proving.processes import accepts
from proving.proofs.chat import (
    in_room,
    look_at_pages,
    prepare,
    say,
    somebody,
    stay_outside,
)
from proving.proofs.layers import Maker, local, over_redis
from proving.rows import CHAT, Row, Stage, as_environ
from proving.services import nginx

GROUP = "Pages over WSGI, sockets over Fairway, one nginx"
FAIRWAY = "fairway --proxy-headers -b 127.0.0.1 -p {port} config.asgi:application"
WSGI = "gunicorn --workers 2 --bind 127.0.0.1:{port} observed.wsgi:application"


def prove(make: Maker, stage: Stage) -> str:
    """Log in over WSGI, talk over Fairway, and hear on a socket what a WSGI view says."""
    environ = prepare(stage)
    static = CHAT / "chat" / "static"
    with ExitStack() as around:
        layer = around.enter_context(make(stage))
        environ["INTEROP_LAYER"] = as_environ(layer.setting)
        _, pages = around.enter_context(stage.server(WSGI, environ, cwd=CHAT))
        server, sockets = around.enter_context(stage.server(FAIRWAY, environ, cwd=CHAT))
        port = around.enter_context(nginx(pages, sockets, static))
        ada, kofi = somebody(port, "Ada"), somebody(port, "Kofi")
        look_at_pages(ada)
        stay_outside(port)
        with in_room(ada) as first, in_room(kofi) as second:
            say(first, [second], "Over the bridge")
            check(ada.post("/", name="Lighthouse").status, 302, "the status of a new room")
            for socket in (first, second):
                event = socket.receive_until(lambda event: event["type"] == "room")
                check(event["name"], "Lighthouse", "the name of the new room")
            # A logout is a request to the WSGI server, and closes the sockets of its session.
            check(kofi.post("/logout/").status, 302, "the status of the logout")
            check(second.close_code(), 4401, "the code after the logout")
            server.stop()
            check(accepts(sockets), False, "whether Fairway still listens")
            check(Visitor(port).get("/login/").status, 200, "the status of a page without sockets")
    return (
        "login and pages by Gunicorn, static files by nginx, talk by Fairway;"
        " `group_send` from two WSGI views reaches the sockets"
    )


ROWS = [
    # Not over channels_redis: the chat's lists of people come from fairway.presence, which needs a
    # layer of Fairway's.
    Row(
        group=GROUP,
        name="over LocalChannelLayer",
        packages=("gunicorn",),
        environment="servers",
        prove=partial(prove, local),
        needs="fairway.layers.local:LocalChannelLayer",
    ),
    Row(
        group=GROUP,
        name="over RedisChannelLayer",
        packages=("gunicorn", "redis"),
        environment="servers",
        prove=partial(prove, partial(over_redis, "fairway.layers.redis.RedisChannelLayer")),
        needs="fairway.layers.redis:RedisChannelLayer",
    ),
]
