"""The ASGI border: the one place where values of any type are let in.

ASGI scopes and events are dictionaries whose values depend on ``type``; applications add keys of
their own. See https://asgi.readthedocs.io/en/latest/specs/main.html.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

#: A connection scope: ``type`` and what the specification lists for it, plus what middleware adds.
Scope: TypeAlias = dict[str, Any]

#: An ASGI event or a channel layer's message: a dictionary with a ``type``.
Event: TypeAlias = dict[str, Any]

Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
ASGIApplication: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Header fields as ASGI carries them: names in lower case, values as they came.
Headers: TypeAlias = list[tuple[bytes, bytes]]

#: What an application returns that may stand in a route: nothing. Any, as the types of Django's
#: ``path()`` know views only, which return something.
Finished: TypeAlias = Any
