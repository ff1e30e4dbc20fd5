"""Does the work of one path between marks: ``python -m counts.drive PATH MARKS``, under valgrind.

Server and clients live on one thread and take turns, so the same instructions run each time. What
is measured is all real but the distance: sockets of the kernel, uvloop, the server, Django.
"""

import asyncio
import ctypes
import gc
import importlib
import os
import sys
from typing import Any, Final

import django
import uvloop

from counts.clients import Crowd
from counts.paths import PATHS, Path
from fairway.server import Config, Server

#: How often the work is done and counted.
SETS: Final = 4

#: Nothing comes due while one counts, however slow the machine is; that it might is still seen to.
OPTIONS: Final = {
    "host": "127.0.0.1",
    "port": 0,
    "verbosity": 0,
    "ping_interval": 3600.0,
    "header_timeout": 3600.0,
    "websocket_connect_timeout": 3600.0,
    "websocket_close_timeout": 3600.0,
}


def main(name: str, library: str) -> None:
    """Serves, and does the work.

    Args:
        name: Of the path.
        library: The compiled ``marks.c``.
    """
    django.setup()
    path = PATHS[name]
    if path.name == "open-auth":
        _log_in()
    marks = ctypes.CDLL(library)
    uvloop.run(_serve_and_work(path, marks))


async def _serve_and_work(path: Path, marks: Any) -> None:
    if not path.application:
        await _work(path, 0, marks)
        return
    module, _, attribute = path.application.partition(":")
    application = getattr(importlib.import_module(module), attribute)
    ready = asyncio.Event()
    config = Config.from_mapping({**OPTIONS, **path.options})
    server = Server(application, config, ready=ready.set, signals=False)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        await ready.wait()
        await _work(path, int(server.addresses[0].rpartition(":")[2]), marks)
        # All is written down; a drain with clients that are still there would only take time.
        os._exit(0)


async def _work(path: Path, port: int, marks: Any) -> None:
    turn = await path.prepare(Crowd(port))
    await turn()
    # What lives on is not looked at again; what the path itself leaves behind is collected.
    gc.collect()
    gc.freeze()
    marks.count_from_here()
    for number in range(SETS):
        for _ in range(path.turns):
            await turn()
        marks.mark(f"{path.name} {number}".encode())


def _log_in() -> None:
    """A user with a session, in a database of its own."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415  wants Django to be set up
    from django.core.management import call_command  # noqa: PLC0415  only this path needs it
    from django.db import connection  # noqa: PLC0415
    from django.test import Client  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    client = Client()
    client.force_login(get_user_model().objects.create(username="someone"))
    os.environ["COUNTS_SESSION"] = client.cookies["sessionid"].value
    connection.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
