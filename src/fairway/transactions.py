"""Messages that are sent when the database transaction commits, and not if it rolls back.

Who is told of a row before it is committed may look for it and not find it::

    with transaction.atomic():
        order = Order.objects.create(…)
        group_send_on_commit("orders", {"type": "order.placed", "id": order.pk})

A message is checked and copied at once: what is wrong with it is raised where it was made.
"""

import copy
from typing import Any

from asgiref.sync import async_to_sync
from django.db import transaction

from fairway import DEFAULT_CHANNEL_LAYER, layers
from fairway._types import Event
from fairway.db import database_sync_to_async
from fairway.exceptions import InvalidChannelLayerError
from fairway.layers.base import ChannelLayer
from fairway.layers.codec import decode, encode

__all__ = [
    "agroup_send_on_commit",
    "asend_on_commit",
    "group_send_on_commit",
    "send_on_commit",
]


def group_send_on_commit(
    group: str,
    message: Event,
    *,
    using: str | None = None,
    layer: str = DEFAULT_CHANNEL_LAYER,
    robust: bool = True,
) -> None:
    """Send a message to a group when the current transaction commits; at once if there is none.

    For sync code: a view, a signal receiver, a task. In async code, await
    :func:`agroup_send_on_commit`.

    Args:
        group: Its name.
        message: As for :meth:`~fairway.layers.BaseChannelLayer.group_send`.
        using: The alias of the database; None for the default one.
        layer: The alias of the channel layer.
        robust: Log it if sending fails, and go on: the transaction is committed by then, and
            whoever waits for it should not believe that it is not. With False it is raised there.

    Raises:
        InvalidChannelLayerError: There is no such channel layer.
        MessageNotSerializable: The message holds a value that cannot be sent.
        TypeError: The group's name is not valid.
    """
    found = _layer(layer)
    found.require_valid_group_name(group)
    _send_later(found, "group_send", group, message, {}, using=using, robust=robust)


def send_on_commit(
    channel: str,
    message: Event,
    *,
    delay: float = 0.0,
    using: str | None = None,
    layer: str = DEFAULT_CHANNEL_LAYER,
    robust: bool = True,
) -> None:
    """Send a message to one channel when the current transaction commits; at once without one.

    Args:
        channel: Its name, such as that of a worker's jobs.
        message: As for :meth:`~fairway.layers.BaseChannelLayer.send`.
        delay: Seconds from the commit on before anyone may receive it, on layers that can do that.
        using: The alias of the database; None for the default one.
        layer: The alias of the channel layer.
        robust: As for :func:`group_send_on_commit`.

    Raises:
        InvalidChannelLayerError: There is no such channel layer.
        MessageNotSerializable: The message holds a value that cannot be sent.
        TypeError: The channel's name is not valid.
        ValueError: There is a delay that this channel, or this layer, cannot keep.
    """
    found = _layer(layer)
    found.require_valid_channel_name(channel)
    if delay and isinstance(found, ChannelLayer):
        found.require_valid_delay(channel, delay)
    options = {"delay": delay} if delay else {}
    _send_later(found, "send", channel, message, options, using=using, robust=robust)


async def agroup_send_on_commit(group: str, message: Event, **options: Any) -> None:
    """The same as :func:`group_send_on_commit`, from async code.

    Transactions belong to sync code: it is the one of the sync code that waits for this
    (``async_to_sync``), or of the test around it; without one, the message is sent at once.
    """
    await database_sync_to_async(group_send_on_commit)(group, message, **options)


async def asend_on_commit(channel: str, message: Event, **options: Any) -> None:
    """The same as :func:`send_on_commit`, from async code; see :func:`agroup_send_on_commit`."""
    await database_sync_to_async(send_on_commit)(channel, message, **options)


def _layer(alias: str) -> Any:
    layer = layers.get_channel_layer(alias)
    if layer is None:
        raise InvalidChannelLayerError(f"There is no {alias!r} in CHANNEL_LAYERS.")
    return layer


def _send_later(
    layer: Any,
    name: str,
    to: str,
    message: Event,
    options: dict[str, float],
    *,
    using: str | None,
    robust: bool,
) -> None:
    verb, message = _verb(layer, name), _copy(layer, message)

    def send() -> None:  # a function, whose name Django logs
        verb(to, message, **options)

    transaction.on_commit(send, using=using, robust=robust)


def _verb(layer: Any, name: str) -> Any:
    """A verb of the layer for sync code."""
    if isinstance(layer, ChannelLayer):
        return getattr(layer.sync, name)
    return async_to_sync(getattr(layer, name))


def _copy(layer: Any, message: Event) -> Event:
    """The message as it is now, if it can be sent at all."""
    if isinstance(layer, ChannelLayer):
        return decode(encode(message))
    return copy.deepcopy(message)
