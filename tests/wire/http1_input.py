"""Feeds HTTP/1.1 connections for the tests, in more than one way, and describes what comes out."""

import itertools
from collections.abc import Iterable
from typing import TypeAlias

from fairway.wire.http1 import (
    END_OF_MESSAGE,
    EndOfMessage,
    Event,
    HTTP1Connection,
    HTTP1Limits,
    Refusal,
    Request,
)
from fuzzing.http1 import said_to

__all__ = ["END", "Described", "describe", "feed", "pieces", "receive", "refusal", "request"]

END = END_OF_MESSAGE

#: An event that can be compared: a request is all its attributes.
Described: TypeAlias = dict[str, object] | bytes | EndOfMessage | Refusal

#: Inputs up to this many bytes are also cut in two at every place.
SHORT = 200


def request(**attributes: object) -> dict[str, object]:
    """What ``GET / HTTP/1.1`` with ``Host: a`` gives, but for the attributes named here."""
    return {
        "method": "GET",
        "target": attributes.get("path", b"/"),
        "path": b"/",
        "query_string": b"",
        "http_version": "1.1",
        "headers": [(b"host", b"a")],
        "keep_alive": True,
        "expect_continue": False,
        "has_body": False,
        "content_length": None,
        "upgrade": None,
        "takes_trailers": False,
        **attributes,
    }


def describe(events: Iterable[Event]) -> list[Described]:
    """Events that can be compared, with the neighbouring parts of a body joined."""
    described: list[Described] = []
    for event in events:
        last = described[-1] if described else None
        if isinstance(event, Request):
            described.append({name: getattr(event, name) for name in Request.__slots__})
        elif isinstance(event, bytes):
            assert event != b"", "a part of a body is never empty"
            if isinstance(last, bytes):
                described[-1] = last + event
            else:
                described.append(event)
        else:
            described.append(event)
    return described


def pieces(data: bytes, *cuts: int) -> list[bytes]:
    """``data`` cut at the given places."""
    places = sorted({0, len(data), *cuts})
    return [data[start:end] for start, end in itertools.pairwise(places)]


def feed(
    parts: Iterable[bytes],
    limits: HTTP1Limits | None = None,
    *,
    budget: int = 0,
) -> list[Described]:
    """What a new connection says to these parts."""
    connection = HTTP1Connection(limits or HTTP1Limits(), budget=budget)
    events: list[Event] = []
    for part in parts:
        events += said_to(part, connection)
    return describe(events)


def receive(data: bytes, limits: HTTP1Limits | None = None) -> list[Described]:
    """What a new connection says to ``data``, the same however it is cut, at once or in turns."""
    events = feed([data], limits)
    assert feed([data], limits, budget=1) == events
    assert feed(pieces(data, *range(len(data))), limits) == events
    if len(data) <= SHORT:
        for cut in range(1, len(data)):
            assert feed(pieces(data, cut), limits) == events
    return events


def refusal(data: bytes, limits: HTTP1Limits | None = None) -> Refusal:
    """The Refusal that is all a new connection says to ``data``."""
    (event,) = receive(data, limits)
    assert isinstance(event, Refusal)
    return event
