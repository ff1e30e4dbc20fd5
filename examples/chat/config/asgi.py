"""The ASGI application: pages go to Django, WebSockets to the consumers.

`manage.py runserver` serves it, and so does `fairway config.asgi:application` or any other ASGI
server.
"""

import os

from fairway.auth import AuthMiddlewareStack
from fairway.http import get_asgi_application
from fairway.routing import ProtocolTypeRouter, URLRouter
from fairway.security.websocket import AllowedHostsOriginValidator

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# This loads the apps, so everything that imports models has to be imported after it.
pages = get_asgi_application()

from chat.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": pages,
        # From the outside in: no page of a foreign site may open a socket here with our visitor's
        # cookies; the session cookie becomes `scope["user"]`; the path picks the consumer.
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(URLRouter(websocket_urlpatterns))
        ),
    }
)
