"""Runs code that imports ``channels``, ``daphne`` or ``channels_redis`` on Fairway, unchanged."""

import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

__all__ = ["install"]

#: The roots are modules of their own, in "shims": Django asks an app for its directory, and their
#: __version__ is not ours.
_ROOTS: Final = ("channels", "daphne", "channels_redis")

#: What has a counterpart here, or a shim. A table: a blanket prefix would invent "channels.http".
ALIASES: Final[Mapping[str, str]] = {
    "channels.auth": "fairway.auth",
    "channels.consumer": "fairway.consumer",
    "channels.db": "fairway.db",
    "channels.exceptions": "fairway.exceptions",
    "channels.generic": "fairway.generic",
    "channels.generic.http": "fairway.generic.http",
    "channels.generic.websocket": "fairway.generic.websocket",
    "channels.layers": "fairway.layers",
    "channels.management.commands.fairway_migrate": "fairway.management.commands.fairway_migrate",
    "channels.management.commands.runworker": "fairway.management.commands.runworker",
    "channels.middleware": "fairway.middleware",
    "channels.routing": "fairway.routing",
    "channels.security": "fairway.security",
    "channels.security.websocket": "fairway.security.websocket",
    "channels.sessions": "fairway.sessions",
    "channels.testing": "fairway.testing",
    "channels.testing.application": "fairway.testing.application",
    "channels.testing.http": "fairway.testing.http",
    "channels.testing.live": "fairway.testing.live",
    "channels.testing.websocket": "fairway.testing.websocket",
    "channels.utils": "fairway.utils",
    "channels.worker": "fairway.worker",
    "channels_redis.core": "fairway.compat.shims.channels_redis.core",
    "channels_redis.pubsub": "fairway.compat.shims.channels_redis.pubsub",
    "channels_redis.serializers": "fairway.layers.serializers",
    "channels_redis.utils": "fairway.compat.shims.channels_redis.utils",
    "daphne.access": "fairway.compat.shims.daphne.access",
    "daphne.checks": "fairway.compat.shims.daphne.checks",
    "daphne.cli": "fairway.compat.shims.daphne.cli",
    "daphne.endpoints": "fairway.compat.shims.daphne.endpoints",
    "daphne.management.commands.runserver": "fairway.management.commands.runserver",
    "daphne.server": "fairway.compat.shims.daphne.server",
    "daphne.testing": "fairway.compat.shims.daphne.testing",
    "daphne.utils": "fairway.compat.shims.daphne.utils",
}

#: What others may import and cannot be had, and what to use instead.
_ABSENT: Final = {
    "daphne.http_protocol": "these are protocols of Twisted, which Fairway's server does not use. "
    "To see every request, give daphne.server.Server an action_logger, or wrap the application.",
    "daphne.ws_protocol": "these are protocols of autobahn, which Fairway's server does not use. "
    "To see every message, wrap the application.",
    "daphne.twisted": "it is a plugin of Twisted. Fairway understands endpoints such as "
    "fd:fileno=3 by itself.",
}

#: What is imported behind an alias, to add what only the other package has.
_BEHIND: Final = {"channels.testing": "fairway.compat.shims.channels.testing"}

_SHIMS: Final = Path(__file__).parent / "shims"


class _AliasFinder(MetaPathFinder):
    """Finds the aliases and the shims; everything else it leaves to the finders after it."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return how to load a module, or None if it is not one of ours.

        Raises:
            ModuleNotFoundError: It would be found inside one of our packages under a second name,
                or is known to have no counterpart.
        """
        if fullname in _ROOTS:
            return _shim_spec(fullname)
        if fullname in ALIASES:
            return _alias_spec(fullname, ALIASES[fullname])
        if reason := _ABSENT.get(fullname):
            raise ModuleNotFoundError(
                f"No module named {fullname!r} in Fairway: {reason}", name=fullname
            )
        # An aliased package has the path of ours. The next finder would look there, and load under
        # a second name what the other package does not have.
        parent = fullname.rpartition(".")[0]
        if parent in ALIASES and PathFinder.find_spec(fullname, path) is not None:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def _shim_spec(name: str) -> ModuleSpec | None:
    directory = _SHIMS / name
    return importlib.util.spec_from_file_location(
        name, directory / "__init__.py", submodule_search_locations=[str(directory)]
    )


def _alias_spec(name: str, target: str) -> ModuleSpec | None:
    """Return the spec of an alias; None if this release of ours lacks its target."""
    found = importlib.util.find_spec(target)
    if found is None:
        return None
    return ModuleSpec(
        name,
        _AliasLoader(target),
        origin=found.origin,
        is_package=found.submodule_search_locations is not None,
    )


class _AliasLoader(Loader):
    """Loads a module under its own name, and answers with it for the alias."""

    def __init__(self, target: str) -> None:
        self._target = target

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system make an empty module, which ``exec_module`` replaces."""
        # Returning our module here would let the import system overwrite its __spec__.

    def exec_module(self, module: ModuleType) -> None:
        """Put our module into ``sys.modules``, from where the import system takes the result."""
        ours = importlib.import_module(self._target)
        sys.modules[module.__name__] = ours
        if more := _BEHIND.get(module.__name__):
            importlib.import_module(more)
        vars(module)["_fw_ours"] = ours
        module.__class__ = _Understudy


class _Understudy(ModuleType):
    """What tools that watch imports see of an alias: its name, and in it all that ours has.

    Tracers such as Datadog's and New Relic's wait for ``channels.routing`` or ``daphne.server``, to
    wrap what they find there. They are handed what ``exec_module`` was called with, look up by its
    name what to do, and never see what stands in ``sys.modules``.
    """

    _fw_ours: ModuleType

    def __getattr__(self, name: str) -> object:
        return getattr(self._fw_ours, name)

    def __setattr__(self, name: str, value: object) -> None:
        if name.startswith("__"):  # what the import system writes, such as __loader__
            super().__setattr__(name, value)
        else:
            setattr(self._fw_ours, name, value)


_finder = _AliasFinder()


def install() -> None:
    """Make ``channels``, ``daphne`` and ``channels_redis`` resolve to Fairway.

    Afterwards ``channels.layers`` and ``fairway.layers`` are one module object, so classes,
    settings and the patches of tests are shared; what only the other packages have, such as
    ``daphne.testing``, is imitated over Fairway. Nothing is imported yet. ``INSTALLED_APPS`` may
    keep ``"daphne"`` and ``"channels"``, and ``CHANNEL_LAYERS`` its
    ``"channels_redis.core.RedisChannelLayer"``. Names without a counterpart raise
    ``ModuleNotFoundError``, also where the real packages are installed: these are never imported.

    Call it before anything imports these packages: in the first lines of ``manage.py`` and of the
    module with ``ASGI_APPLICATION``, or of the settings or ``conftest.py``. Further calls do
    nothing. The environment variable ``FAIRWAY_COMPAT=1`` calls it at the start of every process,
    see ``fairway.compat.startup``.

    Raises:
        RuntimeError: One of the real packages is already imported.
    """
    if _finder in sys.meta_path:
        return
    for name in _ROOTS:
        module = sys.modules.get(name)
        if module is not None:
            raise RuntimeError(
                f"fairway.compat.install() came too late: {name!r} is already imported, from "
                f"{getattr(module, '__file__', None) or 'an unknown place'}. Call it before "
                "anything imports it: in the first lines of manage.py, asgi.py and the settings, "
                "or set FAIRWAY_COMPAT=1 in the environment."
            )
    # In front of the finder of installed packages, so that it wins where the real ones are, too.
    sys.meta_path.insert(0, _finder)
