"""What the check of ``ASGI_APPLICATION`` finds, and says."""

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from django.core.wsgi import get_wsgi_application

from fairway._types import Scope
from fairway.routing import ProtocolTypeRouter
from tests.checks.running import Settings, asgi, run


class Consumer:
    """What a consumer class looks like from here."""

    @classmethod
    def as_asgi(cls) -> None:
        """Stand for the class method of consumers."""


class Legacy:
    """An ASGI 2 application."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterable[Path]:
    """The file of a module ``broken_asgi``, to be written."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "broken_asgi.py"
    sys.modules.pop("broken_asgi", None)


class TestApplication:
    @pytest.mark.parametrize("name", ["asgi", "Legacy", "router"])
    def test_asgi_applications_are_fine(self, settings: Settings, name: str) -> None:
        """Functions, objects and classes of ASGI 2 are accepted."""
        settings.ASGI_APPLICATION = f"{__name__}.{name}"
        assert run() == []

    def test_missing(self, settings: Settings) -> None:
        """No setting is a warning, for a project may be served by others."""
        del settings.ASGI_APPLICATION
        assert run() == [
            (
                "fairway.W001",
                "ASGI_APPLICATION is not set, so runserver has nothing to serve.",
                'Add ASGI_APPLICATION = "tests.asgi.application" to your settings.',
            )
        ]

    @pytest.mark.parametrize("urlconf", [None, "urls", 3])
    def test_the_example_needs_no_urlconf(self, settings: Settings, urlconf: object) -> None:
        """Without a package to take it from, the hint's example has a made-up name."""
        settings.ROOT_URLCONF = urlconf
        del settings.ASGI_APPLICATION
        ((_, _, hint),) = run()
        assert hint == 'Add ASGI_APPLICATION = "mysite.asgi.application" to your settings.'

    @pytest.mark.parametrize(
        ("value", "identifier", "message", "hint"),
        [
            (
                42,
                "E001",
                "ASGI_APPLICATION is 42, but that is not text.",
                'Write the path of your application, such as "tests.asgi.application".',
            ),
            (
                "application",
                "E001",
                "ASGI_APPLICATION is 'application', but that is not a dotted path.",
                'Write the path of your application, such as "tests.asgi.application".',
            ),
            (
                "my site.asgi.application",
                "E001",
                "ASGI_APPLICATION is 'my site.asgi.application', but that is not a dotted path.",
                'Write the path of your application, such as "tests.asgi.application".',
            ),
            (
                "mysite.asgi:application",
                "E001",
                (
                    "ASGI_APPLICATION is 'mysite.asgi:application', but a colon is the command "
                    "line's way."
                ),
                'Write "mysite.asgi.application".',
            ),
            (
                "tests.asgii.application",
                "E002",
                (
                    "ASGI_APPLICATION is 'tests.asgii.application', but there is no module "
                    "'tests.asgii'."
                ),
                'Write the path of your application, such as "tests.asgi.application".',
            ),
            (
                "nowhere.asgi.application",
                "E002",
                "ASGI_APPLICATION is 'nowhere.asgi.application', but there is no module 'nowhere'.",
                'Write the path of your application, such as "tests.asgi.application".',
            ),
            (
                f"{__name__}.asgii",
                "E003",
                f"ASGI_APPLICATION is '{__name__}.asgii', but module '{__name__}' has no 'asgii'.",
                "Did you mean 'asgi'?",
            ),
            (
                f"{__name__}.something_else_entirely",
                "E003",
                (
                    f"ASGI_APPLICATION is '{__name__}.something_else_entirely', but module "
                    f"'{__name__}' has no 'something_else_entirely'."
                ),
                'Write the path of your application, such as "tests.asgi.application".',
            ),
        ],
    )
    def test_paths_that_lead_nowhere(
        self, settings: Settings, value: object, identifier: str, message: str, hint: str
    ) -> None:
        """Each wrong path is told apart, with what to write instead."""
        settings.ASGI_APPLICATION = value
        assert run() == [(f"fairway.{identifier}", message, hint)]

    @pytest.mark.parametrize(
        ("source", "error"),
        [
            ("1 / 0", "ZeroDivisionError: division by zero"),
            ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
            ("raise SystemExit('no configuration')", "SystemExit: no configuration"),
        ],
    )
    def test_exceptions_while_importing(
        self, settings: Settings, broken: Path, source: str, error: str
    ) -> None:
        """Whatever the import raises is told, with its place, and does not end the checks."""
        broken.write_text(f"\n{source}\n")
        settings.ASGI_APPLICATION = "broken_asgi.application"
        assert run() == [
            (
                "fairway.E004",
                (
                    "ASGI_APPLICATION is 'broken_asgi.application', but importing 'broken_asgi' "
                    f"raises {error}."
                ),
                f"It is raised at {broken}:2.",
            )
        ]

    def test_exceptions_of_packages(self, settings: Settings, broken: Path) -> None:
        """What a package raises is led to by a line of the project's, which can be mended."""
        broken.write_text(
            "from django.urls import path\n"
            "from fairway.generic.websocket import WebsocketConsumer\n"
            "from fairway.routing import URLRouter\n"
            "application = URLRouter([path('ws/', WebsocketConsumer)])\n"
        )
        settings.ASGI_APPLICATION = "broken_asgi.application"
        assert run() == [
            (
                "fairway.E004",
                (
                    "ASGI_APPLICATION is 'broken_asgi.application', but importing 'broken_asgi' "
                    "raises ImproperlyConfigured: URLRouter: <URLPattern 'ws/'> leads to the class "
                    "WebsocketConsumer. Write WebsocketConsumer.as_asgi()."
                ),
                (
                    f"{broken}:4 leads to it: "
                    "application = URLRouter([path('ws/', WebsocketConsumer)])"
                ),
            )
        ]

    def test_queries_while_importing(self, settings: Settings, broken: Path) -> None:
        """A table that is not there yet does not stop the command that makes it."""
        broken.write_text(
            "from django.db import OperationalError\n"
            "raise OperationalError('no such table: chat_room')\n"
        )
        settings.ASGI_APPLICATION = "broken_asgi.application"
        assert run() == [
            (
                "fairway.W011",
                (
                    "ASGI_APPLICATION is 'broken_asgi.application', but importing 'broken_asgi' "
                    "raises OperationalError: no such table: chat_room."
                ),
                (
                    f"It is raised at {broken}:2.\n"
                    "If tables are missing, run migrate. A query that stands in a function is not "
                    "made before it is needed."
                ),
            )
        ]

    @pytest.mark.parametrize(
        ("name", "reason", "hint"),
        [
            (
                "Consumer",
                "is the consumer class Consumer, not an application",
                (
                    "Route to Consumer.as_asgi() in a URLRouter, and name what is around it: "
                    '"tests.asgi.application".'
                ),
            ),
            (
                "wsgi",
                "takes two arguments, so it seems to be a WSGI application",
                (
                    "Make one with fairway.http.get_asgi_application(), and name it: "
                    '"tests.asgi.application".'
                ),
            ),
            (
                "nothing",
                "is of type NoneType and cannot be called",
                'Write the path of your ASGI application, such as "tests.asgi.application".',
            ),
            (
                "number",
                "is of type int and cannot be called",
                'Write the path of your ASGI application, such as "tests.asgi.application".',
            ),
            (
                "too_few",
                "cannot be called with scope, receive and send",
                'Write the path of your ASGI application, such as "tests.asgi.application".',
            ),
        ],
    )
    def test_what_is_not_asgi(self, settings: Settings, name: str, reason: str, hint: str) -> None:
        """An object that a server could not call is named for what it is."""
        settings.ASGI_APPLICATION = f"{__name__}.{name}"
        message = f"ASGI_APPLICATION is '{__name__}.{name}', which {reason}."
        assert run() == [("fairway.E005", message, hint)]


router = ProtocolTypeRouter({"http": asgi})
wsgi = get_wsgi_application()
nothing = None
number = 1


def too_few() -> None:
    """Take nothing at all."""
