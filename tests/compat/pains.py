"""What users of today's tools suffer from and this project ends, by number.

A pain is named by a test with ``@pytest.mark.pain(2)``, one that fails the way today's tools do
without our design; test_rows.py sees that each has one.
"""

PAINS: dict[int, str] = {
    1: "A hiccup of Redis kills every socket.",
    2: "Sync consumers of a whole process share one thread.",
    3: "A handler that hangs is killed without a hint of what it waited for.",
    4: "Messages vanish silently.",
    5: "Database connections run out or go stale.",
    6: "Memory grows without bound.",
    9: "Calling the layer from sync code is a trap.",
    10: "An exception in a handler ends the socket and skips disconnect().",
    11: "Events of one connection run strictly one by one.",
    12: "Tests and the database do not mix.",
    13: "Test tools are brittle.",
    15: "Authentication is frozen at connect.",
    16: "No presence: who is in a group is not to be had.",
    18: "The pub/sub layer is a beta, and off the specification.",
    19: "Redis Cluster does not work, and sharding is half broken.",
    20: "Streaming HTTP consumers do not work as documented.",
    21: "An unknown WebSocket path is a 500 with a traceback.",
    23: "Workers lose jobs and die.",
    24: "Set-up traps.",
    25: "Payloads surprise.",
}
