"""What a project adds to the server's figures."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.db import connections

from fairway.layers import InMemoryChannelLayer, channel_layers
from fairway.metrics import layer_families, pool_families, register_sources
from fairway.server.observing.figures import from_sources


async def test_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each layer that was used shows its messages and what else it holds; others are left out."""
    layer = InMemoryChannelLayer()
    other = cast("Any", SimpleNamespace())
    monkeypatch.setattr(channel_layers, "backends", {"default": layer, "foreign": other})
    await layer.group_add("room", await layer.new_channel())
    await layer.group_send("room", {"type": "a"})
    messages, others = layer_families()
    assert messages.kind == "counter"
    assert messages.samples == {
        ("", (("layer", "default"), ("event", "sent"))): 1,
        ("", (("layer", "default"), ("event", "delivered"))): 1,
        ("", (("layer", "default"), ("event", "received"))): 0,
        ("", (("layer", "default"), ("event", "dropped"))): 0,
        ("", (("layer", "default"), ("event", "expired"))): 0,
        ("", (("layer", "default"), ("event", "unreadable"))): 0,
    }
    assert others.kind == "gauge"
    assert others.samples["", (("layer", "default"), ("figure", "groups"))] == 1
    await layer.close()


def test_no_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """To look makes no layer."""
    monkeypatch.setattr(channel_layers, "backends", {})
    assert [family.samples for family in layer_families()] == [{}, {}]
    assert channel_layers.backends == {}


def test_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that is there shows who waits; without one there is nothing to see."""
    assert list(pool_families()) == []
    stats = {"pool_size": 4, "pool_available": 1, "requests_waiting": 2, "requests_queued": 7}
    pool = SimpleNamespace(get_stats=lambda: stats | {"requests_wait_ms": 250})
    wrapper = type(connections["default"])
    monkeypatch.setattr(wrapper, "_connection_pools", {"default": pool}, raising=False)
    found = {family.name: family for family in pool_families()}
    assert {name: family.samples for name, family in found.items()} == {
        "fairway_database_pool_connections": {("", (("database", "default"),)): 4},
        "fairway_database_pool_idle": {("", (("database", "default"),)): 1},
        "fairway_database_pool_waiting": {("", (("database", "default"),)): 2},
        "fairway_database_pool_waits": {("", (("database", "default"),)): 7},
        "fairway_database_pool_wait_seconds": {("", (("database", "default"),)): 0.25},
    }


def test_registered() -> None:
    """An application that is installed brings both, once."""
    register_sources()
    names = [family.name for family in from_sources()]
    assert names.count("fairway_layer_messages") == 1
