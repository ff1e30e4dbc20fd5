"""The system check of ``CHANNEL_LAYERS``; see :mod:`fairway.checks`."""

import inspect
from collections.abc import Mapping
from typing import Any, Final

from django.core import checks
from django.core.checks import CheckMessage

from fairway.checks.paths import Unresolved, did_you_mean, resolve
from fairway.layers import ChannelLayer, InMemoryChannelLayer, channel_layers

_LAYER_KEYS: Final = ("BACKEND", "CONFIG", "TEST_CONFIG")


def check_channel_layers(**kwargs: Any) -> list[CheckMessage]:
    """Find out whether ``CHANNEL_LAYERS`` leads to layers (E006 to E010, E021, W002, W003).

    No layer is made, so nothing is connected to.
    """
    layers: Any = channel_layers.configs
    if not isinstance(layers, Mapping):
        hint = 'Write CHANNEL_LAYERS = {"default": {"BACKEND": "…", "CONFIG": {…}}}.'
        return [_no_dictionary("CHANNEL_LAYERS", "a dictionary of aliases", layers, hint)]
    return [message for alias, entry in layers.items() for message in _check_layer(alias, entry)]


def _no_dictionary(where: str, wanted: str, found: object, hint: str) -> CheckMessage:
    return checks.Error(f"{where} must be {wanted}, not {found!r}.", hint=hint, id="fairway.E006")


def _check_layer(alias: object, entry: object) -> list[CheckMessage]:
    where = f"CHANNEL_LAYERS[{alias!r}]"
    if not isinstance(entry, Mapping):
        hint = 'Write {"BACKEND": "…", "CONFIG": {…}}.'
        return [_no_dictionary(where, "a dictionary", entry, hint)]
    messages = _check_keys(where, entry)
    if "BACKEND" not in entry:
        hint = 'Add "BACKEND": "fairway.layers.InMemoryChannelLayer", say.'
        return [*messages, checks.Error(f"{where} has no BACKEND.", hint=hint, id="fairway.E007")]
    path = entry["BACKEND"]
    found = resolve(path)
    if isinstance(found, Unresolved):
        return [
            *messages,
            checks.Error(
                f"{where} has the BACKEND {path!r}, but {found.reason}.",
                hint=_backend_hint(path, found),
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


def _backend_hint(path: object, found: Unresolved) -> str:
    package, _, name = path.partition(".") if isinstance(path, str) else ("", "", "")
    if found.kind == "name" and "Redis" in name:  # where Channels 1 had it, say
        return 'Write "fairway.layers.redis.RedisChannelLayer".'
    if found.hint:
        return found.hint
    if package == "channels":
        return (
            f'Write "fairway.{name}", or call fairway.compat.install() in the first lines of '
            "settings."
        )
    if package in {"channels_redis", "asgi_redis"}:
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
            accepted = "It may have BACKEND, TEST_CONFIG and CONFIG, which has the layer's options."
            near = did_you_mean(key, _LAYER_KEYS)
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
        hint = 'Write {"capacity": 1000}, say, or leave it out.'
        return [_no_dictionary(where, "a dictionary of options", config, hint)]
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
    near = did_you_mean(option, accepted)
    return checks.Error(
        f"{where} has the option {option!r}, which its backend does not know.",
        hint=f"{near} It takes {', '.join(accepted) or 'no options'}.".lstrip(),
        id="fairway.E009",
    )


def _processes() -> int:
    """How many processes the environment asks servers to start; 1 if it says nothing."""
    # Not at the top: every process of a project would import it with this app.
    from fairway.server.workers.processors import workers_in_environment  # noqa: PLC0415

    wanted = workers_in_environment()
    return 1 if wanted is None else wanted
