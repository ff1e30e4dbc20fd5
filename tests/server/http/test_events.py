"""What is said about ASGI events that cannot be sent."""

import re
from typing import Any

import pytest

from fairway.exceptions import WrongState
from fairway.server.http.events import (
    STARTED,
    check_body,
    kind_of,
    links_of,
    status_of,
    wrong_state,
)


def test_wrong_state() -> None:
    """An event in the wrong place: its name, the state, and what would be taken."""
    error = wrong_state("http.response.start", STARTED)
    assert type(error) is WrongState
    assert str(error) == (
        "Cannot send 'http.response.start': "
        "the response has started and takes 'http.response.body'."
    )


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        (None, TypeError, "An ASGI event is a dict with a 'type', not None."),
        ("http.response.start", TypeError, "An ASGI event is a dict with a 'type', not "),
        ({"status": 200}, ValueError, "The ASGI event {'status': 200} has no 'type'."),
        ({"type": b"http.response.start"}, TypeError, "The 'type' of an ASGI event is a str, not"),
        ({"type": []}, TypeError, "The 'type' of an ASGI event is a str, not []."),
    ],
)
def test_kind(event: Any, kind: type[Exception], message: str) -> None:
    """An event has a type."""
    with pytest.raises(kind, match=f"^{re.escape(message)}"):
        kind_of(event)
    assert kind_of({"type": "a"}) == "a"


@pytest.mark.parametrize("status", [None, "200", 199, 1000, 200.0, True])
def test_status(status: Any) -> None:
    """A status is a number from 200 to 999."""
    message = f"http.response.start needs a status from 200 to 999, not {status!r}."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        status_of({"type": "http.response.start", "status": status})
    assert status_of({"status": 418}) == 418


@pytest.mark.parametrize("body", [None, "text", 3, [b"a"]])
def test_body(body: Any) -> None:
    """A body is bytes, or like bytes."""
    message = f"http.response.body needs a body that is bytes, not {type(body).__name__}."
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        check_body(body)
    for good in (b"", bytearray(b"a"), memoryview(b"a")):
        check_body(good)


@pytest.mark.parametrize(
    ("links", "message"),
    [
        (None, "needs links that are an iterable of bytes, not None."),
        (b"</a>", "needs links that are an iterable of bytes, not b'</a>'."),
        (["</a>"], "A link of http.response.early_hint is bytes, not '</a>'."),
    ],
)
def test_links(links: Any, message: str) -> None:
    """Links are bytes, one or several."""
    with pytest.raises(TypeError, match=re.escape(message)):
        links_of({"type": "http.response.early_hint", "links": links})
    found = links_of({"links": iter([b"</a>", b"</b>"])})
    assert found == [(b"Link", b"</a>"), (b"Link", b"</b>")]
