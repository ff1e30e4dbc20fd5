"""What is compared: each scenario is one kind of work that every contender does in turn.

A new one is a ``Scenario`` in the ``SCENARIOS`` of a module here. A new suite is a module with its
``SCENARIOS`` and a line in :data:`SUITES`.
"""

from harness.scenarios import (
    auth,
    beginning,
    compression,
    consumers,
    http2,
    latency,
    layers,
    many,
    servers,
    workers,
)
from harness.scenarios.model import Effort, Lane, Scenario, Target, Turn, Work

__all__ = ["ALL", "SUITES", "Effort", "Lane", "Scenario", "Target", "Turn", "Work"]

#: By the word on the command line that stands for all of them.
SUITES = {
    "consumers": consumers.SCENARIOS,
    "compression": compression.SCENARIOS,
    "auth": auth.SCENARIOS,
    "latency": latency.SCENARIOS,
    "workers": workers.SCENARIOS,
    "many": many.SCENARIOS,
    "servers": (*servers.SCENARIOS, *http2.SCENARIOS, *beginning.SCENARIOS),
    "layers": layers.SCENARIOS,
}
ALL = tuple(scenario for suite in SUITES.values() for scenario in suite)
