"""System checks: mistakes in the settings, named before the first connection meets them.

``manage.py check --tag fairway`` runs these alone. To silence one, put its id into Django's
``SILENCED_SYSTEM_CHECKS``.
"""

import dataclasses
import difflib
import importlib
import inspect
import os
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.core.management import get_commands, load_command_class

from fairway.auth.checks import check_auth_channel_layer
from fairway.db import check_databases
from fairway.layers import ChannelLayer, InMemoryChannelLayer, channel_layers
from fairway.routing.checks import check_import, check_routes
from fairway.worker.checks import check_jobs, register_task_checks

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
    "fairway.E019": "A route of a `URLRouter` leads to what is no ASGI application.",
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
}

_LAYER_KEYS = ("BACKEND", "CONFIG", "TEST_CONFIG")


def register_checks() -> None:
    """Make Django run the checks of this module."""
    for check in (
        check_asgi_application,
        check_channel_layers,
        check_runserver,
        check_server_options,
        check_jobs,
        check_routes,
        check_databases,
        check_auth_channel_layer,
    ):
        checks.register(check, TAG)
    checks.register(check_import, TAG, deploy=True)
    register_task_checks()


def check_asgi_application(**kwargs: Any) -> list[CheckMessage]:
    """Find out whether ``ASGI_APPLICATION`` leads to an ASGI application (E001 to E005, W001).

    The application is imported, as the server would do. Whatever that raises becomes a message.
    """
    path = getattr(settings, "ASGI_APPLICATION", None)
    example = f"{_project_package()}.asgi.application"
    if path is None:
        return [
            checks.Warning(
                "ASGI_APPLICATION is not set, so runserver has nothing to serve.",
                hint=f'Add ASGI_APPLICATION = "{example}" to your settings.',
                id="fairway.W001",
            )
        ]
    found = _resolve(path)
    if isinstance(found, _Unresolved):
        ids = {"path": "E001", "module": "E002", "name": "E003", "raised": "E004"}
        return [
            checks.Error(
                f"ASGI_APPLICATION is {path!r}, but {found.reason}.",
                hint=found.hint or f'Write the path of your application, such as "{example}".',
                id=f"fairway.{ids[found.kind]}",
            )
        ]
    if wrong := _why_not_asgi(found.value, example):
        reason, hint = wrong
        message = f"ASGI_APPLICATION is {path!r}, which {reason}."
        return [checks.Error(message, hint=hint, id="fairway.E005")]
    return []


def check_channel_layers(**kwargs: Any) -> list[CheckMessage]:
    """Find out whether ``CHANNEL_LAYERS`` leads to layers (E006 to E010, E021, W002, W003).

    No layer is made, so nothing is connected to.
    """
    layers: Any = channel_layers.configs
    if not isinstance(layers, Mapping):
        return [
            checks.Error(
                f"CHANNEL_LAYERS must be a dictionary of aliases, not {layers!r}.",
                hint='Write CHANNEL_LAYERS = {"default": {"BACKEND": "…", "CONFIG": {…}}}.',
                id="fairway.E006",
            )
        ]
    return [message for alias, entry in layers.items() for message in _check_layer(alias, entry)]


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
    if "workers" in options:
        return [_wrong_options("'workers' belongs on the command line.")]
    # Not at the top: every process of a project would import them with this app, for 25 ms.
    from fairway.server.config import Config, ConfigError  # noqa: PLC0415
    from fairway.server.listening.conflicts import conflicts  # noqa: PLC0415
    from fairway.server.listening.proxy import TrustedNetworks  # noqa: PLC0415

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


# -- Dotted paths


@dataclasses.dataclass(frozen=True, slots=True)
class _Resolved:
    value: object


@dataclasses.dataclass(frozen=True, slots=True)
class _Unresolved:
    kind: Literal["path", "module", "name", "raised"]
    reason: str
    hint: str = ""


def _resolve(path: object) -> _Resolved | _Unresolved:
    """Import what a dotted path names, or say what stands in the way."""
    if not isinstance(path, str):
        return _Unresolved("path", "that is not text")
    module_name, _, name = path.replace(":", ".").rpartition(".")
    if not all(part.isidentifier() for part in (*module_name.split("."), name)):
        return _Unresolved("path", "that is not a dotted path")
    if ":" in path:
        return _Unresolved(
            "path", "a colon is the command line's way", f'Write "{module_name}.{name}".'
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            return _Unresolved("module", f"there is no module {error.name!r}")
        return _raised(module_name, error)
    except (Exception, SystemExit) as error:  # noqa: BLE001  anything can happen in an import
        return _raised(module_name, error)
    try:
        return _Resolved(getattr(module, name))
    except ImportError as error:  # a name that is imported when it is asked for
        return _raised(path, error)
    except AttributeError:
        near = _did_you_mean(name, vars(module))
        return _Unresolved("name", f"module {module_name!r} has no {name!r}", near)


def _raised(module_name: str, error: BaseException) -> _Unresolved:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return _Unresolved(
        "raised",
        f"importing {module_name!r} raises {type(error).__name__}: {error}",
        f"It is raised at {place.filename}:{place.lineno}.",
    )


def _did_you_mean(name: object, candidates: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), list(candidates), n=1)
    return f"Did you mean {near[0]!r}?" if near else ""


def _project_package() -> str:
    """The package that probably has ``asgi.py``: the one of the root URLconf."""
    urlconf = getattr(settings, "ROOT_URLCONF", None)
    return (urlconf.rpartition(".")[0] if isinstance(urlconf, str) else "") or "mysite"


# -- Applications


def _why_not_asgi(application: object, example: str) -> tuple[str, str] | None:
    """Say why an object is not an ASGI application, and what to write, such as ``example``.

    Whether a call works can be seen from the signature alone; what the application then does with
    ``scope``, ``receive`` and ``send`` cannot.
    """
    if isinstance(application, type) and hasattr(application, "as_asgi"):
        name = application.__qualname__
        return (
            f"is the consumer class {name}, not an application",
            f'Route to {name}.as_asgi() in a URLRouter, and name what is around it: "{example}".',
        )
    if not callable(application):
        return (
            f"is of type {type(application).__name__} and cannot be called",
            f'Write the path of your ASGI application, such as "{example}".',
        )
    # Three arguments are ASGI 3, one is ASGI 2.
    if _accepts(application, 3) or _accepts(application, 1):
        return None
    if _accepts(application, 2):
        return (
            "takes two arguments, so it seems to be a WSGI application",
            f'Make one with fairway.http.get_asgi_application(), and name it: "{example}".',
        )
    return (
        "cannot be called with scope, receive and send",
        f'Write the path of your ASGI application, such as "{example}".',
    )


def _accepts(function: Callable[..., object], count: int) -> bool:
    """Whether a function takes so many positional arguments; True where nobody can tell."""
    try:
        # Of the call itself: as_asgi() names the consumer class as what it wraps.
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


# -- Channel layers


def _check_layer(alias: object, entry: object) -> list[CheckMessage]:
    where = f"CHANNEL_LAYERS[{alias!r}]"
    if not isinstance(entry, Mapping):
        return [
            checks.Error(
                f"{where} must be a dictionary, not {entry!r}.",
                hint='Write {"BACKEND": "…", "CONFIG": {…}}.',
                id="fairway.E006",
            )
        ]
    messages = _check_keys(where, entry)
    if "BACKEND" not in entry:
        hint = 'Add "BACKEND": "fairway.layers.InMemoryChannelLayer", say.'
        return [*messages, checks.Error(f"{where} has no BACKEND.", hint=hint, id="fairway.E007")]
    path = entry["BACKEND"]
    found = _resolve(path)
    if isinstance(found, _Unresolved):
        return [
            *messages,
            checks.Error(
                f"{where} has the BACKEND {path!r}, but {found.reason}.",
                hint=found.hint or _backend_hint(path),
                id="fairway.E008",
            ),
        ]
    backend = found.value
    for key in ("CONFIG", "TEST_CONFIG"):
        messages += _check_config(f"{where}[{key!r}]", backend, entry.get(key))
    in_memory = isinstance(backend, type) and issubclass(backend, InMemoryChannelLayer)
    if in_memory and (processes := _processes()) > 1:
        messages.append(
            checks.Warning(
                f"{where} is the in-memory layer, but WEB_CONCURRENCY asks for {processes} "
                "processes: a message reaches only the sockets of the process that sends it.",
                hint="Use a layer across processes (see docs/layers.md), or start one process.",
                id="fairway.W002",
            )
        )
    return messages


def _backend_hint(path: object) -> str:
    if isinstance(path, str) and path.startswith("channels."):
        ours = f"fairway.{path.removeprefix('channels.')}"
        return f'Write "{ours}", or call fairway.compat.install() in the first lines of settings.'
    if isinstance(path, str) and path.startswith("channels_redis."):
        return (
            'Write "fairway.layers.redis.RedisChannelLayer", which takes the same CONFIG, or start '
            "with FAIRWAY_COMPAT=1 in the environment."
        )
    return "Correct the path, or install the package that has it."


def _check_keys(where: str, entry: Mapping[Any, object]) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    for key in entry:
        if key == "ROUTING":
            messages.append(
                checks.Error(
                    f"{where} has a ROUTING key, which only Channels 1 had.",
                    hint="Remove it; ASGI_APPLICATION is where routing begins.",
                    id="fairway.E010",
                )
            )
        elif key not in _LAYER_KEYS:
            accepted = "It may have BACKEND, CONFIG and TEST_CONFIG."
            near = _did_you_mean(key, _LAYER_KEYS)
            messages.append(
                checks.Warning(
                    f"{where} has the key {key!r}, which nothing reads.",
                    hint=f"{near} {accepted}".lstrip(),
                    id="fairway.W003",
                )
            )
    return messages


def _check_config(where: str, backend: object, config: object) -> list[CheckMessage]:
    """Compare the options of a layer with what its class takes."""
    if config is None:
        return []
    if not isinstance(config, Mapping):
        return [
            checks.Error(
                f"{where} must be a dictionary of options, not {config!r}.",
                hint='Write {"capacity": 1000}, say, or leave it out.',
                id="fairway.E006",
            )
        ]
    try:
        signature = inspect.signature(backend)  # type: ignore[arg-type]  # TypeError if it cannot be called
    except (TypeError, ValueError):
        return []
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    accepted = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    unknown = [option for option in config if option not in accepted]
    if unknown and inspect.Parameter.VAR_KEYWORD not in kinds:
        return [_unknown_option(where, option, accepted) for option in unknown]
    try:
        signature.bind(**config)
    except TypeError as error:
        hint = f"Options of this backend: {', '.join(accepted)}."
        return [checks.Error(f"{where}: {error}.", hint=hint, id="fairway.E009")]
    return _check_values(where, backend, config)


def _check_values(where: str, backend: object, config: Mapping[str, Any]) -> list[CheckMessage]:
    """Let a layer of ours read its options; it connects to nothing before it is used."""
    if not (isinstance(backend, type) and issubclass(backend, ChannelLayer)):
        return []
    try:
        backend(**config)
    except Exception as error:  # noqa: BLE001  whatever it raises, it would raise at the first use
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        hint = "docs/layers.md and docs/redis.md have examples of all options."
        return [checks.Error(f"{where}: {text.rstrip('.')}.", hint=hint, id="fairway.E021")]
    return []


def _unknown_option(where: str, option: object, accepted: list[str]) -> CheckMessage:
    near = _did_you_mean(option, accepted)
    return checks.Error(
        f"{where} has the option {option!r}, which its backend does not know.",
        hint=f"{near} It takes {', '.join(accepted) or 'no options'}.".lstrip(),
        id="fairway.E009",
    )


def _processes() -> int:
    """How many processes the environment asks servers to start; 1 if it says nothing.

    ``WEB_CONCURRENCY`` is what hosting platforms set, and what Gunicorn and uvicorn read.
    """
    text = os.environ.get("WEB_CONCURRENCY", "")
    return int(text) if text.isdecimal() else 1


# -- runserver


def _extends_ours(app_name: str) -> bool:
    """Whether an app's ``runserver`` subclasses Fairway's, and so may well come first."""
    try:
        command = load_command_class(app_name, "runserver")
    except Exception:  # noqa: BLE001  a command that cannot be loaded cannot serve either
        return False
    return any(base.__module__.startswith("fairway.management.") for base in type(command).__mro__)
