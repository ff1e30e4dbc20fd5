"""Packages built on Channels, on Fairway's alias: ``channels`` and ``daphne`` are not installed."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

from proving.client import PATIENCE, Socket, Visitor, check
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
def guest(
    stage: Stage, name: str, launcher: str = "", environ: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Serve the site of a package, its database migrated, and give the port.

    Args:
        stage: What the row has.
        name: Of the guest.
        launcher: A program that starts the server, as ``ddtrace-run`` does.
        environ: More variables for both.
    """
    _check_environment(stage)
    environ = {
        **(environ or {}),
        "DJANGO_SETTINGS_MODULE": "guests.settings",
        "INTEROP_GUEST": name,
        "INTEROP_DATABASE": str(stage.place / "db.sqlite3"),
    }
    stage.run("django-admin migrate --verbosity 0", environ)
    # FAIRWAY_COMPAT would do as well; this project calls install() in its settings.
    server = f"{launcher} {stage.environment.program('fairway')}" if launcher else "fairway"
    words = f"{server} guests.{name}_guest:application -b 127.0.0.1 -p {{port}}"
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


def tokens(stage: Stage) -> str:
    """Who has a token is somebody, who has none is nobody."""
    with guest(stage, "tokens") as port:
        visitor = Visitor(port)
        token = json.loads(visitor.get("/tokens/").text)
        for path, user in (
            (f"/drf/?token={token['drf']}", "ada"),
            (f"/jwt/?token={token['jwt']}", "ada"),
            (f"/drf/?token={'0' * 40}", ""),
            ("/jwt/?token=none", ""),
            ("/stack/", ""),
        ):
            with visitor.socket(path) as socket:
                socket.expect({"user": user})
    return "users by the tokens of two other packages in the query, and nobody for a wrong one"


def turbo(stage: Stage) -> str:
    """A view adds a line to the pages of two people."""
    with guest(stage, "turbo") as port:
        visitor = Visitor(port)
        name = visitor.get("/name/").text
        with visitor.socket("/ws/") as first, visitor.socket("/ws/") as second:
            for socket in (first, second):
                socket.send(type="subscribe", signed_channel_name=name)
            # It answers nothing to a subscription, so a line is said until both have heard one.
            for socket in (first, second):
                _say_until_heard(visitor, socket, name)
    return "a line of a sync view is appended to the pages of two subscribers"


def _say_until_heard(visitor: Visitor, socket: Socket, name: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        visitor.get("/say/ahoy/")
        try:
            message = socket.receive(0.5)
        except ProofError:
            if time.monotonic() > deadline:
                raise
        else:
            check(message["signed_channel_name"], name, "the name of the stream")
            check('action="append"' in message["data"], True, "whether it is appended")
            return


def sentry(stage: Stage) -> str:
    """An exception of a view, an async and a sync consumer is reported once, with its own tags."""
    with guest(stage, "sentry") as port:
        visitor = Visitor(port)
        check(visitor.get("/fail/").status, 500, "the status")
        with visitor.socket("/async/") as first, visitor.socket("/sync/") as second:
            for socket, who in ((first, "Ada"), (second, "Grace")):
                socket.send(who=who)
                socket.expect({"who": who})
            for socket in (first, second):
                socket.send()
                check(socket.close_code(), 1011, "the close code")
        error = "ZeroDivisionError"
        errors = [["/async/", error, "Ada"], ["/fail/", error, ""], ["/sync/", error, "Grace"]]
        heard = _wait_for(visitor, "/heard/", lambda heard: len(heard["transactions"]) >= 3)
        check(heard["errors"], errors, "what was reported")
        watched = [path for path in heard["transactions"] if path != "/heard/"]
        check(watched, ["/async/", "/fail/", "/sync/"], "what transactions are for")
    return (
        "its middleware around the application: an exception of a view, of an async and of a sync"
        " consumer is reported once, with its connection's tags; a transaction for each socket"
    )


def ddtrace(stage: Stage) -> str:
    """ddtrace-run finds in our aliases what it looks for in Channels; requests are traced."""
    environ = {
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_STARTUP_LOGS": "false",
    }
    with guest(stage, "ddtrace", "ddtrace-run", environ) as port:
        visitor = Visitor(port)
        with visitor.socket("/async/") as first, visitor.socket("/sync/") as second:
            for socket in (first, second):
                socket.send(n=1)
                socket.expect({"n": 1})
        traced = _wait_for(visitor, "/traced/", lambda traced: traced["requests"])
        check(traced["open"], True, "whether a span is open in a view")
        check(set(traced["requests"]), {"GET traced/"}, "what was traced")
    return "`ddtrace-run` around the server: pages are traced, sockets talk"


def _wait_for(visitor: Visitor, path: str, enough: Callable[[Any], object]) -> Any:
    """What a page says when it says ``enough``, or at the end of all patience."""
    deadline = time.monotonic() + PATIENCE
    while True:
        said = json.loads(visitor.get(path).text)
        if enough(said) or time.monotonic() > deadline:
            return said
        time.sleep(0.1)


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
            ("channels-auth-token-middlewares", tokens),
            ("turbo-django", turbo),
            ("sentry-sdk", sentry),
            ("ddtrace", ddtrace),
        )
    ),
]
