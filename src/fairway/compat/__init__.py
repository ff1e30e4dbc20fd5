"""Runs code that imports ``channels`` or ``daphne`` on Fairway, without a change in it."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

__all__ = ["install"]

# The roots are modules of their own, in "shims": Django asks an app for its directory, and their
# __version__ is not ours.
_SHIMMED = ("channels", "daphne")

# What has a counterpart here. A table, as a blanket prefix would invent "channels.http".
_ALIASES = {
    "channels.auth": "fairway.auth",
    "channels.consumer": "fairway.consumer",
    "channels.db": "fairway.db",
    "channels.exceptions": "fairway.exceptions",
    "channels.generic": "fairway.generic",
    "channels.generic.http": "fairway.generic.http",
    "channels.generic.websocket": "fairway.generic.websocket",
    "channels.layers": "fairway.layers",
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
    "daphne.management.commands.runserver": "fairway.management.commands.runserver",
}

_SHIMS = Path(__file__).parent / "shims"


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
            ModuleNotFoundError: It would be found inside one of our packages under a second name.
        """
        if fullname in _SHIMMED:
            return _shim_spec(fullname)
        if fullname in _ALIASES:
            return _alias_spec(fullname, _ALIASES[fullname])
        # An aliased package has the path of ours. The next finder would look there, and load under
        # a second name what the other package does not have.
        parent = fullname.rpartition(".")[0]
        if parent in _ALIASES and PathFinder.find_spec(fullname, path) is not None:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def _shim_spec(name: str) -> ModuleSpec | None:
    directory = _SHIMS / name
    return importlib.util.spec_from_file_location(
        name, directory / "__init__.py", submodule_search_locations=[str(directory)]
    )


def _alias_spec(name: str, target: str) -> ModuleSpec | None:
    """Return the spec of an alias; None if this release of ours lacks its target."""
    # The target's parents are imported by now: those of the alias are, and they are the same.
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
        sys.modules[module.__name__] = importlib.import_module(self._target)


_finder = _AliasFinder()


def install() -> None:
    """Make ``channels`` and ``daphne`` resolve to Fairway wherever it has what they have.

    Afterwards ``channels.layers`` and ``fairway.layers`` are one module object, so classes,
    settings and the patches of tests are shared. Nothing is imported yet. ``INSTALLED_APPS`` may
    keep ``"daphne"`` and ``"channels"``. Names without a counterpart raise
    ``ModuleNotFoundError``, also where the real packages are installed; ``channels_redis`` is left
    alone, and works on top of this.

    Call it before anything imports these packages: in the first lines of ``manage.py`` and of the
    module with ``ASGI_APPLICATION``, or of the settings. Further calls do nothing.

    Raises:
        RuntimeError: One of the real packages is already imported.
    """
    if _finder in sys.meta_path:
        return
    for name in _SHIMMED:
        module = sys.modules.get(name)
        if module is not None:
            raise RuntimeError(
                f"fairway.compat.install() came too late: {name!r} is already imported, from "
                f"{getattr(module, '__file__', None) or 'an unknown place'}. Call it before "
                "anything imports it: in the first lines of manage.py, asgi.py and the settings."
            )
    # In front of the finder of installed packages, so that it wins where the real ones are, too.
    sys.meta_path.insert(0, _finder)
