"""The system checks of what serves: ``runserver`` and ``FAIRWAY``; see :mod:`fairway.checks`."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.core.management import get_commands, load_command_class


def check_runserver(**kwargs: Any) -> list[CheckMessage]:
    """Find out whether ``manage.py runserver`` is Fairway's, or made from it (E011)."""
    winner = get_commands().get("runserver")
    if not isinstance(winner, str) or winner == "fairway":
        return []
    if winner not in ("django.core", "django.contrib.staticfiles") and _extends_ours(winner):
        return []
    return [
        checks.Error(
            f"manage.py runserver is that of {winner!r}, which does not serve WebSockets.",
            hint=f'Put "fairway" before {winner!r} in INSTALLED_APPS.',
            id="fairway.E011",
        )
    ]


def _extends_ours(app_name: str) -> bool:
    """Whether an app's ``runserver`` subclasses Fairway's, and so may well come first."""
    try:
        command = load_command_class(app_name, "runserver")
    except Exception:  # noqa: BLE001  a command that cannot be loaded cannot serve either
        return False
    return any(base.__module__.startswith("fairway.management.") for base in type(command).__mro__)


def check_server_options(**kwargs: Any) -> list[CheckMessage]:
    """Find out whether options in ``FAIRWAY`` exist, are usable and fit each other (E012, W010)."""
    options = getattr(settings, "FAIRWAY", None)
    if options is None:
        return []
    if not isinstance(options, Mapping):
        return [
            checks.Error(
                f"FAIRWAY must be a dictionary of options, not {options!r}.",
                hint='Write FAIRWAY = {"ping_interval": 30.0}, say, or remove the setting.',
                id="fairway.E012",
            )
        ]
    # Not at the top: every process of a project would import them with this app, for 25 ms.
    from fairway.server.config import EARLY, Config, ConfigError  # noqa: PLC0415
    from fairway.server.listening.conflicts import conflicts  # noqa: PLC0415
    from fairway.server.listening.proxy import TrustedNetworks  # noqa: PLC0415

    early = sorted(EARLY & options.keys())
    if early:
        return [_wrong_options(f"{name!r} belongs on the command line.") for name in early]
    try:
        config = Config.from_mapping(options)
        TrustedNetworks(config.trusted_proxies)
    except ConfigError as error:
        wrong = []
        for name, value in options.items():
            try:
                Config.from_mapping({name: value})
            except ConfigError as alone:
                wrong.append(_wrong_options(alone))
        return wrong or [_wrong_options(error)]
    return [
        checks.Warning(
            f"FAIRWAY in your settings: {conflict}",
            hint="What is missing may be on the command line; then this is no mistake.",
            id="fairway.W010",
        )
        for conflict in conflicts(config)
    ]


def _wrong_options(fault: object) -> CheckMessage:
    return checks.Error(
        f"FAIRWAY in your settings: {fault}",
        hint="`fairway --help` lists all options.",
        id="fairway.E012",
    )
