"""What a Django project adds to the figures that the server shows: its layers, its database pools.

:mod:`fairway.apps` registers these sources; whoever looks gets what there is by then, so that
nothing is made for them.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from django.db import connections

from fairway.layers import channel_layers
from fairway.server.observing.figures import Family, add_source, family

#: Of what a layer counts, the messages by what became of them.
_MESSAGES: Final = ("sent", "delivered", "received", "dropped", "expired", "unreadable")


def register_sources() -> None:
    """Show the figures of layers and database pools beside those of the server."""
    add_source(layer_families)
    add_source(pool_families)


def layer_families() -> Iterable[Family]:
    """The figures of every channel layer that this process has used so far."""
    messages: dict[tuple[str, ...], float] = {}
    others: dict[tuple[str, ...], float] = {}
    for alias, layer in list(channel_layers.backends.items()):
        stats: Any = getattr(layer, "stats", None)  # a layer from elsewhere need not have it
        if not callable(stats):
            continue
        for name, value in stats().items():
            (messages if name in _MESSAGES else others)[alias, name] = value
    return [
        family(
            "fairway_layer_messages",
            "counter",
            "Messages of channel layers, by what became of them in this process.",
            messages,
            *("layer", "event"),
        ),
        family(
            "fairway_layer",
            "gauge",
            "What else channel layers say of themselves, such as groups and channels.",
            others,
            *("layer", "figure"),
        ),
    ]


def pool_families() -> Iterable[Family]:
    """The figures of the connection pools of Django's PostgreSQL backend, where there are any."""
    found: defaultdict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    for alias in connections:
        # Django keeps them, one for each process, in the class; the property would make one.
        pools = getattr(type(connections[alias]), "_connection_pools", {})
        if alias in pools:
            stats = pools[alias].get_stats()
            found["size"][alias,] = stats.get("pool_size", 0)
            found["idle"][alias,] = stats.get("pool_available", 0)
            found["waiting"][alias,] = stats.get("requests_waiting", 0)
            found["waits"][alias,] = stats.get("requests_queued", 0)
            found["seconds"][alias,] = stats.get("requests_wait_ms", 0) / 1000
    if not found:
        return []
    name, label = "fairway_database_pool", "database"
    return [
        family(f"{name}_connections", "gauge", "Connections of a pool.", found["size"], label),
        family(f"{name}_idle", "gauge", "Those that nobody uses.", found["idle"], label),
        family(f"{name}_waiting", "gauge", "Who waits for one.", found["waiting"], label),
        family(f"{name}_waits", "counter", "Who had to wait for one.", found["waits"], label),
        family(f"{name}_wait_seconds", "counter", "For how long.", found["seconds"], label),
    ]
