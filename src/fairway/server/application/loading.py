"""From what somebody names to the application, and to what its project says of the server."""

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from fairway._types import ASGIApplication
from fairway.server.config import ConfigError


class ApplicationNotFound(Exception):
    """What was named on the command line cannot be served; the message says why and what to do."""


def load_application(path: str) -> ASGIApplication:
    """The object that ``module:attribute.attribute`` names.

    Raises:
        ApplicationNotFound: In one line, what is missing. An exception inside the module itself is
            not caught: its traceback shows the way.
    """
    module_name, _, attributes = path.partition(":")
    if not attributes or not all(part.isidentifier() for part in module_name.split(".")):
        raise ApplicationNotFound(
            f"{path!r} does not name an application: write module:object, "
            "such as mysite.asgi:application."
        )
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ApplicationNotFound(
            f"There is no module {error.name!r} here or on the Python path "
            f"(looking for {path!r} from {os.getcwd()})."
        ) from None
    except Exception as error:
        if note := _set_up_note(error, module_name):
            error.add_note(note)
        raise
    for name in attributes.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise ApplicationNotFound(
                f"Module {module_name!r} has no {attributes!r}. Is the name right?"
            ) from None
    check_application(found, path)
    application: ASGIApplication = found
    return application


def _set_up_note(error: Exception, module_name: str) -> str:
    """What to write or to move if Django is not set up in time; "" for other errors.

    The server knows nothing of Django but these errors by their names.
    """
    name = type(error).__name__
    unnamed = name == "ImproperlyConfigured" and "settings are not configured" in str(error)
    too_early = unnamed or name == "AppRegistryNotReady"
    module = importlib.util.find_spec(module_name) if too_early else None
    if module is None:
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename == module.origin]
    if not ours:
        return ""
    place, line = f"{ours[-1].filename}:{ours[-1].lineno}", ours[-1].line
    if not any(frame.name == "get_asgi_application" for frame in frames):
        return (
            f"{place} imports models before Django is set up:\n    {line}\n"
            "Move that line below get_asgi_application(), or give the router the path of the "
            'routes: URLRouter("myapp.routing") imports them when Django is ready.'
        )
    if not unnamed:  # an app that is being loaded imports another's models: nothing to move here
        return ""
    package = module_name.rpartition(".")[0]
    settings = f"{package}.settings" if package else "settings"
    return (
        f"{place} sets Django up, and nothing says with which settings:\n    {line}\n"
        f'Above it, write os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}") as '
        "startproject does, or set that variable where the server is started."
    )


def check_application(found: object, path: str) -> None:
    """Refuse what cannot be called with scope, receive and send, as far as its signature tells.

    Args:
        found: What stands for an application.
        path: How it was named.

    Raises:
        ApplicationNotFound: It is none; the message says what it is instead.
    """
    if not callable(found):
        raise ApplicationNotFound(
            f"{path!r} is of type {type(found).__name__}, which is not an ASGI application."
        )
    if isinstance(found, type) and hasattr(found, "as_asgi"):
        raise ApplicationNotFound(
            f"{path!r} is a consumer class: "
            "serve what its as_asgi() returns, or the router around it."
        )
    try:
        # Of the call itself: as_asgi() names the consumer class as what it wraps.
        signature = inspect.signature(found, follow_wrapped=False)
    except (TypeError, ValueError):
        # Written in C, or a slot: Sentry's middleware has a __call__ of its own in each object.
        return
    try:
        signature.bind("scope", "receive", "send")
    except TypeError:
        raise ApplicationNotFound(
            f"{path!r} is not an ASGI application: "
            "it cannot be called with a scope, receive and send. "
            "Is it for WSGI? Then name the one in asgi.py."
        ) from None


def project_options() -> Mapping[str, Any]:
    """The ``FAIRWAY`` setting, if the application that was loaded is a Django project.

    The server does not import Django: whoever serves something else does not need it.

    Raises:
        ConfigError: It is no dictionary.
    """
    django_conf = sys.modules.get("django.conf")
    if django_conf is None or not django_conf.settings.configured:
        return {}
    found = getattr(django_conf.settings, "FAIRWAY", None) or {}
    if not isinstance(found, Mapping):
        raise ConfigError(f"The setting FAIRWAY must be a dictionary, not {found!r}.")
    return found


def lonely_layers() -> list[str]:
    """The channel layers of a Django project, by alias, that reach no other process."""
    django_conf = sys.modules.get("django.conf")
    if django_conf is None or not django_conf.settings.configured:
        return []
    layers = getattr(django_conf.settings, "CHANNEL_LAYERS", None)
    if not isinstance(layers, Mapping):
        return []
    return [
        str(alias)
        for alias, entry in layers.items()
        if isinstance(entry, Mapping)
        and str(entry.get("BACKEND")).endswith(".InMemoryChannelLayer")
    ]
