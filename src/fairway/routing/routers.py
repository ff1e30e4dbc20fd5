"""Routers by the kind of the scope, and the application that a project names."""

import importlib
from collections.abc import Mapping

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from fairway._types import ASGIApplication, Receive, Scope, Send


def get_default_application() -> ASGIApplication:
    """Import the application that the ``ASGI_APPLICATION`` setting names by its dotted path.

    Raises:
        ImproperlyConfigured: The setting, its module or the name in it is missing.
    """
    try:
        path, name = settings.ASGI_APPLICATION.rsplit(".", 1)
    except (ValueError, AttributeError):
        raise ImproperlyConfigured("Cannot find ASGI_APPLICATION setting.") from None
    try:
        module = importlib.import_module(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"Cannot import ASGI_APPLICATION module {path!r}") from error
    try:
        application: ASGIApplication = getattr(module, name)
    except AttributeError as error:
        raise ImproperlyConfigured(
            f"Cannot find {name!r} in ASGI_APPLICATION module {path}"
        ) from error
    return application


class ProtocolTypeRouter:
    """Chooses an application by the type of the scope: ``"http"``, ``"websocket"``, ``"channel"``.

    Args:
        application_mapping: Applications by scope type.
    """

    def __init__(self, application_mapping: Mapping[str, ASGIApplication]) -> None:
        self.application_mapping = application_mapping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for this type.

        Raises:
            ValueError: There is none. Servers take this for an application without lifespan events
                when the type is ``"lifespan"``, as the ASGI specification asks them to.
        """
        application = self.application_mapping.get(scope["type"])
        if application is None:
            raise ValueError(f"No application configured for scope type {scope['type']!r}")
        return await application(scope, receive, send)


class ChannelNameRouter:
    """Chooses an application by the name of the channel, for the consumers of ``runworker``.

    Args:
        application_mapping: Applications by channel name.
    """

    def __init__(self, application_mapping: Mapping[str, ASGIApplication]) -> None:
        self.application_mapping = application_mapping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for this channel.

        Raises:
            ValueError: There is none, or the scope is not that of a channel.
        """
        if "channel" not in scope:
            raise ValueError(
                "ChannelNameRouter got a scope without a 'channel' key. Did you make sure it's "
                "only being used for 'channel' type messages?"
            )
        application = self.application_mapping.get(scope["channel"])
        if application is None:
            raise ValueError(f"No application configured for channel name {scope['channel']!r}")
        return await application(scope, receive, send)
