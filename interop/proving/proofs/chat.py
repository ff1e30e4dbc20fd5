"""The chat of ``examples/chat`` as people use it: what every way of serving it has to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from proving.client import Socket, Visitor, check
from proving.processes import ProofError
from proving.rows import CHAT, Stage

SETTINGS = {"DJANGO_SETTINGS_MODULE": "observed.settings"}
PASSWORD = "fair-winds"
ROOM = "/ws/rooms/1/"


def prepare(stage: Stage) -> dict[str, str]:
    """Make the database with the demo's people; return the variables that name it."""
    diary = stage.place / "diary"
    diary.touch()
    environ = {
        **SETTINGS,
        "CHAT_DATABASE": str(stage.place / "db.sqlite3"),
        "INTEROP_DIARY": str(diary),
    }
    stage.run("django-admin migrate --verbosity 0", environ, cwd=CHAT)
    stage.run("django-admin demo", environ, cwd=CHAT)
    return environ


def diary(environ: dict[str, str], event: str) -> list[int]:
    """The processes that wrote this event down, once for each time."""
    words = [line.split() for line in Path(environ["INTEROP_DIARY"]).read_text().splitlines()]
    return [int(process) for name, process in words if name == event]


def somebody(port: int, name: str) -> Visitor:
    """A visitor who has logged in."""
    visitor = Visitor(port)
    visitor.log_in(name, PASSWORD)
    return visitor


@contextmanager
def in_room(visitor: Visitor) -> Iterator[Socket]:
    """The page of a room, for the length of the block."""
    with visitor.socket(ROOM) as socket:
        socket.receive_until(lambda event: event["type"] == "people")
        yield socket


def say(speaker: Socket, listeners: list[Socket], text: str) -> None:
    """Say something that all hear, the speaker too, once."""
    speaker.send(type="say", text=text, key=uuid4().hex)
    for socket in (speaker, *listeners):
        event = socket.receive_until(lambda event: event["type"] in {"message", "refused"})
        check(event.get("message", event).get("text"), text, "what was heard")


def look_at_pages(visitor: Visitor) -> None:
    """The pages, a static file and a page that is not there."""
    check(visitor.get("/").status, 200, "the status of the first page")
    style = visitor.get("/static/chat/css/base.css")
    check(style.status, 200, "the status of a static file")
    check(style.headers.get_content_type(), "text/css", "the type of a static file")
    check(visitor.get("/nowhere/").status, 404, "the status of a page that is not there")


def stay_outside(port: int) -> None:
    """Without a login there is no socket."""
    visitor = Visitor(port)
    try:
        with visitor.socket(ROOM):
            pass
    except OSError:
        return
    except Exception as error:  # noqa: BLE001  any refusal will do; the library has many
        check(getattr(getattr(error, "response", None), "status_code", 403), 403, "the refusal")
        return
    raise ProofError("a socket was opened for a visitor who has not logged in")
