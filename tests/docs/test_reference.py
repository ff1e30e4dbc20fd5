"""The reference pages that are made from the code are complete."""

import importlib
import importlib.util
import inspect
import pkgutil
import re
from types import ModuleType

import pytest

from fairway.checks import CHECKS
from fairway.server.config import options
from tests.docs.snippets import ROOT


@pytest.fixture(scope="module")
def extension() -> ModuleType:
    """The Sphinx extension, which is no package."""
    path = ROOT / "docs" / "_ext" / "fairway_reference.py"
    spec = importlib.util.spec_from_file_location("fairway_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_options(extension: ModuleType) -> None:
    """Each option is there with its flags, its help and its default."""
    text: str = extension.options_text()
    for option in options():
        entry: str = extension.option_entry(option)
        assert entry in text
        assert option.help in entry
        assert all(f"`{flag}" in entry for flag in option.flags)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("websocket_timeout", "86400 seconds (1 day)"),
        ("websocket_max_message_size", "1048576 bytes (1 MiB)"),
        ("max_body_size", "no limit"),
        ("http_timeout", "no limit"),
        ("proxy_headers", "off"),
        ("loop", "`auto`"),
        ("trusted_proxies", "`127.0.0.0/8`, `::1`"),
        ("unix_socket", "none"),
        ("backlog", "2048 connections"),
    ],
)
def test_defaults(extension: ModuleType, name: str, words: str) -> None:
    """A default is said with its unit, and rounded where that is exact."""
    (option,) = (option for option in options() if option.name == name)
    assert extension.default_of(option) == words


def test_checks(extension: ModuleType) -> None:
    """Each system check is there with what it finds."""
    assert extension.checks_text().count("\n: ") == len(CHECKS)
    assert "`fairway.E005`\n: `ASGI_APPLICATION` is not an ASGI" in extension.checks_text()


def documented() -> list[object]:
    """What the pages of the reference tell Sphinx to describe."""
    found: list[object] = []
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"auto(?:class|function|data):: (\S+)", text)
        found += [pkgutil.resolve_name(name) for name in named]
        for name, how in re.findall(r"automodule:: (\S+)\n((?:   :.*\n)*)", text):
            module = importlib.import_module(name)
            if ":no-members:" not in how:
                found += [getattr(module, public) for public in names_of(module)]
    return found


def names_of(module: ModuleType) -> list[str]:
    """The names that a module offers: those in ``__all__``, or else those that it defines."""
    listed: list[str] | None = getattr(module, "__all__", None)
    if listed is not None:
        return listed
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__
    ]


@pytest.mark.parametrize(
    "name",
    [
        "fairway.auth",
        "fairway.compat",
        "fairway.compat.migrate",
        "fairway.consumer",
        "fairway.db",
        "fairway.exceptions",
        "fairway.generic.http",
        "fairway.generic.polling",
        "fairway.generic.sse",
        "fairway.generic.websocket",
        "fairway.http",
        "fairway.layers",
        "fairway.layers.bus",
        "fairway.layers.redis",
        "fairway.layers.serializers",
        "fairway.middleware",
        "fairway.presence",
        "fairway.routing",
        "fairway.security.websocket",
        "fairway.server",
        "fairway.sessions",
        "fairway.templatetags.fairway",
        "fairway.testing",
        "fairway.testing.conformance",
        "fairway.testing.peer",
        "fairway.testing.plugin",
        "fairway.transactions",
        "fairway.utils",
        "fairway.worker",
    ],
)
def test_names(name: str) -> None:
    """Whatever a project may import is in the reference, and has a docstring."""
    module = importlib.import_module(name)
    known = documented()
    missing = [each for each in names_of(module) if getattr(module, each) not in known]
    assert missing == []
    things = [getattr(module, each) for each in names_of(module)]
    speaking = [each for each in things if inspect.isclass(each) or inspect.isroutine(each)]
    assert [each for each in speaking if not each.__doc__] == []
