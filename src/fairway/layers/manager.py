"""From the ``CHANNEL_LAYERS`` setting to channel layers: the one place here that knows Django."""

import os
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from fairway import DEFAULT_CHANNEL_LAYER, forks
from fairway.exceptions import InvalidChannelLayerError
from fairway.layers.base import BaseChannelLayer, ChannelLayer

#: What Django writes into the setting of a project without a database when it first looks for one.
_NO_DATABASE: Final = "django.db.backends.dummy"


def default_configs() -> Mapping[str, Any]:
    """What applies when ``CHANNEL_LAYERS`` is not set at all: every process of this machine.

    In tests, which must not talk to the server beside them, and where there are no Unix sockets, it
    is this process alone.
    """
    alone = _in_tests() or not hasattr(socket, "AF_UNIX")
    name = "InMemoryChannelLayer" if alone else "LocalChannelLayer"
    return {DEFAULT_CHANNEL_LAYER: {"BACKEND": f"fairway.layers.{name}"}}


def project_of(alias: str) -> str:
    """What tells this project's layer of an alias from others on the machine.

    The same for every process of the project, whatever settings module it uses: where its code is
    and what database it works on.
    """
    where = getattr(settings, "BASE_DIR", None) or _directory_of_settings()
    database = settings.DATABASES.get("default", {})
    parts = [database.get(key, "") for key in ("ENGINE", "HOST", "PORT", "NAME")]
    if parts[0] == _NO_DATABASE:
        parts[0] = ""
    return "\n".join(str(part) for part in (alias, Path(where).resolve(), *parts))


def _in_tests() -> bool:
    """Whether this process runs tests.

    Django's test environment is set up after much of a project has been imported, which may ask for
    a layer at once; so whoever is about to set it up counts, too.
    """
    utils = sys.modules.get("django.test.utils")
    if utils is not None and hasattr(utils._TestState, "saved_data"):  # noqa: SLF001  no other way
        return True
    return "_pytest.config" in sys.modules or (
        sys.argv[1:2] == ["test"] and "django.core.management" in sys.modules
    )


def _directory_of_settings() -> str:
    module = sys.modules.get(os.environ.get("DJANGO_SETTINGS_MODULE", ""))
    return os.path.dirname(getattr(module, "__file__", None) or os.path.join(os.getcwd(), ""))


class ChannelLayerManager:
    """Makes the channel layers of a project, each on first use, and keeps them.

    Attributes:
        backends: The layers made so far, by alias; may be cleared to have them made anew.
    """

    def __init__(self) -> None:
        self.backends: dict[str, BaseChannelLayer] = {}
        # Not a lock of the operating system's: a greenlet may wait in what makes a layer.
        self._making = threading.RLock()
        setting_changed.connect(self._reset_backends)

    def forget_parent(self) -> None:
        """In a forked child: who was making one is a thread of the parent."""
        self._making = threading.RLock()

    def _reset_backends(self, setting: str, **kwargs: Any) -> None:
        """Settings may change in tests; nobody else has the layers that were made from the old."""
        if setting == "CHANNEL_LAYERS":
            dropped, self.backends = self.backends, {}
            for layer in dropped.values():
                if isinstance(layer, ChannelLayer):
                    layer.close_soon()

    @property
    def configs(self) -> Mapping[str, Any]:
        """The ``CHANNEL_LAYERS`` setting, or what applies without."""
        if not hasattr(settings, "CHANNEL_LAYERS"):
            return default_configs()
        found: Mapping[str, Any] = settings.CHANNEL_LAYERS
        return found

    def make_backend(self, name: str) -> BaseChannelLayer:
        """A new layer as ``CONFIG`` of the alias says.

        Raises:
            KeyError: There is no such alias.
            InvalidChannelLayerError: Its entry cannot be used.
        """
        return self._make_backend(name, self.configs[name].get("CONFIG", {}))

    def make_test_backend(self, name: str) -> BaseChannelLayer:
        """A new layer as ``TEST_CONFIG`` of the alias says.

        Raises:
            KeyError: There is no such alias.
            InvalidChannelLayerError: Its entry has none, or cannot be used.
        """
        try:
            config = self.configs[name]["TEST_CONFIG"]
        except KeyError:
            raise InvalidChannelLayerError(f"No TEST_CONFIG specified for {name}") from None
        return self._make_backend(name, config)

    def _make_backend(self, name: str, config: Mapping[str, Any]) -> BaseChannelLayer:
        entry = self.configs[name]
        if "ROUTING" in entry:
            raise InvalidChannelLayerError(
                f"ROUTING key found for {name} - this is no longer needed in Channels 2."
            )
        try:
            path = entry["BACKEND"]
        except KeyError:
            raise InvalidChannelLayerError(f"No BACKEND specified for {name}") from None
        try:
            backend = import_string(path)
        except ImportError as error:
            # What is missing may be something that the layer needs, and its error says which.
            why = "" if _names_path(error, path) else f": {error}"
            raise InvalidChannelLayerError(
                f"Cannot import BACKEND {path!r} specified for {name}{why}"
            ) from error
        if isinstance(backend, type) and issubclass(backend, ChannelLayer):
            config = {key.lower(): value for key, value in config.items()}  # PATH, say
            if backend.names_project:
                config.setdefault("project", project_of(name))
        try:
            layer: BaseChannelLayer = backend(**config)
        except TypeError as error:
            if "unexpected keyword argument" not in str(error):
                raise
            # A TypeError still, as Channels' users know it, but one that names the setting.
            raise TypeError(f"CHANNEL_LAYERS[{name!r}]['CONFIG']: {error}") from error
        except KeyError as error:
            # Not to be taken for an alias that does not exist.
            raise InvalidChannelLayerError(
                f"BACKEND {path!r} specified for {name} misses {error} in its CONFIG"
            ) from error
        return layer

    def __getitem__(self, key: str) -> BaseChannelLayer:
        found = self.backends.get(key)
        if found is not None:
            return found
        with self._making:  # two threads must not get two layers that know nothing of each other
            found = self.backends.get(key)
            if found is None:
                # Nor may a signal handler and the code that it interrupts.
                found = self.backends.setdefault(key, self.make_backend(key))
            return found

    def __contains__(self, key: str) -> bool:
        return key in self.configs

    def set(self, key: str, layer: BaseChannelLayer) -> BaseChannelLayer | None:
        """Put ``layer`` in the place of an alias, and return what was there."""
        old = self.backends.pop(key, None)
        self.backends[key] = layer
        return old


def _names_path(error: ImportError, path: str) -> bool:
    """Whether an import failed because of the dotted path itself."""
    module = path.rpartition(".")[0]
    found = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")
    return found or path in str(error) or f'"{module}" does not define' in str(error)


channel_layers = ChannelLayerManager()
forks.in_child(channel_layers.forget_parent)


def get_channel_layer(alias: str = DEFAULT_CHANNEL_LAYER) -> BaseChannelLayer | None:
    """The channel layer of that alias, or None if there is none."""
    try:
        return channel_layers[alias]
    except KeyError:
        return None
