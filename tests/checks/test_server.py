"""What the checks of ``runserver`` and ``FAIRWAY`` find, and say."""

import sys
from collections.abc import Iterable
from types import ModuleType

import pytest
from django.core.checks import CheckMessage
from django.core.management import get_commands
from django.test import override_settings

from fairway.checks import check_runserver
from fairway.checks import server as server_checks
from fairway.management.commands.runserver import Command as FairwayRunserver
from tests.checks.running import Settings, run


def _forget_commands() -> None:
    get_commands.cache_clear()  # type: ignore[attr-defined]  # the stubs hide functools.cache


@pytest.fixture
def commands() -> Iterable[None]:
    """Forget which app has which command, before the test and after it."""
    _forget_commands()
    yield
    _forget_commands()


@pytest.mark.usefixtures("commands")
@pytest.mark.row("2.6 daphne.E001")
class TestRunserver:
    def messages(self) -> list[CheckMessage]:
        _forget_commands()
        return check_runserver()

    def test_the_first_app_wins(self) -> None:
        """Before the other apps, ours is the command that runs."""
        with override_settings(INSTALLED_APPS=["fairway", "django.contrib.staticfiles"]):
            assert self.messages() == []

    def test_an_app_before_it(self) -> None:
        """The app whose command runs instead is named."""
        with override_settings(INSTALLED_APPS=["django.contrib.staticfiles", "fairway"]):
            (message,) = self.messages()
        assert (message.id, message.msg, message.hint) == (
            "fairway.E011",
            (
                "manage.py runserver is that of 'django.contrib.staticfiles', which does not serve "
                "WebSockets."
            ),
            "Put \"fairway\" before 'django.contrib.staticfiles' in INSTALLED_APPS.",
        )

    @pytest.mark.parametrize(
        ("base", "count"), [(FairwayRunserver, 0), (object, 1)], ids=["ours", "another"]
    )
    def test_a_command_made_from_ours(
        self, monkeypatch: pytest.MonkeyPatch, base: type, count: int
    ) -> None:
        """An app may come first with a subclass of our command, and with nothing else."""
        module = ModuleType("site_app.management.commands.runserver")
        module.Command = type("Command", (base,), {})  # type: ignore[attr-defined] # a module made by hand
        for name in ("site_app", "site_app.management", "site_app.management.commands"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(server_checks, "get_commands", lambda: {"runserver": "site_app"})
        assert len(check_runserver()) == count

    def test_a_command_that_does_not_load(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A command that raises when it is imported is not ours."""
        monkeypatch.setattr(server_checks, "get_commands", lambda: {"runserver": "nowhere_app"})
        (message,) = check_runserver()
        assert message.msg == (
            "manage.py runserver is that of 'nowhere_app', which does not serve WebSockets."
        )


class TestServerOptions:
    @pytest.mark.parametrize("options", [None, {}, {"ping_interval": 30, "root_path": "/app"}])
    def test_good_ones(self, settings: Settings, options: object) -> None:
        """Options that exist and fit are fine, and so are none."""
        settings.FAIRWAY = options
        assert run() == []

    def test_every_bad_one_is_named(self, settings: Settings) -> None:
        """Each wrong option is a message of its own."""
        settings.FAIRWAY = {"ping_intervall": 30, "threads": "many", "backlog": 10}
        assert run() == [
            (
                "fairway.E012",
                (
                    "FAIRWAY in your settings: There is no option 'ping_intervall'. "
                    "Did you mean 'ping_interval'?"
                ),
                "`fairway --help` lists all options.",
            ),
            (
                "fairway.E012",
                "FAIRWAY in your settings: threads must be a whole number, not 'many'.",
                "`fairway --help` lists all options.",
            ),
        ]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("workers", 4),
            ("chdir", "/"),
            ("drop_unread_output", False),
            ("raise_open_files", False),
        ],
    )
    def test_early(self, settings: Settings, name: str, value: object) -> None:
        """The server refuses there what the supervisor has to know, which imports no project."""
        settings.FAIRWAY = {name: value}
        assert run() == [
            (
                "fairway.E012",
                f"FAIRWAY in your settings: {name!r} belongs on the command line.",
                "`fairway --help` lists all options.",
            )
        ]

    def test_log_format(self, settings: Settings) -> None:
        """A field that no log record has is found before the server starts."""
        settings.FAIRWAY = {"log_fmt": "%(nothing)s"}
        ((identifier, message, _),) = run()
        assert identifier == "fairway.E012"
        assert message == (
            "FAIRWAY in your settings: log_fmt is no format for log records: "
            "Formatting field not found in record: 'nothing'."
        )

    def test_networks(self, settings: Settings) -> None:
        """What is no network of proxies is found before the server starts."""
        settings.FAIRWAY = {"trusted_proxies": ["here"]}
        assert run() == [
            (
                "fairway.E012",
                (
                    "FAIRWAY in your settings: trusted_proxies: 'here' does not appear to be an "
                    "IPv4 or IPv6 network."
                ),
                "`fairway --help` lists all options.",
            )
        ]

    def test_contradictions(self, settings: Settings) -> None:
        """Options that need others are mentioned; these may be on the command line."""
        settings.FAIRWAY = {"tls_key_password": "secret", "unix_socket_group": "www-data"}
        hint = "What is missing may be on the command line; then this is no mistake."
        assert run() == [
            (
                "fairway.W010",
                f"FAIRWAY in your settings: {name} needs {wanted} beside it.",
                hint,
            )
            for name, wanted in (
                ("tls_key_password", "tls_certificate"),
                ("unix_socket_group", "unix_socket"),
            )
        ]

    def test_it_must_be_a_dictionary(self, settings: Settings) -> None:
        """Anything else is shown."""
        settings.FAIRWAY = 8
        assert run() == [
            (
                "fairway.E012",
                "FAIRWAY must be a dictionary of options, not 8.",
                'Write FAIRWAY = {"ping_interval": 30.0}, say, or remove the setting.',
            )
        ]
