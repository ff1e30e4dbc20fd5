"""System checks: mistakes in the settings, named before the first connection meets them.

``manage.py check --tag fairway`` runs these alone. To silence one, put its id into Django's
``SILENCED_SYSTEM_CHECKS``.
"""

from collections.abc import Mapping
from typing import Final

from django.core import checks

from fairway.auth.checks import check_auth_channel_layer
from fairway.checks.application import check_asgi_application
from fairway.checks.consumers import check_consumers
from fairway.checks.layers import check_channel_layers
from fairway.checks.origins import check_origins
from fairway.checks.server import check_runserver, check_server_options
from fairway.db import check_databases
from fairway.routing.checks import check_import, check_routes
from fairway.worker.checks import check_jobs, register_task_checks

__all__ = [
    "CHECKS",
    "TAG",
    "check_asgi_application",
    "check_channel_layers",
    "check_consumers",
    "check_origins",
    "check_runserver",
    "check_server_options",
    "register_checks",
]

TAG: Final = "fairway"

#: What each check finds, by id.
CHECKS: Final[Mapping[str, str]] = {
    "fairway.E001": "`ASGI_APPLICATION` is not a dotted path.",
    "fairway.E002": "The module that `ASGI_APPLICATION` names does not exist.",
    "fairway.E003": "The module that `ASGI_APPLICATION` names has no such application.",
    "fairway.E004": "Importing `ASGI_APPLICATION` raises an exception.",
    "fairway.E005": "`ASGI_APPLICATION` is not an ASGI application: a WSGI application, say, or a "
    "consumer class without `.as_asgi()`.",
    "fairway.E006": "`CHANNEL_LAYERS`, one of its entries or a `CONFIG` in it is not a dictionary.",
    "fairway.E007": "An entry of `CHANNEL_LAYERS` has no `BACKEND`.",
    "fairway.E008": "A `BACKEND` in `CHANNEL_LAYERS` cannot be imported.",
    "fairway.E009": "A `CONFIG` in `CHANNEL_LAYERS` has an option that its backend does not know, "
    "or lacks one that it needs.",
    "fairway.E010": "An entry of `CHANNEL_LAYERS` has a `ROUTING` key, as Channels 1 wanted it.",
    "fairway.E011": "Another app's `runserver` wins over Fairway's, so no WebSocket is served.",
    "fairway.E012": "`FAIRWAY` is not a dictionary, or an option in it does not exist, has a "
    "value of the wrong kind or belongs on the command line.",
    "fairway.E013": "A handler asks for acknowledgement (`@job(acknowledge=True)`), which no layer "
    "in `CHANNEL_LAYERS` can do.",
    "fairway.E014": "`OPTIONS` of a `fairway.tasks.ChannelLayerBackend` in `TASKS` has an option "
    "that does not exist, or a value of the wrong kind.",
    "fairway.E015": "A backend in `TASKS` names a channel layer or a cache that does not exist, or "
    "a queue that no channel can be named after.",
    "fairway.E016": "Two backends in `TASKS` use the same channel.",
    "fairway.E017": "A backend in `TASKS` asks for acknowledgement, which its layer cannot do.",
    "fairway.E018": "The routes of a `URLRouter` cannot be loaded: its dotted path leads to none, "
    "say.",
    "fairway.E019": "A route of a `URLRouter`, or an entry of a `ProtocolTypeRouter`, leads to "
    "what is no ASGI application.",
    "fairway.E020": "`FAIRWAY_AUTH_CHANNEL_LAYER` names a channel layer that does not exist.",
    "fairway.E021": "An option in a `CONFIG` in `CHANNEL_LAYERS` has a value that its layer cannot "
    "use, or needs a package that is not installed.",
    "fairway.W001": "`ASGI_APPLICATION` is not set, so `runserver` has nothing to serve.",
    "fairway.W002": "The in-memory channel layer is used where several processes run: it does not "
    "reach from one to another.",
    "fairway.W003": "An entry of `CHANNEL_LAYERS` has a key that nothing reads.",
    "fairway.W004": "Tasks go through a layer that drops what no worker takes within a few "
    "minutes, or that holds only a few.",
    "fairway.W005": "Results of tasks are kept in a cache that other processes do not see.",
    "fairway.W006": "A route of a `URLRouter` can never be reached.",
    "fairway.W007": "Two routes have the same name and parameters, so `reverse()` finds one of "
    "them.",
    "fairway.W008": "`manage.py` can import `ASGI_APPLICATION`, and a server cannot: models are "
    "imported before Django is set up. (Looked for by `check --deploy` only.)",
    "fairway.W009": "A database keeps connections (`CONN_MAX_AGE`) without checking them "
    "(`CONN_HEALTH_CHECKS`).",
    "fairway.W010": "Options in `FAIRWAY` contradict each other, or say nothing without one that "
    "is not there: `tls_key` without `tls_certificate`, say.",
    "fairway.W011": "Importing `ASGI_APPLICATION` asks the database, which refuses: tables are "
    "missing, say.",
    "fairway.W012": "A method of a sync consumer is `async def`, so it never runs.",
    "fairway.W013": "A consumer knows users by their cookies, and no `OriginValidator` keeps pages "
    "of other sites away from it. (Looked for by `check --deploy` only.)",
    "fairway.W014": "A route of a `URLRouter`, or an entry of a `ProtocolTypeRouter`, leads to one "
    "consumer for all connections, which mixes them up.",
}


def register_checks() -> None:
    """Make Django run the checks of this module."""
    for check in (
        check_asgi_application,
        check_channel_layers,
        check_runserver,
        check_server_options,
        check_jobs,
        check_routes,
        check_consumers,
        check_databases,
        check_auth_channel_layer,
    ):
        checks.register(check, TAG)
    for check in (check_import, check_origins):
        checks.register(check, TAG, deploy=True)
    register_task_checks()
