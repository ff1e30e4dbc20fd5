"""The pytest fixture ``live_server``, in the place of pytest-django's, with WebSockets.

Everything else is as with pytest-django: ``live_server.url``, ``str(live_server)``,
``live_server + "/path"``, the option ``--liveserver``, a transactional database for each test that
uses it. What is new is ``live_server.ws_url``, that asynchronous views and consumers run as in
production, and that what is served is ``ASGI_APPLICATION`` where the project has one. Tests that
were written for pytest-django's server pass unchanged, and a second fixture would mean a second
server for tests that have both pages and sockets; so it has the same name.

It is a plugin of its own, which :mod:`fairway.testing.plugin` registers after all others unless
``fairway_live_server = false`` is configured.
"""

import os
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test.utils import modify_settings

from fairway._types import ASGIApplication
from fairway.testing.live import LiveServer


class _PytestLiveServer(LiveServer):
    """A ``LiveServer`` with what pytest-django's own helper asks of the fixture's value."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(_application(), host, port)
        # Switched on and off around each test that uses the server.
        self._live_server_modified_settings = modify_settings(ALLOWED_HOSTS={"append": host})


def _application() -> ASGIApplication | None:
    """What to serve for projects that have no ``ASGI_APPLICATION``: plain Django, as they know it.

    None stands for the setting.
    """
    if getattr(settings, "ASGI_APPLICATION", None):
        return None
    from fairway.http import get_asgi_application  # noqa: PLC0415  only where it is needed

    return get_asgi_application()


@pytest.fixture(scope="session")
def live_server(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    """``ASGI_APPLICATION`` on a free port, over HTTP and WebSocket, for the whole session."""
    request.getfixturevalue("django_db_setup")
    address: str = (
        request.config.getvalue("liveserver")
        or os.environ.get("DJANGO_LIVE_TEST_SERVER_ADDRESS")
        or "localhost"
    )
    host, _, port = address.partition(":")
    server = _PytestLiveServer(host, int(port or 0))
    server.start()
    yield server
    server.stop()
