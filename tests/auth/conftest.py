"""Users, sessions and servers for tests of authentication."""

from collections.abc import Callable, Mapping

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db.models.signals import post_delete
from django.test import Client

from fairway.auth import revocation
from fairway.db import database_sync_to_async
from tests.eager import LoopFactory, loops_of
from tests.server.conftest import logs, serve

__all__ = ["browser", "change", "create", "logs", "serve"]

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"

#: Test modules that run on loops with eager tasks, too: they depend on when tasks begin.
ON_EAGER_LOOPS = {"test_connections", "test_listening", "test_revocation", "test_sockets"}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, LoopFactory]:
    """The event loops on which a test runs."""
    return loops_of(item, eager_too=ON_EAGER_LOOPS)


@database_sync_to_async
def create(name: str = "ada") -> User:
    """Create a user."""
    return User.objects.create_user(name, password="secret")


@database_sync_to_async
def browser(user: User) -> tuple[Client, str]:
    """Log a user in as a browser does; return it with the session's key."""
    client = Client()
    client.force_login(user, MODEL_BACKEND)
    session_key = client.session.session_key
    assert session_key is not None
    return client, session_key


@database_sync_to_async
def change(action: Callable[[], object]) -> None:
    """Do something as a view would: in a thread, with the database."""
    action()


@database_sync_to_async
def session_exists(key: str) -> bool:
    """Whether a session is stored."""
    return Session.objects.filter(pk=key).exists()


@pytest.fixture(autouse=True)
def _fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget that the layer failed, or that there were connections, in another test."""
    monkeypatch.setattr(revocation, "_silent_until", 0.0)
    post_delete.disconnect(sender=Session, dispatch_uid="fairway.auth")
    revocation._connect_session_signal.cache_clear()
