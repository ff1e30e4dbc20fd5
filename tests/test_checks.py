"""What each system check finds, and says."""

import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.core.management import get_commands
from django.core.wsgi import get_wsgi_application
from django.test import override_settings

from fairway import checks
from fairway._types import Receive, Scope, Send
from fairway.checks import CHECKS, TAG
from fairway.layers import InMemoryChannelLayer
from fairway.management.commands.runserver import Command as FairwayRunserver
from fairway.routing import ProtocolTypeRouter

# pytest-django's `settings` fixture; its attributes are any setting.
Settings = Any

REDIS = "fairway.layers.redis.RedisChannelLayer"


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI 3 application."""


class Consumer:
    """What a consumer class looks like from here."""

    @classmethod
    def as_asgi(cls) -> None:
        """Stand for the class method of consumers."""


class Legacy:
    """An ASGI 2 application."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope


class StrictLayer:
    """A backend with a required option."""

    def __init__(self, hosts: list[str], prefix: str = "asgi") -> None:
        self.hosts = hosts


class OpenLayer:
    """A backend that takes any option."""

    def __init__(self, **options: object) -> None:
        self.options = options


def run() -> list[tuple[str | None, str, str | None]]:
    """The id, message and hint of all that Fairway's checks find."""
    return [(found.id, found.msg, found.hint) for found in run_checks(tags=[TAG])]


@pytest.fixture(autouse=True)
def _good_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ASGI_APPLICATION = f"{__name__}.asgi"
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterable[Path]:
    """The file of a module ``broken_asgi``, to be written."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "broken_asgi.py"
    sys.modules.pop("broken_asgi", None)


def test_good_settings_are_quiet() -> None:
    """Nothing is said about a project that is all right."""
    assert run() == []


def test_each_id_is_documented_once() -> None:
    """The table has every id, errors before warnings, numbered without a gap."""
    errors = [f"fairway.E{number:03}" for number in range(1, 22)]
    warnings = [f"fairway.W{number:03}" for number in range(1, 11)]
    assert list(CHECKS) == errors + warnings
    source = "".join(path.read_text() for path in Path(checks.__file__).parent.rglob("*.py"))
    for identifier in CHECKS:
        number = identifier.removeprefix("fairway.")
        assert source.count(number) > 1, f"{identifier} is in the table only"


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


class TestChannelLayers:
    @pytest.mark.parametrize(
        "layers",
        [
            {},
            {"default": {"BACKEND": "fairway.layers.InMemoryChannelLayer"}},
            {
                "default": {
                    "BACKEND": "fairway.layers.InMemoryChannelLayer",
                    "CONFIG": {"capacity": 5, "channel_capacity": {"jobs.*": 500}},
                    "TEST_CONFIG": {"expiry": 1},
                },
                "other": {"BACKEND": f"{__name__}.OpenLayer", "CONFIG": {"anything": "goes"}},
                "strict": {"BACKEND": f"{__name__}.StrictLayer", "CONFIG": {"hosts": []}},
            },
        ],
    )
    def test_good_ones(self, settings: Settings, layers: object) -> None:
        """Layers that can be made are fine, and so are none."""
        settings.CHANNEL_LAYERS = layers
        assert run() == []

    @pytest.mark.parametrize(
        ("layers", "identifier", "message", "hint"),
        [
            (
                None,
                "E006",
                "CHANNEL_LAYERS must be a dictionary of aliases, not None.",
                'Write CHANNEL_LAYERS = {"default": {"BACKEND": "…", "CONFIG": {…}}}.',
            ),
            (
                {"default": "fairway.layers.InMemoryChannelLayer"},
                "E006",
                (
                    "CHANNEL_LAYERS['default'] must be a dictionary, not "
                    "'fairway.layers.InMemoryChannelLayer'."
                ),
                'Write {"BACKEND": "…", "CONFIG": {…}}.',
            ),
            (
                {
                    "default": {
                        "BACKEND": "fairway.layers.InMemoryChannelLayer",
                        "CONFIG": [("capacity", 5)],
                    }
                },
                "E006",
                (
                    "CHANNEL_LAYERS['default']['CONFIG'] must be a dictionary of options, not "
                    "[('capacity', 5)]."
                ),
                'Write {"capacity": 1000}, say, or leave it out.',
            ),
            (
                {"default": {"CONFIG": {}}},
                "E007",
                "CHANNEL_LAYERS['default'] has no BACKEND.",
                'Add "BACKEND": "fairway.layers.InMemoryChannelLayer", say.',
            ),
            (
                {"default": {"BACKEND": "fairway.layers.InMemoryLayer"}},
                "E008",
                (
                    "CHANNEL_LAYERS['default'] has the BACKEND 'fairway.layers.InMemoryLayer', but "
                    "module 'fairway.layers' has no 'InMemoryLayer'."
                ),
                "Did you mean 'InMemoryChannelLayer'?",
            ),
            (
                {"default": {"BACKEND": "nowhere.core.Layer"}},
                "E008",
                (
                    "CHANNEL_LAYERS['default'] has the BACKEND 'nowhere.core.Layer', but there is "
                    "no module 'nowhere'."
                ),
                "Correct the path, or install the package that has it.",
            ),
            (
                {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
                "E008",
                (
                    "CHANNEL_LAYERS['default'] has the BACKEND "
                    "'channels.layers.InMemoryChannelLayer', but there is no module 'channels'."
                ),
                (
                    'Write "fairway.layers.InMemoryChannelLayer", or call fairway.compat.install() '
                    "in the first lines of settings."
                ),
            ),
            (
                {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}},
                "E008",
                (
                    "CHANNEL_LAYERS['default'] has the BACKEND 'channels_redis.core."
                    "RedisChannelLayer', but there is no module 'channels_redis'."
                ),
                (
                    'Write "fairway.layers.redis.RedisChannelLayer", which takes the same CONFIG, '
                    "or start with FAIRWAY_COMPAT=1 in the environment."
                ),
            ),
            (
                {"default": {"BACKEND": InMemoryChannelLayer}},
                "E008",
                (
                    "CHANNEL_LAYERS['default'] has the BACKEND <class "
                    "'fairway.layers.memory.InMemoryChannelLayer'>, but that is not text."
                ),
                "Correct the path, or install the package that has it.",
            ),
            (
                {"default": {"BACKEND": f"{__name__}.StrictLayer", "CONFIG": {"host": "x"}}},
                "E009",
                (
                    "CHANNEL_LAYERS['default']['CONFIG'] has the option 'host', which its backend "
                    "does not know."
                ),
                "Did you mean 'hosts'? It takes hosts, prefix.",
            ),
            (
                {"default": {"BACKEND": f"{__name__}.StrictLayer", "CONFIG": {3: "x"}}},
                "E009",
                (
                    "CHANNEL_LAYERS['default']['CONFIG'] has the option 3, which its backend does "
                    "not know."
                ),
                "It takes hosts, prefix.",
            ),
            (
                {"default": {"BACKEND": f"{__name__}.StrictLayer", "CONFIG": {"prefix": "x"}}},
                "E009",
                "CHANNEL_LAYERS['default']['CONFIG']: missing a required argument: 'hosts'.",
                "Options of this backend: hosts, prefix.",
            ),
            (
                {"default": {"BACKEND": REDIS, "CONFIG": {"hosts": "redis://localhost"}}},
                "E021",
                (
                    "CHANNEL_LAYERS['default']['CONFIG']: You must pass a list of Redis hosts, "
                    "even if there is only one."
                ),
                "docs/layers.md and docs/redis.md have examples of all options.",
            ),
            (
                {"default": {"BACKEND": REDIS, "CONFIG": {"serializer_format": "yaml"}}},
                "E021",
                (
                    "CHANNEL_LAYERS['default']['CONFIG']: There is no serializer for "
                    "serializer_format='yaml', only 'json', 'msgpack'."
                ),
                "docs/layers.md and docs/redis.md have examples of all options.",
            ),
            (
                {"default": {"BACKEND": f"{__name__}.OpenLayer", "ROUTING": "x.y"}},
                "E010",
                "CHANNEL_LAYERS['default'] has a ROUTING key, which only Channels 1 had.",
                "Remove it; ASGI_APPLICATION is where routing begins.",
            ),
            (
                {"default": {"BACKEND": f"{__name__}.OpenLayer", "CONFIGS": {}}},
                "W003",
                "CHANNEL_LAYERS['default'] has the key 'CONFIGS', which nothing reads.",
                "Did you mean 'CONFIG'? It may have BACKEND, CONFIG and TEST_CONFIG.",
            ),
            (
                {"default": {"BACKEND": f"{__name__}.OpenLayer", 7: {}}},
                "W003",
                "CHANNEL_LAYERS['default'] has the key 7, which nothing reads.",
                "It may have BACKEND, CONFIG and TEST_CONFIG.",
            ),
        ],
    )
    def test_bad_ones(
        self, settings: Settings, layers: object, identifier: str, message: str, hint: str
    ) -> None:
        """Each mistake is named with its place and what to write instead."""
        settings.CHANNEL_LAYERS = layers
        assert run() == [(f"fairway.{identifier}", message, hint)]

    def test_none_at_all(self, settings: Settings) -> None:
        """Without the setting there is a layer by default."""
        del settings.CHANNEL_LAYERS
        assert run() == []

    def test_all_mistakes_are_found_at_once(self, settings: Settings) -> None:
        """Every entry is looked at, and every option in it."""
        strict = f"{__name__}.StrictLayer"
        settings.CHANNEL_LAYERS = {
            "a": {"BACKEND": strict, "CONFIG": {"x": 1, "y": 2}, "TEST_CONFIG": {"z": 3}},
            "b": {"ROUTING": []},
        }
        assert [identifier for identifier, _, _ in run()] == [
            *["fairway.E009"] * 3,
            "fairway.E010",
            "fairway.E007",
        ]

    @pytest.mark.parametrize("config", [{}, {"x": 1}])
    def test_a_backend_that_is_no_class(self, settings: Settings, config: object) -> None:
        """Options of something that cannot be called cannot be compared; nothing crashes."""
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"{__name__}.number", "CONFIG": config}}
        assert run() == []


class TestProcesses:
    def test_the_in_memory_layer_with_several(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A process-wide layer is warned about where the environment asks for processes."""
        monkeypatch.setenv("WEB_CONCURRENCY", "4")
        settings.CHANNEL_LAYERS = {
            "default": {"BACKEND": "fairway.layers.InMemoryChannelLayer"},
            "other": {"BACKEND": f"{__name__}.OpenLayer"},
        }
        assert run() == [
            (
                "fairway.W002",
                (
                    "CHANNEL_LAYERS['default'] is the in-memory layer, but WEB_CONCURRENCY asks "
                    "for 4 processes: a message reaches only the sockets of the process that "
                    "sends it."
                ),
                "Use a layer across processes (see docs/layers.md), or start one process.",
            )
        ]

    @pytest.mark.parametrize("value", ["", "1", "0", "many"])
    def test_one_process_is_fine(self, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        """One process, or a value that means nothing, is not several."""
        monkeypatch.setenv("WEB_CONCURRENCY", value)
        assert run() == []


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
        return checks.check_runserver()

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
        monkeypatch.setattr(checks, "get_commands", lambda: {"runserver": "site_app"})
        assert len(checks.check_runserver()) == count

    def test_a_command_that_does_not_load(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A command that raises when it is imported is not ours."""
        monkeypatch.setattr(checks, "get_commands", lambda: {"runserver": "nowhere_app"})
        (message,) = checks.check_runserver()
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

    def test_workers(self, settings: Settings) -> None:
        """The server refuses their number there, as the supervisor does not import the project."""
        settings.FAIRWAY = {"workers": 4}
        assert run() == [
            (
                "fairway.E012",
                "FAIRWAY in your settings: 'workers' belongs on the command line.",
                "`fairway --help` lists all options.",
            )
        ]

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


@pytest.mark.parametrize("value", [None, "", "x", 0, [], [1], {}, {1: 2}, {"a": None}, object()])
@pytest.mark.parametrize("name", ["ASGI_APPLICATION", "CHANNEL_LAYERS", "FAIRWAY"])
def test_no_setting_makes_a_check_crash(settings: Settings, name: str, value: object) -> None:
    """Whatever the settings are, the checks give messages, with documented ids."""
    setattr(settings, name, value)
    assert {identifier for identifier, _, _ in run()} <= set(CHECKS)
