"""ASGI events that an application may not send like this: what is said about each."""

from collections.abc import Iterable
from typing import Any, Final

from fairway._types import Event
from fairway.exceptions import WrongState

#: What a response takes while it waits for what.
NOT_STARTED: Final = "the response has not started and takes 'http.response.start'"
STARTED: Final = "the response has started and takes 'http.response.body'"
FILE: Final = "a file is being sent; await that first"
TRAILERS: Final = "the body is complete and takes 'http.response.trailers'"
COMPLETE: Final = "the response is complete"


def wrong_state(kind: object, state: str) -> WrongState:
    """The error for an event that belongs elsewhere, or nowhere.

    Args:
        kind: Its ``type``.
        state: What there is instead, such as :data:`STARTED`.
    """
    return WrongState(f"Cannot send {kind!r}: {state}.")


def kind_of(event: Any) -> str:
    """The ``type`` of an event that may be anything.

    Raises:
        TypeError: It is no dictionary, or its type no text.
        ValueError: It has no type.
    """
    if not isinstance(event, dict):
        raise TypeError(f"An ASGI event is a dict with a 'type', not {event!r}.")
    if "type" not in event:
        raise ValueError(f"The ASGI event {event!r} has no 'type'.")
    kind = event["type"]
    if not isinstance(kind, str):
        raise TypeError(f"The 'type' of an ASGI event is a str, not {kind!r}.")
    return kind


def status_of(event: Event, kind: str = "http.response.start") -> int:
    """The status that begins a response.

    Raises:
        ValueError: It is missing, or no number from 200 to 999.
    """
    status = event.get("status")
    if not isinstance(status, int) or not 200 <= status <= 999:
        raise ValueError(f"{kind} needs a status from 200 to 999, not {status!r}.")
    return status


def check_body(body: object) -> None:
    """See whether a part of a body is bytes, or like bytes.

    Raises:
        TypeError: It is not.
    """
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(
            f"http.response.body needs a body that is bytes, not {type(body).__name__}."
        )


def links_of(event: Event) -> list[tuple[bytes, bytes]]:
    """The header fields of an early hint.

    Raises:
        TypeError: ``links`` is missing, or not an iterable of bytes.
    """
    links: Any = event.get("links")
    if isinstance(links, bytes | str) or not isinstance(links, Iterable):
        raise TypeError(
            f"http.response.early_hint needs links that are an iterable of bytes, not {links!r}."
        )
    found = list(links)
    for link in found:
        if not isinstance(link, bytes):
            raise TypeError(f"A link of http.response.early_hint is bytes, not {link!r}.")
    return [(b"Link", link) for link in found]
