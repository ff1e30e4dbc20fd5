"""What the tests of ``channels_redis`` need: the alias, and a Redis of the run."""

import os
import sys
from typing import Any

import fairway.compat

fairway.compat.install()


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Lead the tests to the Redis of the run; theirs has a fixed port."""
    port = os.environ["INTEROP_REDIS_PORT"]
    for module in {item.module.__name__ for item in items}:
        hosts = vars(sys.modules[module])
        for name in ("TEST_HOSTS", "MULTIPLE_TEST_HOSTS"):
            if name in hosts:
                hosts[name] = [
                    host.replace("localhost:6379", f"127.0.0.1:{port}") for host in hosts[name]
                ]
