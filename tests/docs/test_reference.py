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
        ("max_websockets", "no limit"),
        ("max_connections", "65536 connections"),
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


def test_limits(extension: ModuleType) -> None:
    """Each limit is in the table once, with its flag, default, answer and counter."""
    lines = extension.limits_text().splitlines()
    for option in options():
        rows = [line for line in lines if line.startswith(f"| `{option.name}` |")]
        assert len(rows) == bool(option.answer), option.name
        for row in rows:
            assert any(f"| `{flag}` |" in row for flag in option.flags)
            assert f"| {extension.default_of(option)} | {option.answer} |" in row
            assert f'limit="{option.name}"' in row
    assert any(line.startswith("| `file_descriptors` |") for line in lines)


#: Limits whose names are put together where they are noted.
COMPOSED = {
    "websocket_max_frame_size": 'f"websocket_{event.limit}"',
    "websocket_max_message_size": 'f"websocket_{event.limit}"',
}


@pytest.mark.parametrize("name", [option.name for option in options() if option.answer])
def test_limit_is_counted(name: str) -> None:
    """What the table says is counted, the server counts: some module beside the options names it.

    That it does so when the limit is hit is for the tests of that module.
    """
    server = ROOT / "src" / "fairway" / "server"
    sources = [path for path in server.rglob("*.py") if path.name not in {"config.py", "cli.py"}]
    noted = COMPOSED.get(name, f'"{name}"')
    named = [path for path in sources if noted in path.read_text(encoding="utf-8")]
    assert [path for path in named if re.search("refus|Reject|Limit", path.read_text())] != []


def test_figures(extension: ModuleType) -> None:
    """Each figure of a server, of its supervisor and of layers is there with what it means."""
    text: str = extension.figures_text()
    families = extension.all_figures()
    assert len({family.name for family in families}) == len(families)
    for family in families:
        total = "_total" if family.kind == "counter" else ""
        assert f"| `{family.name}{total}` | {family.kind} |" in text
        assert family.help in text
    for prefix in ("fairway_workers", "fairway_requests_total", "fairway_layer_messages_total"):
        assert f"| `{prefix}`" in text


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
