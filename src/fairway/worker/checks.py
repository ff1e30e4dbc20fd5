"""The system check of jobs: what handlers ask for, beside what the channel layers can do."""

import importlib
from collections.abc import Mapping
from typing import Any

import django
from django.core import checks
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from fairway.layers import ChannelLayer, channel_layers
from fairway.routing import get_default_application
from fairway.worker.policy import Policies
from fairway.worker.routes import applications


def register_task_checks() -> None:
    """Make Django check the backends in ``TASKS``, ours among them (E014 to E017, W004, W005).

    It does so once ``django.tasks`` has been imported, which may first happen in the URLconf while
    the checks are running: too late.
    """
    if django.VERSION >= (6, 0):
        importlib.import_module("django.tasks")


def check_jobs(**kwargs: Any) -> list[CheckMessage]:
    """Find out whether a layer can do the acknowledgement that handlers ask for (E013)."""
    try:
        found = applications(get_default_application())
    except (Exception, SystemExit):  # noqa: BLE001  whatever importing raises: E001 to E005
        return []
    asking = [channel for channel, inner in found.items() if Policies(inner).acknowledge]
    if not asking:
        return []
    configs: Any = channel_layers.configs
    if not isinstance(configs, Mapping) or any(map(_can_acknowledge, configs.values())):
        return []
    return [
        checks.Error(
            f"A handler of channel {channel!r} asks for acknowledgement, which no layer in "
            "CHANNEL_LAYERS can do.",
            hint="Use a layer that can, such as Fairway's own, or take acknowledge=True away from "
            "@job(…).",
            id="fairway.E013",
        )
        for channel in asking
    ]


def _can_acknowledge(entry: object) -> bool:
    """Whether a layer can, as far as its class tells; no layer is made."""
    try:
        backend = import_string(entry["BACKEND"])  # type: ignore[index]  # TypeError if it is none
    except (ImportError, KeyError, TypeError, ImproperlyConfigured):
        return True  # E007 and E008 are about it
    if isinstance(backend, type) and issubclass(backend, ChannelLayer):
        return True
    abilities = getattr(backend, "abilities", ())
    # What only an instance can tell is left for the start of the worker.
    return isinstance(abilities, property) or "acknowledgement" in abilities
