"""An identifier for each request, which its lines in all logs have in common.

It stands in the request's own header, so that the application, the access log and whatever the
application calls read it in one place; and as ``request_id`` in the scope's ``state``. What a
client sends there itself is not believed: it could give its requests the identifiers of others.
"""

import os
import re
from typing import Final

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.server.config import Config
from fairway.server.listening.proxy import Address, TrustedNetworks
from fairway.wire.http1 import Request

#: What an identifier may be that a proxy gives: nothing that means something in a log.
_IDENTIFIER: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


class RequestIds:
    """Gives each request its identifier.

    Args:
        config: Whether a proxy's are taken, and in which header.

    Attributes:
        name: That header, in lower case.
    """

    def __init__(self, config: Config) -> None:
        self.name = config.request_id_header.lower().encode("latin-1")
        self._proxies = (
            TrustedNetworks(config.trusted_proxies) if config.request_ids == "proxy" else None
        )
        self._echo = config.echo_request_id

    def mark(self, request: Request, peer: Address | None) -> None:
        """Put the identifier into the request's headers, instead of what is there.

        Args:
            request: As it came.
            peer: Who is connected; None for a Unix socket.
        """
        name = self.name
        # X_Request_ID, too: old versions of Django take it for the same header.
        alike = {key for key, _ in request.headers if key.replace(b"_", b"-") == name} - {name}
        if alike:
            request.headers[:] = [field for field in request.headers if field[0] not in alike]
        said = [value for key, value in request.headers if key == name]
        if self._proxies is not None and len(said) == 1 and _IDENTIFIER.fullmatch(said[0]):
            trusted = self._proxies.trusts(peer[0] if peer else "")
        else:
            trusted = False
        if trusted:
            return
        if said:
            request.headers[:] = [field for field in request.headers if field[0] != name]
        request.headers.append((name, os.urandom(16).hex().encode()))

    def of(self, request: Request) -> str:
        """The identifier of a request; empty if it was refused before it got one."""
        for key, value in reversed(request.headers):
            if key == self.name:
                return value.decode("latin-1")
        return ""

    def before(self, application: ASGIApplication) -> ASGIApplication:
        """An application that finds the identifier in its scope, and sends it if it is to."""

        async def identified(scope: Scope, receive: Receive, send: Send) -> None:
            value = next(
                (v for key, v in reversed(scope.get("headers", ())) if key == self.name), b""
            )
            if not value:
                await application(scope, receive, send)
                return
            scope["state"]["request_id"] = value.decode("latin-1")
            if not self._echo or scope["type"] != "http":
                # The send of a WebSocket is not wrapped: its short ways would be closed.
                await application(scope, receive, send)
                return

            async def echo(event: Event) -> None:
                if event["type"] == "http.response.start":
                    headers = [
                        field for field in event.get("headers") or () if field[0] != self.name
                    ]
                    event = {**event, "headers": [*headers, (self.name, value)]}
                await send(event)

            await application(scope, receive, echo)

        return identified
