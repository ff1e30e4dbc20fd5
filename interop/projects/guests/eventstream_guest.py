"""``django-eventstream``: server-sent events from Django's views; the pages are all there is."""

from typing import Any

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

pages: Any = get_asgi_application()
application = ProtocolTypeRouter({"http": pages})
