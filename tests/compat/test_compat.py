"""The real packages' names are Fairway; each test runs in an interpreter of its own."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


def run(code: str, *before: str) -> str:
    """Run code after ``install()`` in a fresh interpreter; return what it printed."""
    program = "\n".join(
        [*before, "import fairway.compat", "fairway.compat.install()", textwrap.dedent(code)]
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


SETUP = """
from django.conf import settings
def setup(*apps):
    settings.configure(
        INSTALLED_APPS=[*apps, "django.contrib.auth", "django.contrib.contenttypes",
                        "django.contrib.sessions", "django.contrib.staticfiles"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        STATIC_URL="/static/",
        SECRET_KEY="x",
    )
    import django
    django.setup()
"""


class TestAliases:
    """Modules under two names."""

    def test_are_the_same_objects(self) -> None:
        """Each alias is our module itself, by every way of importing it, and ours is unchanged."""
        run("""
            import importlib, importlib.util, django
            django.setup()
            for alias, target in fairway.compat.ALIASES.items():
                if importlib.util.find_spec(target) is None:
                    assert importlib.util.find_spec(alias) is None, alias
                    continue
                spec = importlib.util.find_spec(alias)
                assert spec is not None, alias
                ours = importlib.import_module(target)
                before = dict(vars(ours))
                module = importlib.import_module(alias)
                assert module is ours, alias
                assert ours.__name__ == target and ours.__spec__.name == target, alias
                assert ours.__spec__.origin == spec.origin, alias
                assert ours.__loader__ is before["__loader__"], alias
                parent, _, child = alias.rpartition(".")
                assert getattr(importlib.import_module(parent), child) is ours, alias
                assert importlib.util.find_spec(alias).origin == spec.origin, alias
        """)

    def test_statements(self) -> None:
        """Every form of the import statement works, also first of all in a process."""
        run("""
            from channels.security.websocket import OriginValidator
            import channels.security.websocket as module
            import channels.routing
            from channels import db, routing
            from channels.utils import *
            import fairway.db, fairway.routing, fairway.security.websocket
            assert module is fairway.security.websocket
            assert OriginValidator is module.OriginValidator
            assert channels.routing is routing is fairway.routing
            assert db is fairway.db
            assert group_name is not None
        """)

    def test_ours_first(self) -> None:
        """It does not matter which name was imported first."""
        run(
            "import channels.utils; assert channels.utils is fairway.utils",
            "import fairway.utils",
        )

    def test_patches(self) -> None:
        """A patch under either name is seen under both."""
        run("""
            from unittest import mock
            import fairway.auth
            with mock.patch("channels.auth.get_user") as patched:
                assert fairway.auth.get_user is patched
            assert fairway.auth.get_user is not patched
        """)

    def test_pickle(self) -> None:
        """What was pickled under the old name is loaded, and pickled under ours."""
        run("""
            import pickle
            old = b"cchannels.exceptions\\nChannelFull\\n."
            cls = pickle.loads(old)
            from fairway.exceptions import ChannelFull
            assert cls is ChannelFull
            assert pickle.loads(pickle.dumps(cls)) is cls
            assert type(pickle.loads(pickle.dumps(cls("x")))) is cls
        """)

    def test_watched_imports(self) -> None:
        """A tracer that waits for an alias finds our module's contents under the alias's name.

        It wraps the loader, as wrapt does for Datadog's and New Relic's, and is handed the module
        that was loaded. What it replaces, in a class or in the module, is replaced in ours.
        """
        run("""
            import importlib.util, sys
            seen = []

            class Watch:
                busy = False

                def find_spec(self, name, path, target=None):
                    if self.busy or name not in {"channels.utils", "channels.routing"}:
                        return None
                    self.busy = True
                    spec = importlib.util.find_spec(name)
                    self.busy = False
                    load = spec.loader.exec_module
                    def exec_module(module):
                        load(module)
                        module.__loader__ = self
                        seen.append(module)
                    spec.loader.exec_module = exec_module
                    return spec

            sys.meta_path.insert(0, Watch())
            import channels.routing, channels.utils, fairway.routing, fairway.utils
            routing, utils = seen
            assert (routing.__name__, utils.__name__) == ("channels.routing", "channels.utils")
            assert routing.URLRouter is fairway.routing.URLRouter
            assert not hasattr(routing, "absent")
            utils.name_that_thing = repr
            assert channels.utils.name_that_thing is fairway.utils.name_that_thing is repr
            assert channels.routing is fairway.routing is not routing
            assert type(fairway.routing.__loader__) is not Watch
        """)

    def test_reload(self) -> None:
        """An alias can be reloaded; it stays our module."""
        run("""
            import importlib, channels.utils, fairway.utils
            assert importlib.reload(channels.utils) is fairway.utils
            assert channels.utils is fairway.utils
        """)

    @pytest.mark.parametrize(
        "name",
        [
            "channels.http",
            "channels.delivery",
            "channels.wire.frames",
            "channels.layers.memory",
            "channels.security.other",
            "channels.management.commands.runserver",
            "channels.models",
            "channels.staticfiles",
            "channels.signals",
            "channels.hacks",
            "channels_redis.absent",
            "channels_redis.layers",
            "daphne.models",
            "daphne.wire",
        ],
    )
    @pytest.mark.row("6 gone in 4.x")
    def test_names_without_counterpart(self, name: str) -> None:
        """What the packages do not have, or have no more, cannot be imported."""
        run(f"""
            import importlib
            try:
                importlib.import_module("{name}")
            except ModuleNotFoundError as error:
                assert "{name}".startswith(error.name), error
                assert str(error) == f"No module named {{error.name!r}}", error
            else:
                raise AssertionError("found")
        """)

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            (
                "daphne.http_protocol",
                (
                    "these are protocols of Twisted, which Fairway's server does not use. To see "
                    "every request, give daphne.server.Server an action_logger, or wrap the "
                    "application."
                ),
            ),
            (
                "daphne.ws_protocol",
                (
                    "these are protocols of autobahn, which Fairway's server does not use. To see "
                    "every message, wrap the application."
                ),
            ),
            (
                "daphne.twisted",
                (
                    "it is a plugin of Twisted. Fairway understands endpoints such as fd:fileno=3 "
                    "by itself."
                ),
            ),
        ],
    )
    def test_names_that_cannot_be(self, name: str, reason: str) -> None:
        """What stands on Twisted's protocols says so, and what to use instead."""
        printed = run(f"""
            try:
                import {name}
            except ModuleNotFoundError as error:
                assert error.name == "{name}"
                print(error)
        """)
        assert printed == f"No module named {name!r} in Fairway: {reason}"

    def test_no_second_copy(self) -> None:
        """Our submodules cannot be loaded a second time through an aliased package."""
        run("""
            import importlib
            import channels.security, fairway.security
            fairway.security.__path__.append(fairway.__path__[0])
            try:
                importlib.import_module("channels.security.utils")
            except ModuleNotFoundError as error:
                assert str(error) == "No module named 'channels.security.utils'"
            else:
                raise AssertionError("found")
        """)


class TestRoots:
    """``channels`` and ``daphne`` themselves."""

    def test_attributes(self) -> None:
        """They have versions of their own, which other packages compare."""
        run("""
            import channels, daphne, fairway
            assert channels.__version__ >= "4.0.0" and daphne.__version__ >= "4.0.0"
            assert channels.__version__ != fairway.__version__
            assert channels.DEFAULT_CHANNEL_LAYER == fairway.DEFAULT_CHANNEL_LAYER == "default"
            assert channels.__name__ == "channels" and daphne.__spec__.name == "daphne"
        """)

    def test_channels_redis(self) -> None:
        """So has ``channels_redis``; importing it takes no redis-py."""
        run("""
            import sys
            sys.modules["redis"] = None
            import channels_redis.core, channels_redis.pubsub, channels_redis.utils
            assert channels_redis.__version__ >= "4.0.0"
            assert fairway.__path__[0] in channels_redis.__file__
        """)


class TestInstall:
    """``install``."""

    def test_is_lazy(self) -> None:
        """It imports nothing of Django, and none of what it gives names to."""
        printed = run("""
            import sys
            print(sorted(n for n in sys.modules if n.split(".")[0] in ("fairway", "django",
                                                    "channels", "daphne", "channels_redis")))
        """)
        assert printed == "['fairway', 'fairway.compat']"

    def test_twice(self) -> None:
        """Further calls do nothing, also when modules are imported in between."""
        run("""
            import sys
            import channels.utils
            finders = list(sys.meta_path)
            fairway.compat.install()
            assert sys.meta_path == finders
        """)

    @pytest.mark.parametrize("name", ["channels", "daphne", "channels_redis"])
    def test_wins_over_installed_packages(self, name: str, tmp_path: Path) -> None:
        """The real packages are never imported, also where they are installed."""
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise AssertionError")
        (tmp_path / name / "other.py").write_text("")
        run(
            f"""
            import {name}, importlib.util
            assert {name}.__version__ >= "4"
            assert importlib.util.find_spec("{name}.other") is None
            """,
            f"import sys; sys.path.insert(0, {str(tmp_path)!r})",
        )

    @pytest.mark.parametrize("name", ["channels", "daphne", "channels_redis"])
    def test_too_late(self, tmp_path: Path, name: str) -> None:
        """After the real package was imported, it says so and what to do, and changes nothing."""
        (tmp_path / name).mkdir()
        file = tmp_path / name / "__init__.py"
        file.write_text("")
        code = f"""
            import sys
            sys.path.insert(0, {str(tmp_path)!r})
            import {name}
            import fairway.compat
            finders = list(sys.meta_path)
            try:
                fairway.compat.install()
            except RuntimeError as error:
                print(error)
            assert sys.meta_path == finders
        """
        result = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout.strip() == (
            f"fairway.compat.install() came too late: {name!r} is already imported, from {file}. "
            "Call it before anything imports it: in the first lines of manage.py, asgi.py and the "
            "settings, or set FAIRWAY_COMPAT=1 in the environment."
        )


class TestInstalledApps:
    """``INSTALLED_APPS`` with the old names."""

    @pytest.mark.parametrize(
        "apps",
        [
            ["daphne", "channels"],
            ["channels", "daphne"],
            ["daphne", "channels", "fairway"],
            ["fairway", "daphne", "channels"],
            ["daphne.apps.DaphneConfig", "channels.apps.ChannelsConfig"],
        ],
    )
    def test_setup(self, apps: list[str]) -> None:
        """All combinations start, and both commands are ours whichever app brings them."""
        run(
            f"""
            setup(*{apps!r})
            from django.apps import apps
            from django.core.management import get_commands, load_command_class
            assert apps.get_app_config("channels").verbose_name == "Channels"
            assert apps.get_app_config("daphne").verbose_name == "Daphne"
            commands = get_commands()
            for name in ("runserver", "runworker"):
                command = load_command_class(commands[name], name)
                module = "fairway.management.commands." + name
                assert type(command).__module__ == module, (name, commands[name])
            """,
            SETUP,
        )

    @pytest.mark.parametrize(
        ("app", "commands"),
        [("daphne", ["runserver"]), ("channels", ["fairway_migrate", "runworker"])],
    )
    def test_one_of_them(self, app: str, commands: list[str]) -> None:
        """Each app brings its own commands, and no others; one of ours comes with ``channels``."""
        run(
            f"""
            setup("{app}")
            from django.core.management import get_commands, load_command_class
            found = sorted(name for name, app in get_commands().items() if app == "{app}")
            assert found == {commands!r}
            for name in found:
                module = "fairway.management.commands." + name
                assert type(load_command_class("{app}", name)).__module__ == module
            """,
            SETUP,
        )

    @pytest.mark.parametrize("app", ["channels", "daphne"])
    def test_fairway_need_not_be_there(self, app: str) -> None:
        """Either alone brings Fairway's checks, too, and what ends users' sockets."""
        run(
            f"""
            setup("{app}")
            from django.contrib.auth.signals import user_logged_out
            from django.core.checks.registry import registry
            assert registry.tag_exists("fairway")
            assert user_logged_out.receivers
            """,
            SETUP,
        )


class TestSettings:
    """Dotted paths."""

    @pytest.mark.row("0 channels.layers")
    def test_layers(self) -> None:
        """``BACKEND`` may name a layer under its old name."""
        run("""
            from django.conf import settings
            settings.configure(CHANNEL_LAYERS={
                "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}})
            from channels.layers import get_channel_layer
            import fairway.layers
            assert type(get_channel_layer()) is fairway.layers.InMemoryChannelLayer
        """)

    @pytest.mark.row("0 channels_redis")
    @pytest.mark.parametrize("path", ["core.RedisChannelLayer", "pubsub.RedisPubSubChannelLayer"])
    def test_redis(self, path: str) -> None:
        """Both layers of channels_redis are Fairway's one layer over Redis."""
        run(f"""
            from django.conf import settings
            settings.configure(CHANNEL_LAYERS={{
                "default": {{"BACKEND": "channels_redis.{path}",
                             "CONFIG": {{"hosts": [("127.0.0.1", 6379)]}}}}}})
            from channels.layers import get_channel_layer
            from fairway.layers.redis import RedisChannelLayer
            assert type(get_channel_layer()) is RedisChannelLayer
        """)

    @pytest.mark.row("2.6 daphne.E001")
    def test_order(self) -> None:
        """``"daphne"`` behind ``staticfiles`` is found by the check that Daphne has."""
        printed = run(
            """
            from django.conf import settings
            settings.configure(INSTALLED_APPS=["django.contrib.staticfiles", "daphne"],
                               STATIC_URL="/static/")
            import django
            django.setup()
            from django.core.checks import run_checks
            for message in run_checks(tags=["staticfiles"]):
                print(message.id, message.msg)
            """
        )
        assert printed == (
            "daphne.E001 Daphne must be listed before django.contrib.staticfiles in INSTALLED_APPS."
        )


class TestConsumers:
    """Code as it is written for Channels."""

    def test_runs(self) -> None:
        """A project's consumers, routing and settings work under their old imports."""
        run("""
            import asyncio, django
            django.setup()
            from django.urls import path
            from channels.auth import AuthMiddlewareStack
            from channels.generic.websocket import AsyncJsonWebsocketConsumer
            from channels.layers import get_channel_layer
            from channels.routing import ProtocolTypeRouter, URLRouter
            from channels.security.websocket import AllowedHostsOriginValidator
            from channels.testing import WebsocketCommunicator

            class Chat(AsyncJsonWebsocketConsumer):
                groups = ["chat"]
                async def receive_json(self, content):
                    await self.channel_layer.group_send("chat", {"type": "chat.said", **content})
                async def chat_said(self, event):
                    await self.send_json({"said": event["text"], "by": str(self.scope["user"])})

            websocket = AuthMiddlewareStack(URLRouter([path("ws/", Chat.as_asgi())]))
            application = ProtocolTypeRouter(
                {"websocket": AllowedHostsOriginValidator(websocket)})

            async def main():
                headers = [(b"origin", b"http://localhost:8000")]
                socket = WebsocketCommunicator(application, "/ws/", headers)
                assert await socket.connect() == (True, None)
                await socket.send_json_to({"text": "hello"})
                assert await socket.receive_json_from() == {
                    "said": "hello", "by": "AnonymousUser"}
                await socket.disconnect()

            asyncio.run(main())
        """)
