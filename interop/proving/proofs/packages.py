"""Packages built on Channels, on Fairway's alias: ``channels`` and ``daphne`` are not installed."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from uuid import uuid4

from proving.client import Socket, Visitor, check
from proving.processes import ProofError
from proving.proofs.layers import CORE, PUBSUB, over_redis, prove_with
from proving.rows import Row, Stage

GROUP = "Packages built on Channels, on the alias"
PROJECT = "A project written for Channels, as it is"
RUNSERVER = "django-admin runserver --noreload --skip-checks 127.0.0.1:{port}"
COMPAT = {"FAIRWAY_COMPAT": "1", "INTEROP_APPS": '["daphne"]'}
REPLACED = ("channels", "daphne")


def project(backend: str, stage: Stage) -> str:
    """Daphne's ``runserver``, ``runworker`` and ``channels_redis``, all of them Fairway's."""
    _check_environment(stage)
    return prove_with(COMPAT, "channels", RUNSERVER, partial(over_redis, backend), stage)


def _check_environment(stage: Stage) -> None:
    for distribution in REPLACED:
        if distribution in stage.environment.versions:
            raise ProofError(f"{distribution} is installed, so this would prove nothing")


@contextmanager
def guest(stage: Stage, name: str) -> Iterator[int]:
    """Serve the site of a package, its database migrated, and give the port."""
    _check_environment(stage)
    environ = {
        "DJANGO_SETTINGS_MODULE": "guests.settings",
        "INTEROP_GUEST": name,
        "INTEROP_DATABASE": str(stage.place / "db.sqlite3"),
    }
    stage.run("django-admin migrate --verbosity 0", environ)
    # FAIRWAY_COMPAT would do as well; this project calls install() in its settings.
    words = f"fairway guests.{name}_guest:application -b 127.0.0.1 -p {{port}}"
    with stage.server(words, environ) as (_, port):
        yield port


def rest(stage: Stage) -> str:
    """Create, list, delete, and news of it on another socket."""

    def ask(socket: Socket, action: str, **more: object) -> object:
        socket.send(action=action, request_id=1, **more)
        answer = socket.receive_until(lambda message: "response_status" in message)
        check(answer["errors"], [], f"the errors of {action}")
        return answer["data"]

    with guest(stage, "rest") as port:
        visitor = Visitor(port)
        with visitor.socket("/ws/") as first, visitor.socket("/ws/") as second:
            check(ask(second, "watch"), {"watching": True}, "the answer")
            created = {"id": 1, "name": "crew"}
            check(ask(first, "create", data={"name": "crew"}), created, "what was created")
            second.expect({"changed": created})
            check(ask(first, "list"), [created], "the list")
            check(ask(first, "retrieve", pk=1), created, "the one")
            ask(first, "delete", pk=1)
            second.expect({"changed": created})
            check(ask(first, "list"), [], "the list")
    return "create, list, retrieve, delete over a socket; a model observer tells another socket"


def strawberry(stage: Stage) -> str:
    """A query and a mutation over HTTP; subscriptions in both of its protocols."""
    with guest(stage, "strawberry") as port:
        visitor = Visitor(port)
        answer = json.loads(visitor.post_json("/graphql", {"query": "{ boats }"}).text)
        check(answer, {"data": {"boats": ["Ariel", "Thermopylae"]}}, "the answer")
        with (
            _graphql(visitor, "graphql-transport-ws", "next") as listen,
            _graphql(visitor, "graphql-ws", "data") as old_listen,
        ):
            for ear in (listen, old_listen):
                numbers = ear("subscription { count(target: 3) }")
                check([next(numbers)["count"] for _ in range(3)], [0, 1, 2], "the numbers")
            heard = [ear("subscription { heard }") for ear in (listen, old_listen)]
            for each in heard:
                check(next(each), {"heard": "(listening)"}, "the first")
            visitor.post_json("/graphql", {"query": 'mutation { say(text: "Ahoy") }'})
            for each in heard:
                check(next(each), {"heard": "Ahoy"}, "what was heard")
    return (
        "a query and a mutation over HTTP; subscriptions over graphql-transport-ws and"
        " graphql-ws, one of them fed by the channel layer"
    )


@contextmanager
def _graphql(
    visitor: Visitor, protocol: str, data: str
) -> Iterator[Callable[[str], Iterator[dict[str, object]]]]:
    """A socket for GraphQL; gives a function that subscribes."""
    start = {"next": "subscribe", "data": "start"}[data]
    with visitor.socket("/graphql", protocol) as socket:
        check(socket.subprotocol, protocol, "the subprotocol")
        socket.send(type="connection_init")
        socket.receive_until(lambda message: message["type"] == "connection_ack")

        def subscribe(query: str) -> Iterator[dict[str, object]]:
            number = uuid4().hex
            socket.send(id=number, type=start, payload={"query": query})
            while True:
                message = socket.receive_until(
                    lambda message: message["type"] in {data, "error"} and message["id"] == number
                )
                check(message["type"], data, f"the answer {message}")
                yield message["payload"]["data"]

        yield subscribe


def eventstream(stage: Stage) -> str:
    """Events reach those who listen, and those who come back get what they have missed."""
    with guest(stage, "eventstream") as port:
        visitor = Visitor(port)
        with visitor.events("/events/") as first, visitor.events("/events/") as second:
            for listener in (first, second):
                check(next(listener)["event"], "stream-open", "the first event")
            check(visitor.get("/say/ahoy/").text, "said", "the page")
            heard = [_next_message(listener) for listener in (first, second)]
            for event in heard:
                check(json.loads(event["data"]), {"text": "ahoy"}, "the event")
        visitor.get("/say/meanwhile/")
        with visitor.events("/events/", last_event_id=heard[0]["id"]) as third:
            check(
                json.loads(_next_message(third)["data"]),
                {"text": "meanwhile"},
                "the event that was missed",
            )
    return "events of a sync view reach two listeners; `Last-Event-ID` brings what was missed"


def _next_message(events: Iterator[dict[str, str]]) -> dict[str, str]:
    return next(event for event in events if event["event"] == "message")


def reactpy(stage: Stage) -> str:
    """A component is rendered, and again after a click."""
    with guest(stage, "reactpy") as port:
        path = f"/reactpy/guests.reactpy_guest.counter/{uuid4()}/0/?http_pathname=/"
        with Visitor(port).socket(path) as socket:
            shown = socket.receive_until(partial(_shows, "0 clicks"))
            target = _find(shown, "target")
            for number in (1, 2):
                socket.send(type="layout-event", target=target, data=[{}])
                socket.receive_until(partial(_shows, f"{number} clicks"))
    return "a component is rendered, and rendered again after each of two clicks"


def _shows(words: str, message: object) -> bool:
    return words in json.dumps(message)


def _find(value: object, key: str) -> object:
    """The first value under this key, however deep."""
    if isinstance(value, dict):
        if key in value:
            return value[key]
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        found = _find(each, key)
        if found is not None:
            return found
    return None


def chanx(stage: Stage) -> str:
    """A typed message reaches everyone; one that does not fit gets an answer that says so."""
    with guest(stage, "chanx") as port:
        visitor = Visitor(port)
        with visitor.socket("/ws/") as first, visitor.socket("/ws/") as second:
            for socket in (first, second):
                socket.send(action="ping")
                socket.receive_until(lambda message: message["action"] == "pong")
            first.send(action="say", payload={"text": "Ahoy"})
            for socket in (first, second):
                message = socket.receive_until(lambda message: message["action"] == "said")
                check(message["payload"], {"text": "Ahoy"}, "what was said")
            first.send(action="say", payload={"txt": "Ahoy"})
            first.receive_until(lambda message: message["action"] == "error")
    return "typed messages to a group of two sockets, ping, and the refusal of a malformed message"


def multiplexer(stage: Stage) -> str:
    """Two consumers on one socket, one of them in a group with that of another socket."""
    with guest(stage, "multiplexer") as port:
        visitor = Visitor(port)
        with visitor.socket("/ws/") as first, visitor.socket("/ws/") as second:
            for socket in (first, second):
                socket.send(stream="echo", payload={"n": 1})
                socket.expect({"stream": "echo", "payload": {"echo": {"n": 1}}})
            first.send(stream="room", payload="Ahoy")
            for socket in (first, second):
                socket.expect({"stream": "room", "payload": {"said": "Ahoy"}})
    return "two consumers on each of two sockets, one of them in a group"


ROWS = [
    *(
        Row(
            group=PROJECT,
            name=f"FAIRWAY_COMPAT=1, {backend.rpartition('.')[2]}",
            packages=("django", "redis"),
            environment="alias",
            prove=partial(project, backend),
            needs="fairway.layers.redis:RedisChannelLayer",
        )
        for backend in (CORE, PUBSUB)
    ),
    *(
        Row(group=GROUP, name=name, packages=(name,), environment="alias", prove=prove)
        for name, prove in (
            ("djangochannelsrestframework", rest),
            ("strawberry-graphql", strawberry),
            ("django-eventstream", eventstream),
            ("reactpy-django", reactpy),
            ("chanx", chanx),
            ("channelsmultiplexer", multiplexer),
        )
    ),
]
