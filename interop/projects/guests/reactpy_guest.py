"""``reactpy-django``: components that live on the server and are rendered over a socket."""

from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

pages: Any = get_asgi_application()

from reactpy import component, hooks, html  # noqa: E402
from reactpy_django import REACTPY_WEBSOCKET_ROUTE  # noqa: E402
from reactpy_django.utils import register_component  # noqa: E402


@component
def counter() -> Any:
    """A button that counts."""
    count, set_count = hooks.use_state(0)
    return html.button({"on_click": lambda _event: set_count(count + 1)}, f"{count} clicks")


register_component("guests.reactpy_guest.counter")
application = ProtocolTypeRouter(
    {"http": pages, "websocket": AuthMiddlewareStack(URLRouter([REACTPY_WEBSOCKET_ROUTE]))}
)
