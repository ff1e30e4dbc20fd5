"""The system check of consumers that routes lead to; see :mod:`fairway.checks`."""

import inspect
from collections.abc import Iterator
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage

from fairway.consumer import SyncConsumer
from fairway.consuming.handlers import is_ours
from fairway.routing import get_default_application
from fairway.routing.checks import all_routers
from fairway.utils import name_that_thing


def check_consumers(**kwargs: Any) -> list[CheckMessage]:
    """Find methods of sync consumers that are ``async def``, which nothing awaits (W012).

    Looked at are those of Fairway's methods that a consumer overrides, where a route leads to the
    consumer with nothing between them.
    """
    try:
        consumers = dict.fromkeys(_routed_to())
    except (Exception, SystemExit):  # noqa: BLE001  importing may raise anything: E001 to E005, E018
        return []
    return [
        _warning(consumer, names) for consumer in consumers if (names := _never_awaited(consumer))
    ]


def _warning(consumer: type[SyncConsumer], names: list[str]) -> CheckMessage:
    base = next(base.__name__ for base in consumer.__mro__ if is_ours(base))
    methods = ", ".join(f"{name}()" for name in names)
    return checks.Warning(
        f"{name_that_thing(consumer)} is a {base}, which never awaits its {methods}: what is async "
        "def there does not run.",
        hint=f"Derive it from Async{base.removeprefix('Sync')}, or write def.",
        id="fairway.W012",
    )


def _routed_to() -> Iterator[type[SyncConsumer]]:
    for router in all_routers(get_default_application()):
        router.load()
        for target in router.targets:
            consumer = getattr(target.application, "consumer_class", None)
            if isinstance(consumer, type) and issubclass(consumer, SyncConsumer):
                yield consumer


def _never_awaited(consumer: type[SyncConsumer]) -> list[str]:
    return [
        name
        for name in dir(consumer)
        if inspect.iscoroutinefunction(version := inspect.getattr_static(consumer, name))
        and not is_ours(version)
        and _is_plain_in_ours(consumer, name)
    ]


def _is_plain_in_ours(consumer: type, name: str) -> bool:
    ours = [vars(base)[name] for base in consumer.__mro__ if is_ours(base) and name in vars(base)]
    return inspect.isfunction(next(iter(ours), None)) and not inspect.iscoroutinefunction(ours[0])
