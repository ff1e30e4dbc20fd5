"""Showing how a server is: at an address of its own, and through OpenTelemetry."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from fairway._types import ASGIApplication
from fairway.server.config import Config, ConfigError, metrics_config
from fairway.server.context import Context
from fairway.server.observing.collecting import collect, label_gauges
from fairway.server.observing.figures import Family
from fairway.server.observing.pages import Pages

if TYPE_CHECKING:  # an extra that need not be installed
    from fairway.server.observing.telemetry import Telemetry


class Observed(Protocol):
    """A server, as far as serving its pages needs one.

    Attributes:
        addresses: Where it listens.
        ready: Called when it does.
    """

    addresses: list[str]
    ready: Callable[[], None] | None

    async def serve(self) -> None:
        """Serve until :meth:`stop`."""

    def stop(self) -> None:
        """End."""


#: Makes a server for an application: :class:`fairway.server.Server`, which imports this module.
MakeServer = Callable[[ASGIApplication, Config], Observed]


@contextlib.asynccontextmanager
async def observed(context: Context, make: MakeServer, *, alone: bool) -> AsyncIterator[None]:
    """Have a server watched while it lives.

    Args:
        context: Of the server.
        make: What serves the pages.
        alone: Whether it serves them itself; else its supervisor does, for all workers.

    Raises:
        OSError: The address of the metrics cannot be bound.
        ConfigError: It is none.
    """
    if context.lag is not None:
        context.lag.start()
    if context.config.opentelemetry:
        telemetry = context.telemetry = make_telemetry(context)
        context.application = telemetry.before(context.application)
        telemetry.report()
    address = context.config.metrics if alone else None

    async def figures() -> list[Family]:
        return label_gauges(collect(context), str(context.worker))

    async with serving_pages(address, figures, lambda: context.ready, make):
        yield


@contextlib.asynccontextmanager
async def serving_pages(
    address: str | None,
    figures: Callable[[], Awaitable[list[Family]]],
    ready: Callable[[], bool],
    make: MakeServer,
) -> AsyncIterator[None]:
    """Serve metrics and health at an address of their own.

    Args:
        address: Where; None for nowhere.
        figures: Brings all figures as they are now.
        ready: Tells whether new clients are welcome.
        make: What serves the pages.

    Raises:
        OSError: The address cannot be bound.
        ConfigError: It is none.
    """
    if address is None:
        yield
        return
    server = make(Pages(figures, ready), metrics_config(address))
    listening = asyncio.Event()
    server.ready = listening.set
    serving = asyncio.create_task(server.serve())
    waiting = asyncio.create_task(listening.wait())
    await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if serving.done():
        await serving  # which raises what it has ended with
    try:
        yield
    finally:
        server.stop()
        await serving


def make_telemetry(context: Context) -> "Telemetry":
    """What speaks OpenTelemetry, which is imported for those who have asked for it.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        from fairway.server.observing.telemetry import Telemetry  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"opentelemetry is on, but there is no module {error.name!r}. "
            "Install fairway[opentelemetry]."
        ) from None
    return Telemetry(lambda: collect(context), lambda: str(context.worker))
