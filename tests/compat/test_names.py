"""Every public name of Channels, Daphne and channels_redis is there under its own name.

So are the names that their modules only import, where projects import them from there.
"""

import json
import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest

ROWS = [
    pytest.param(
        {"channels": "__version__ DEFAULT_CHANNEL_LAYER"}, marks=pytest.mark.row("0 channels")
    ),
    pytest.param({"channels.apps": "ChannelsConfig"}, marks=pytest.mark.row("0 channels.apps")),
    pytest.param(
        {
            "channels.auth": "get_user login logout UserLazyObject AuthMiddleware "
            "AuthMiddlewareStack _get_user_session_key"
        },
        marks=pytest.mark.row("0 channels.auth"),
    ),
    pytest.param(
        {
            "channels.consumer": "get_handler_name AsyncConsumer SyncConsumer "
            "StopConsumer async_to_sync await_many_dispatch database_sync_to_async "
            "get_channel_layer"
        },
        marks=pytest.mark.row("0 channels.consumer"),
    ),
    pytest.param(
        {"channels.db": "DatabaseSyncToAsync database_sync_to_async aclose_old_connections"},
        marks=pytest.mark.row("0 channels.db"),
    ),
    pytest.param(
        {
            "channels.exceptions": "RequestAborted RequestTimeout InvalidChannelLayerError "
            "AcceptConnection DenyConnection ChannelFull MessageTooLarge StopConsumer"
        },
        marks=pytest.mark.row("0 channels.exceptions"),
    ),
    pytest.param(
        {"channels.generic.http": "AsyncHttpConsumer"},
        marks=pytest.mark.row("0 channels.generic.http"),
    ),
    pytest.param(
        {
            "channels.generic.websocket": "WebsocketConsumer JsonWebsocketConsumer "
            "AsyncWebsocketConsumer AsyncJsonWebsocketConsumer "
            "AcceptConnection DenyConnection StopConsumer async_to_sync"
        },
        marks=pytest.mark.row("0 channels.generic.websocket"),
    ),
    pytest.param(
        {
            "channels.layers": "ChannelLayerManager BaseChannelLayer InMemoryChannelLayer "
            "get_channel_layer channel_layers "
            "ChannelFull InvalidChannelLayerError DEFAULT_CHANNEL_LAYER"
        },
        marks=pytest.mark.row("0 channels.layers"),
    ),
    pytest.param(
        {"channels.middleware": "BaseMiddleware"}, marks=pytest.mark.row("0 channels.middleware")
    ),
    pytest.param(
        {
            "channels.routing": "get_default_application ProtocolTypeRouter URLRouter "
            "ChannelNameRouter"
        },
        marks=pytest.mark.row("0 channels.routing"),
    ),
    pytest.param(
        {
            "channels.security.websocket": "OriginValidator AllowedHostsOriginValidator "
            "WebsocketDenier"
        },
        marks=pytest.mark.row("0 channels.security.websocket"),
    ),
    pytest.param(
        {
            "channels.sessions": "CookieMiddleware InstanceSessionWrapper SessionMiddleware "
            "SessionMiddlewareStack"
        },
        marks=pytest.mark.row("0 channels.sessions"),
    ),
    pytest.param(
        {
            "channels.testing": "ApplicationCommunicator HttpCommunicator WebsocketCommunicator "
            "ChannelsLiveServerTestCase",
            "channels.testing.application": "ApplicationCommunicator",
            "channels.testing.http": "HttpCommunicator",
            "channels.testing.websocket": "WebsocketCommunicator",
            "channels.testing.live": "ChannelsLiveServerTestCase make_application "
            "set_database_connection",
        },
        marks=pytest.mark.row("0 channels.testing"),
    ),
    pytest.param(
        {"channels.utils": "name_that_thing await_many_dispatch"},
        marks=pytest.mark.row("0 channels.utils"),
    ),
    pytest.param({"channels.worker": "Worker"}, marks=pytest.mark.row("0 channels.worker")),
    pytest.param(
        {"channels.management.commands.runworker": "Command"},
        marks=pytest.mark.row("0 channels.management.commands.runworker"),
    ),
    pytest.param({"daphne": "__version__"}, marks=pytest.mark.row("0 daphne")),
    pytest.param(
        {
            "daphne.access": "AccessLogGenerator",
            "daphne.apps": "DaphneConfig",
            "daphne.checks": "check_daphne_installed",
            "daphne.cli": "CommandLineInterface",
            "daphne.endpoints": "build_endpoint_description_strings",
            "daphne.server": "Server",
            "daphne.utils": "import_by_path header_value parse_x_forwarded_for HEADER_NAME_RE "
            "INVALID_HEADER_VALUE_BYTES",
            "daphne.testing": "BaseDaphneTestingInstance DaphneTestingInstance DaphneProcess "
            "TestApplication",
            "daphne.management.commands.runserver": "Command",
        },
        marks=pytest.mark.row("0 daphne.*"),
    ),
    pytest.param(
        {
            "channels_redis": "__version__",
            "channels_redis.core": "RedisChannelLayer RedisLoopLayer ChannelLock BoundedQueue "
            "ChannelFull",
            "channels_redis.pubsub": "RedisPubSubChannelLayer RedisPubSubLoopLayer "
            "RedisSingleShardConnection",
            "channels_redis.serializers": "registry SerializersRegistry BaseMessageSerializer "
            "JSONSerializer MsgPackSerializer MissingSerializer SerializerDoesNotExist",
            "channels_redis.utils": "create_pool decode_hosts _consistent_hash _close_redis",
        },
        marks=pytest.mark.row("0 channels_redis"),
    ),
]

PROGRAM = """
import importlib, json, sys
import fairway.compat
fairway.compat.install()
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["daphne", "channels", "django.contrib.auth", "django.contrib.contenttypes",
                    "django.contrib.sessions", "django.contrib.staticfiles"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    SECRET_KEY="x",
)
django.setup()
missing = []
for module_name, names in json.load(sys.stdin).items():
    module = importlib.import_module(module_name)
    for name in names.split():
        try:
            exec(f"from {module_name} import {name} as found")
        except ImportError as error:
            missing.append(f"{module_name}.{name}: {error}")
        else:
            assert found is getattr(module, name)
json.dump([missing, sorted(
    name for name, module in sys.modules.items()
    if name.partition(".")[0] in ("channels", "daphne", "channels_redis")
    and "fairway" not in (getattr(module, "__file__", None) or "fairway")
)], sys.stdout)
"""


@pytest.fixture(scope="module")
def found() -> tuple[list[str], list[str]]:
    """What is missing of all the names, and what was imported from elsewhere."""
    wanted: dict[str, Any] = {}
    for row in ROWS:
        (names,) = row.values
        assert isinstance(names, dict)
        wanted |= names
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(PROGRAM)],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert result.returncode == 0, result.stderr
    missing, foreign = json.loads(result.stdout)
    return missing, foreign


@pytest.mark.parametrize("row", ROWS)
def test_names(row: dict[str, Any], found: tuple[list[str], list[str]]) -> None:
    """Each can be imported, and is an object of Fairway's."""
    missing, foreign = found
    assert [text for text in missing if text.partition(": ")[0].rpartition(".")[0] in row] == []
    assert foreign == []
