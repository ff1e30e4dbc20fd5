"""Plain Django over HTTP."""

import asyncio
import os
import subprocess
import sys
from typing import cast

from django.core.handlers.asgi import ASGIHandler

from fairway._types import ASGIApplication, Event
from fairway.http import get_asgi_application


class TestGetAsgiApplication:
    """``get_asgi_application``."""

    async def test_serves_views(self) -> None:
        """The application is Django's handler, and answers requests."""
        handler = get_asgi_application()
        assert isinstance(handler, ASGIHandler)
        application = cast("ASGIApplication", handler)
        events = [{"type": "http.request"}]
        sent: list[Event] = []

        async def receive() -> Event:
            if not events:
                await asyncio.Event().wait()
            return events.pop()

        async def send(event: Event) -> None:
            sent.append(event)

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/no/such/page/",
            "query_string": b"",
            "headers": [(b"host", b"testserver")],
        }
        await application(scope, receive, send)
        assert [event["type"] for event in sent] == ["http.response.start", "http.response.body"]
        assert sent[0]["status"] == 404

    def test_sets_django_up(self) -> None:
        """Models can be imported after it was called."""
        code = """
from fairway.http import get_asgi_application
application = get_asgi_application()
from django.contrib.auth.models import User
"""
        env = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        subprocess.run([sys.executable, "-c", code], check=True, env=env)
