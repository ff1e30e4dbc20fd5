"""``manage.py runworker``: handle what is sent to named channels."""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import autoreload

from fairway import DEFAULT_CHANNEL_LAYER
from fairway._types import ASGIApplication
from fairway.layers import BaseChannelLayer, InMemoryChannelLayer, channel_layers, get_channel_layer
from fairway.routing import get_default_application
from fairway.server.early import hear_of_the_end
from fairway.worker import Worker
from fairway.worker.policy import Policies
from fairway.worker.routes import application_for, channel_names

logger = logging.getLogger("django.channels.worker")

#: Seconds that running jobs get when the autoreloader starts anew: nobody wants to wait for it.
RELOAD_TIMEOUT: Final = 1.0

#: Options that reach the worker only if they are given, as a `worker_class` need not know them.
_WORKER_OPTIONS = ("prefetch", "graceful_timeout", "lease")


class Command(BaseCommand):
    help = "Runs consumers for the messages that are sent to some named channels."
    leave_locale_alone = True
    worker_class: type[Worker] = Worker

    # Made in the autoreloader's thread if there is one; stopped from the main thread.
    _worker: Worker | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ended = threading.Event()

    def run_from_argv(self, argv: list[str]) -> None:
        """Begin: before checks are run and the application is imported, which may take a while."""
        hear_of_the_end()
        super().run_from_argv(argv)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "channels",
            nargs="*",
            metavar="CHANNEL[=N]",
            help="Channels to listen on, each with how many of its jobs run at once.",
        )
        parser.add_argument(
            "--layer",
            default=DEFAULT_CHANNEL_LAYER,
            metavar="ALIAS",
            help="Channel layer alias to use, if not the default.",
        )
        parser.add_argument(
            "--tasks",
            action="store_true",
            help="Listen on the channels of all queues in TASKS, too (Django 6.0 or newer).",
        )
        parser.add_argument(
            "--concurrency",
            type=int,
            default=1,
            metavar="N",
            help="How many jobs of a channel run at once where it does not say so (default: 1).",
        )
        parser.add_argument(
            "--prefetch",
            type=int,
            metavar="N",
            help="How many jobs of a channel are taken beyond the running ones (default: 0).",
        )
        parser.add_argument(
            "--graceful-timeout",
            type=float,
            metavar="SECONDS",
            help="How long running jobs may go on after SIGTERM or Ctrl-C (default: 30).",
        )
        parser.add_argument(
            "--lease",
            type=float,
            metavar="SECONDS",
            help="When the jobs of a killed worker come back, if they want acknowledgement "
            "(default: 60).",
        )
        parser.add_argument(
            "--reload",
            "--autoreload",
            action="store_true",
            dest="use_reloader",
            help="Start anew when the code changes; for development.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["use_reloader"]:
            self.inner_run(**options)
            return
        try:
            autoreload.run_with_reloader(self.inner_run, **options)
        finally:
            # The worker's thread would be cut off in the middle of what it does.
            if self._worker is not None:
                self._worker.stop()
                self._ended.wait(2 * RELOAD_TIMEOUT)

    def inner_run(self, **options: Any) -> None:
        """Work until a signal, in this process."""
        autoreload.raise_last_exception()
        layer = get_channel_layer(options["layer"])
        if layer is None:
            raise CommandError(_no_layer(options["layer"]))
        sizes = _sizes(options["channels"], options["concurrency"])
        if options["tasks"]:
            for channel in _task_channels(options["layer"]):
                sizes.setdefault(channel, options["concurrency"])
        if not sizes:
            raise CommandError("Error: the following arguments are required: channels")
        application = _application(list(sizes), options["layer"])
        _check_channels(application, layer, list(sizes))
        with self._logging(options["verbosity"]):
            self._warn(layer)
            logger.info("Running worker for channels %s", list(sizes))
            self._worker = self._make_worker(application, sizes, layer, options)
            try:
                self._worker.run()
            finally:
                self._ended.set()
        if getattr(self._worker, "cut_off", 0):
            sys.exit(1)

    def _make_worker(
        self,
        application: ASGIApplication,
        sizes: dict[str, int],
        layer: BaseChannelLayer,
        options: dict[str, Any],
    ) -> Worker:
        given = {name: options[name] for name in _WORKER_OPTIONS if options[name] is not None}
        if any(size != 1 for size in sizes.values()):
            given["concurrency"] = sizes
        if options["use_reloader"]:
            given["graceful_timeout"] = RELOAD_TIMEOUT
        try:
            return self.worker_class(
                application=application, channels=list(sizes), channel_layer=layer, **given
            )
        except (ImproperlyConfigured, ValueError) as error:
            raise CommandError(str(error)) from error

    @contextmanager
    def _logging(self, verbosity: int) -> Iterator[None]:
        """With ``-v 2`` each job is logged, whatever the LOGGING setting says."""
        if verbosity < 2:
            yield
            return
        level, propagate = logger.level, logger.propagate
        handler = logging.StreamHandler(self.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate

    def _warn(self, layer: object) -> None:
        if isinstance(layer, InMemoryChannelLayer):
            logger.warning(
                "The in-memory channel layer does not reach other processes: "
                "this worker gets only what is sent from inside itself."
            )


def _no_layer(alias: str) -> str:
    if not channel_layers.configs:
        return "You do not have any CHANNEL_LAYERS configured."
    known = ", ".join(repr(name) for name in channel_layers.configs)
    return f"There is no {alias!r} in CHANNEL_LAYERS, only {known}."


def _sizes(arguments: list[str], default: int) -> dict[str, int]:
    """How many jobs of each channel run at once."""
    sizes = {}
    for argument in arguments:
        channel, sign, number = argument.partition("=")
        if sign and not (number.isdecimal() and int(number)):
            raise CommandError(
                f"Cannot understand {argument!r}: after '=' comes how many jobs of the channel run "
                f"at once, as in '{channel}=4'."
            )
        sizes[channel] = int(number) if sign else default
    if default < 1:
        raise CommandError("--concurrency must be 1 or more.")
    return sizes


def _task_channels(alias: str) -> list[str]:
    if django.VERSION < (6, 0):
        raise CommandError("--tasks needs Django 6.0 or newer, which has django.tasks.")
    from fairway.tasks import task_channels  # noqa: PLC0415  there is none for Django 5.2

    channels = task_channels(alias)
    if not channels:
        raise CommandError(
            f"No queue of a fairway.tasks.ChannelLayerBackend in TASKS uses layer {alias!r}."
        )
    return channels


def _application(channels: list[str], alias: str) -> ASGIApplication:
    """What handles these channels: the project's application, the tasks of Django, or both."""
    if django.VERSION < (6, 0):
        return get_default_application()
    from fairway.tasks import with_tasks  # noqa: PLC0415  there is none for Django 5.2

    return with_tasks(get_default_application, channels, alias)


def _check_channels(application: object, layer: object, channels: list[str]) -> None:
    """Refuse at once what would fail again and again.

    Raises:
        CommandError: A name is not valid, or nothing handles it.
    """
    for channel in channels:
        _check_name(layer, channel, f"Cannot listen on {channel!r}", receive=True)
        inner = application_for(application, channel)
        if inner is None:
            raise CommandError(_no_route(application, channel))
        for policy in Policies(inner):
            if policy.dead_letter is not None:
                what = f"The dead_letter {policy.dead_letter!r} for channel {channel!r} is no name"
                _check_name(layer, policy.dead_letter, what, receive=False)


def _check_name(layer: object, name: str, what: str, *, receive: bool) -> None:
    if not isinstance(layer, BaseChannelLayer):  # a layer of somebody else's need not be one
        return
    try:
        layer.require_valid_channel_name(name, receive=receive)
    except TypeError as error:
        raise CommandError(f"{what}: {error}") from None


def _no_route(application: object, channel: str) -> str:
    known = ", ".join(repr(name) for name in sorted(channel_names(application) or ()))
    if not known:
        return (
            f"Nothing handles channel {channel!r}: the application in ASGI_APPLICATION has no "
            'routes for channels. Add "channel": ChannelNameRouter({…}) to its ProtocolTypeRouter.'
        )
    return (
        f"Nothing handles channel {channel!r}: the ChannelNameRouter in ASGI_APPLICATION knows "
        f"{known}."
    )
