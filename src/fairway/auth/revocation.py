"""News that a user or a session may be over: from Django's signals to every process.

A message says whom it is about, and reaches those who listen (:mod:`fairway.auth.listening`). They
look the user up again, except where it is certain that the connection has to end. It is sent when
the transaction around its cause has been committed, so that they find what it has changed.
"""

import asyncio
import functools
import logging
import time
from importlib import import_module
from typing import Any, Final

from asgiref.sync import async_to_sync, sync_to_async
from django.apps import apps
from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.db import router, transaction
from django.db.models import Model
from django.db.models.signals import post_delete, post_save
from django.utils import timezone

from fairway import layers, native
from fairway._types import Event
from fairway.auth.connections import session_digest
from fairway.auth.listening import GROUP, layer_alias
from fairway.later import create_task_later

logger = logging.getLogger("fairway.auth")

#: Seconds for which nothing is published after the layer has failed: what sends a signal, such as
#: a view, must not wait for a layer that is down each time.
SILENCE: Final = 30.0

#: Fields of a user that say nothing about whether they may stay.
_HARMLESS: Final = frozenset({"last_login"})

_silent_until = 0.0
_tasks: set["asyncio.Task[None]"] = set()


def revoke(*, user: Any = None, session_key: str | None = None) -> None:
    """Close the connections of a user or a session, in all processes, with 4401.

    What Django's signals tell (a logout, a saved or deleted user) needs no call. This is for what
    they do not: ``QuerySet.update()``, a session that you delete from a cache, an order to throw
    somebody out. Only connections under a middleware with ``revalidate`` hear of it; clients may
    connect again, and get what their session or token is then worth. Inside a transaction it is
    done when that is committed.

    Args:
        user: A user, or a user's primary key.
        session_key: The key of a session.

    Raises:
        TypeError: Neither or both are given.
    """
    if (user is None) is (session_key is None):
        raise TypeError("revoke() takes either a user or a session_key.")
    publish(user=user, session_key=session_key, certain=True)


async def arevoke(*, user: Any = None, session_key: str | None = None) -> None:
    """Do the same from async code; see :func:`revoke`."""
    await sync_to_async(revoke)(user=user, session_key=session_key)


def publish(
    *,
    user: Any = None,
    session_key: str | None = None,
    certain: bool = False,
    using: str | None = None,
) -> None:
    """Tell all processes, once the running transaction is committed.

    Nothing is raised: whatever becomes of the news, what caused them has happened.

    Args:
        user: Whom it is about: a user or a primary key.
        session_key: Or a session.
        certain: Connections are to end without a look at the database.
        using: Alias of the database whose transaction counts.
    """
    if layer_alias() is None:
        return
    message: Event = {
        "type": "auth.revoked",
        "user": None if user is None else str(getattr(user, "pk", user)),
        "session": session_digest(session_key),
        "certain": certain,
    }
    send = functools.partial(_send, message)
    connection = transaction.get_connection(using)
    if connection.in_atomic_block:
        connection.on_commit(send, robust=True)
    else:
        send()


def _send(message: Event) -> None:
    if time.monotonic() < _silent_until:
        return
    try:
        alias = layer_alias()
        layer: Any = layers.get_channel_layer(alias) if alias is not None else None
        if layer is not None:
            _group_send(layer, message)
    except Exception as error:  # noqa: BLE001  a layer that is down must not undo a logout
        _failed(error)


def _group_send(layer: Any, message: Event) -> None:
    """Send to the group, from whatever kind of code this is."""
    sync = getattr(layer, "sync", None)
    if sync is not None and native.running_loop() is None:
        sync.group_send(GROUP, message)
    elif (loop := asyncio._get_running_loop()) is None:  # noqa: SLF001
        async_to_sync(layer.group_send)(GROUP, message)
    else:
        # Later: a signal is being sent, whose sender waits for it.
        task = create_task_later(loop, _group_send_later(layer, message))
        _tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(_tasks.discard)


async def _group_send_later(layer: Any, message: Event) -> None:
    try:
        await layer.group_send(GROUP, message)
    except Exception as error:  # noqa: BLE001  as above
        _failed(error)


def _failed(error: Exception) -> None:
    global _silent_until  # noqa: PLW0603  one layer for the whole process
    _silent_until = time.monotonic() + SILENCE
    logger.warning(
        "Other processes cannot be told that a user's access may have ended; connections are "
        "checked by their interval only. Nothing is sent for %g s: %s: %s",
        SILENCE,
        type(error).__name__,
        error,
    )


# ------------------------------------------------------------------ signals


def connect_signals() -> None:
    """Listen to what Django tells of users; again is the same as once."""
    from django.contrib.auth import get_user_model  # noqa: PLC0415  # needs django.setup()

    user_logged_out.connect(_logged_out, dispatch_uid="fairway.auth")
    user_model = get_user_model()
    # Models with a parent and proxies send signals of their own, but not their parent's.
    for model in apps.get_models():
        if issubclass(model, user_model):
            post_save.connect(_user_saved, sender=model, dispatch_uid="fairway.auth")
            post_delete.connect(_user_deleted, sender=model, dispatch_uid="fairway.auth")


def connect_session_signal() -> None:
    """Hear of deleted sessions, where they are rows; for processes that have connections.

    With a listener Django fetches what it deletes. Processes that hold no connection do not pay
    that price, above all ``clearsessions``, which deletes very many.
    """
    _connect_session_signal(settings.SESSION_ENGINE)


@functools.cache
def _connect_session_signal(engine: str) -> None:
    find_model = getattr(import_module(engine).SessionStore, "get_model_class", None)
    if find_model is not None:
        post_delete.connect(_session_deleted, sender=find_model(), dispatch_uid="fairway.auth")


def _logged_out(sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
    if user is None:
        return
    session = getattr(request, "session", None)
    session_key = getattr(session, "session_key", None)
    using = router.db_for_write(sender) if _is_model(sender) else None
    if session_key:
        publish(session_key=session_key, certain=True, using=using)
    else:
        publish(user=user, using=using)


def _user_saved(
    sender: Any,
    instance: Model,
    created: bool,
    update_fields: frozenset[str] | None,
    using: str,
    **kwargs: Any,
) -> None:
    if not created and (update_fields is None or not update_fields <= _HARMLESS):
        publish(user=instance, using=using)


def _user_deleted(sender: Any, instance: Model, using: str, **kwargs: Any) -> None:
    publish(user=instance, certain=True, using=using)


def _session_deleted(sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
    # Those that have expired are found by the interval, and may be deleted by the thousand.
    if instance.expire_date > timezone.now():
        publish(session_key=instance.session_key, certain=True, using=using)


def _is_model(sender: Any) -> bool:
    return isinstance(sender, type) and issubclass(sender, Model)
