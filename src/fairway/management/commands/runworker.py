"""``manage.py runworker``: handle what is sent to named channels."""

import logging
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fairway import DEFAULT_CHANNEL_LAYER
from fairway.layers import BaseChannelLayer, InMemoryChannelLayer, channel_layers, get_channel_layer
from fairway.routing import get_default_application
from fairway.worker import Worker

logger = logging.getLogger("django.channels.worker")


class Command(BaseCommand):
    help = "Runs consumers for the messages that are sent to some named channels."
    leave_locale_alone = True
    worker_class = Worker

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--layer",
            default=DEFAULT_CHANNEL_LAYER,
            metavar="ALIAS",
            help="Channel layer alias to use, if not the default.",
        )
        parser.add_argument("channels", nargs="+", help="Channels to listen on.")

    def handle(self, *args: Any, **options: Any) -> None:
        layer = get_channel_layer(options["layer"])
        if layer is None:
            raise CommandError(_no_layer(options["layer"]))
        _check_names(layer, options["channels"])
        if isinstance(layer, InMemoryChannelLayer):
            logger.warning(
                "The in-memory channel layer does not reach other processes: "
                "this worker gets only what is sent from inside itself."
            )
        logger.info("Running worker for channels %s", options["channels"])
        worker = self.worker_class(
            application=get_default_application(),
            channels=options["channels"],
            channel_layer=layer,
        )
        worker.run()


def _no_layer(alias: str) -> str:
    if not channel_layers.configs:
        return "You do not have any CHANNEL_LAYERS configured."
    known = ", ".join(repr(name) for name in channel_layers.configs)
    return f"There is no {alias!r} in CHANNEL_LAYERS, only {known}."


def _check_names(layer: object, channels: list[str]) -> None:
    """Refuse a name at once that the layer would refuse again and again."""
    if not isinstance(layer, BaseChannelLayer):  # a layer of somebody else's need not be one
        return
    for channel in channels:
        try:
            layer.require_valid_channel_name(channel, receive=True)
        except TypeError as error:
            raise CommandError(f"Cannot listen on {channel!r}: {error}") from None
