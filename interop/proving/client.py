"""A visitor: one person's browser, over real HTTP and real WebSockets."""

import contextlib
import http.client
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from proving.processes import ProofError

PATIENCE = 10.0  #: seconds to wait for anything that is to come


class Page:
    """An answer over HTTP."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()


class Socket:
    """A WebSocket that is open, with JSON in its messages."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @property
    def subprotocol(self) -> str | None:
        """What the server has chosen."""
        return self._connection.subprotocol

    def send(self, **content: object) -> None:
        """Send an object."""
        self._connection.send(json.dumps(content))

    def receive(self, timeout: float = PATIENCE) -> Any:
        """Return the next message.

        Raises:
            ProofError: None came within ``timeout`` seconds, or the socket was closed.
        """
        try:
            return json.loads(self._connection.recv(timeout))
        except TimeoutError:
            raise ProofError(f"no message came within {timeout:.0f} s") from None
        except ConnectionClosed as closed:
            raise ProofError(f"the socket was closed: {closed}") from None

    def receive_until(self, wanted: Callable[[Any], object]) -> Any:
        """Return the next message that is ``wanted``; others before it are passed over."""
        deadline = time.monotonic() + PATIENCE
        while True:
            message = self.receive(max(0.01, deadline - time.monotonic()))
            if wanted(message):
                return message

    def expect(self, expected: object) -> None:
        """Check the next message."""
        check(self.receive(), expected, "the message")

    def close_code(self) -> int:
        """Read up to the end; return the code that the server closed with."""
        deadline = time.monotonic() + PATIENCE
        with contextlib.suppress(ConnectionClosed):
            while time.monotonic() < deadline:
                self._connection.recv(max(0.01, deadline - time.monotonic()))
        code = self._connection.close_code
        if code is None:
            raise ProofError(f"the socket was still open after {PATIENCE:.0f} s")
        return code


class Visitor:
    """A browser with its cookies."""

    def __init__(self, port: int) -> None:
        self.host = f"127.0.0.1:{port}"
        self.cookies: dict[str, str] = {}

    def get(self, path: str) -> Page:
        """Fetch a page."""
        return self._request("GET", path, None, {})

    def post(self, path: str, **fields: str) -> Page:
        """Send a form, with Django's token against forgery."""
        fields["csrfmiddlewaretoken"] = self.cookies.get("csrftoken", "")
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._request("POST", path, urlencode(fields), headers)

    def post_json(self, path: str, content: object) -> Page:
        """Send JSON."""
        headers = {"Content-Type": "application/json"}
        return self._request("POST", path, json.dumps(content), headers)

    def log_in(self, username: str, password: str, path: str = "/login/") -> None:
        """Log in as one does in a browser."""
        check(self.get(path).status, 200, f"the status of {path}")
        answer = self.post(path, username=username, password=password)
        check(answer.status, 302, f"the status of {username}'s login")
        if "sessionid" not in self.cookies:
            raise ProofError("the login set no session cookie")

    @contextlib.contextmanager
    def socket(self, path: str, *subprotocols: str) -> Iterator[Socket]:
        """Open a WebSocket for the length of the block, from a page of the site."""
        headers = {"Cookie": self._cookie()} if self.cookies else {}
        with connect(
            f"ws://{self.host}{path}",
            origin=Origin(f"http://{self.host}"),
            additional_headers=headers,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            open_timeout=PATIENCE,
            close_timeout=PATIENCE,
            proxy=None,
        ) as connection:
            yield Socket(connection)

    @contextlib.contextmanager
    def events(self, path: str, *, last_event_id: str = "") -> Iterator[Iterator[dict[str, str]]]:
        """Open a stream of server-sent events for the length of the block."""
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        try:
            headers = {"Accept": "text/event-stream"}
            if last_event_id:
                headers["Last-Event-ID"] = last_event_id
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            check(response.status, 200, f"the status of {path}")
            yield _events(response)
        finally:
            connection.close()

    def _request(
        self, method: str, path: str, body: str | None, headers: Mapping[str, str]
    ) -> Page:
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        sent = {"Origin": f"http://{self.host}", **headers}
        if self.cookies:
            sent["Cookie"] = self._cookie()
        try:
            connection.request(method, path, body, sent)
            page = Page(connection.getresponse())
        finally:
            connection.close()
        for header in page.headers.get_all("Set-Cookie") or ():
            for name, morsel in SimpleCookie(header).items():
                self.cookies[name] = morsel.value
        return page

    def _cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    for line in response:
        text = line.decode().rstrip("\r\n")
        if not text and event:
            yield event
            event = {}
        elif match := re.match(r"(event|data|id|retry): ?(.*)", text):
            event[match[1]] = match[2]


def check(found: object, expected: object, what: str) -> None:
    """Compare.

    Raises:
        ProofError: They differ.
    """
    if found != expected:
        raise ProofError(f"{what} is {found!r}, not {expected!r}")
