"""Whether HTTP/2 is spoken, and what the handshake of TLS offers."""

import importlib.util
from typing import Any

import pytest

from fairway.server import Config, ConfigError
from fairway.server.listening.alpn import available, protocols, speaks_http2
from fairway.server.listening.listener import open_listeners


@pytest.fixture
def without_h2(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without h2."""
    found = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> Any:
        return None if name == "h2" else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


class TestWithH2:
    """h2 is installed."""

    def test_offered(self) -> None:
        """HTTP/2 is offered first, unless it is switched off."""
        assert available()
        assert protocols(Config()) == ("h2", "http/1.1")
        assert protocols(Config(http2="on")) == ("h2", "http/1.1")
        assert protocols(Config(http2="off")) == ("http/1.1",)


@pytest.mark.usefixtures("without_h2")
class TestWithoutH2:
    """h2 is not installed."""

    def test_not_offered(self) -> None:
        """Then everything is as without it."""
        assert not available()
        assert not speaks_http2(Config())
        assert protocols(Config()) == ("http/1.1",)

    @pytest.mark.parametrize(
        ("options", "name"),
        [({"http2": "on"}, "http2"), ({"http2_cleartext": True}, "http2_cleartext")],
    )
    def test_asked_for(self, options: dict[str, Any], name: str) -> None:
        """Who asks for it by name is told how to install it, before anything is listened on."""
        text = f"{name} is on, and the package h2 is not installed: pip install 'fairway[http2]'"
        config = Config(port=0, **options)
        for call in (protocols, speaks_http2, open_listeners):
            with pytest.raises(ConfigError) as caught:
                call(config)
            assert str(caught.value) == text
