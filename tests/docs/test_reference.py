"""The reference pages that are made from the code are complete."""

import importlib.util
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
