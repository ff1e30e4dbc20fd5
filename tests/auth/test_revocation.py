"""What is told of users and sessions."""

import asyncio
from typing import Any

import pytest
from django.contrib.auth import user_logged_out
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import transaction
from django.db.models.signals import post_delete
from django.test import Client
from pytest_django import Settings

from fairway import layers, native
from fairway._types import Event
from fairway.auth import arevoke, revocation, revoke
from fairway.auth.connections import session_digest
from fairway.auth.listening import GROUP
from fairway.auth.revocation import connect_session_signal, connect_signals, publish
from fairway.layers import InMemoryChannelLayer
from tests.auth.conftest import MODEL_BACKEND
from tests.server.running import Logs

pytestmark = pytest.mark.django_db(transaction=True)


class Sync:
    """The sync verbs of a layer; only one is used."""

    def __init__(self, layer: "Layer") -> None:
        self._layer = layer

    def group_send(self, group: str, message: Event) -> None:
        """Keep a message."""
        self._layer.keep(group, message)


class Layer:
    """A channel layer that keeps what is sent to the group.

    Attributes:
        told: What was sent: whom it is about, and whether it is certain.
        broken: What sending raises.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str | None, str | None, bool]] = []
        self.broken: Exception | None = None
        self.attempts = 0

    def keep(self, group: str, message: Event) -> None:
        """Keep a message."""
        self.attempts += 1
        if self.broken is not None:
            raise self.broken
        assert group == GROUP
        assert message["type"] == "auth.revoked"
        self.told.append((message["user"], message["session"], message["certain"]))

    async def group_send(self, group: str, message: Event) -> None:
        """Keep a message."""
        self.keep(group, message)


class LayerWithSync(Layer):
    """One of ours, which has verbs for sync code."""

    @property
    def sync(self) -> Sync:
        """The verbs."""
        return Sync(self)


@pytest.fixture(params=[LayerWithSync, Layer])
def layer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Layer:
    """The layer that is told, ours or another's."""
    layer: Layer = request.param()
    monkeypatch.setattr(layers, "get_channel_layer", lambda alias: layer)
    return layer


@pytest.fixture
def user(layer: Layer) -> User:
    """A user, of whom nothing has been told."""
    user = User.objects.create_user("ada", password="secret")
    assert layer.told == []
    return user


@pytest.fixture
def _sessions() -> None:
    """Listen to deleted sessions, as a process with connections does."""
    connect_session_signal()


class TestSignals:
    """What Django tells."""

    def test_logout(self, layer: Layer, user: User) -> None:
        """The session is over; the user's others are not."""
        client = Client()
        client.force_login(user, MODEL_BACKEND)
        key = client.session.session_key
        layer.told.clear()
        client.logout()
        assert (None, session_digest(key), True) in layer.told

    def test_logout_without_request(self, layer: Layer, user: User) -> None:
        """Where nobody says which session it was, the user's connections are checked."""
        user_logged_out.send(sender=User, request=None, user=user)
        assert layer.told == [(str(user.pk), None, False)]

    def test_logout_of_nobody(self, layer: Layer) -> None:
        """A logout of somebody who was not logged in is no news."""
        user_logged_out.send(sender=type(None), request=None, user=None)
        assert layer.told == []

    def test_saved(self, layer: Layer, user: User) -> None:
        """Whatever was saved may matter, so the connections are checked."""
        user.set_password("other")
        user.save()
        user.is_active = False
        user.save(update_fields=["is_active", "last_login"])
        assert layer.told == [(str(user.pk), None, False)] * 2

    def test_saved_with_the_login(self, layer: Layer, user: User) -> None:
        """The moment of the last login does not matter."""
        user.save(update_fields=["last_login"])
        assert layer.told == []

    def test_deleted(self, layer: Layer, user: User) -> None:
        """A deleted user has no connections."""
        key = str(user.pk)
        User.objects.all().delete()
        assert layer.told == [(key, None, True)]

    def test_other_models(self, layer: Layer) -> None:
        """Models that are no users are no business of ours."""
        permission = Permission.objects.get(codename="add_user")
        permission.save()
        assert layer.told == []

    def test_connected_once(self, layer: Layer, user: User) -> None:
        """However often the signals are connected, news come once."""
        connect_signals()
        user.save()
        assert len(layer.told) == 1

    @pytest.mark.usefixtures("_sessions")
    def test_deleted_session(self, layer: Layer) -> None:
        """A session that is deleted is over."""
        session = SessionStore()
        session.create()
        key = session.session_key
        session.flush()
        assert layer.told == [(None, session_digest(key), True)]

    @pytest.mark.usefixtures("_sessions")
    def test_expired_sessions(self, layer: Layer) -> None:
        """Of expired sessions, which are deleted by the thousand, nothing is told."""
        session = SessionStore()
        session.set_expiry(-1)
        session.create()
        call_command("clearsessions")
        assert Session.objects.count() == 0
        assert layer.told == []

    def test_processes_without_connections(self) -> None:
        """Where nobody is connected, sessions are deleted without being fetched."""
        assert not post_delete.has_listeners(Session)

    def test_sessions_that_are_no_rows(self, settings: Settings) -> None:
        """Of other kinds of sessions, there is no signal to listen to."""
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
        connect_session_signal()


class TestRevoke:
    """What a project tells."""

    def test_user(self, layer: Layer, user: User) -> None:
        """A user, or their primary key."""
        revoke(user=user)
        revoke(user=user.pk)
        assert layer.told == [(str(user.pk), None, True)] * 2

    def test_session(self, layer: Layer) -> None:
        """A session."""
        revoke(session_key="abc")
        assert layer.told == [(None, session_digest("abc"), True)]

    @pytest.mark.parametrize("arguments", [{}, {"user": 7, "session_key": "abc"}])
    def test_neither_or_both(self, arguments: dict[str, Any]) -> None:
        """It is either of these."""
        with pytest.raises(TypeError) as caught:
            revoke(**arguments)
        assert str(caught.value) == "revoke() takes either a user or a session_key."

    async def test_async(self, layer: Layer) -> None:
        """The same from async code."""
        await arevoke(user=7)
        assert layer.told == [("7", None, True)]


class TestPublish:
    """When it is told, and what becomes of it."""

    def test_transaction(self, layer: Layer) -> None:
        """Nobody looks before what has changed can be seen."""
        with transaction.atomic():
            publish(user=7)
            assert layer.told == []
        assert layer.told == [("7", None, False)]

    def test_rollback(self, layer: Layer) -> None:
        """What did not happen is not told."""
        with transaction.atomic():
            publish(user=7)
            transaction.set_rollback(True)
        assert layer.told == []

    async def test_in_an_event_loop(self, layer: Layer) -> None:
        """Sync code that runs in an event loop does not stop it."""
        revocation._send({"type": "auth.revoked", "user": "7", "session": None, "certain": True})
        assert layer.told == []
        await asyncio.gather(*revocation._tasks)
        assert layer.told == [("7", None, True)]

    async def test_beside_an_event_loop(
        self, layer: Layer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where greenlets share a thread, nothing is left to the loop of another that may end."""
        monkeypatch.setattr(native, "replaced_by", lambda: "gevent")
        told = asyncio.get_running_loop().create_future()

        def in_another_greenlet() -> None:  # no task runs meanwhile
            publish(user=7)
            told.set_result(bool(layer.told))

        asyncio.get_running_loop().call_soon(in_another_greenlet)
        assert await told is isinstance(layer, LayerWithSync)
        await asyncio.gather(*revocation._tasks)
        assert layer.told == [("7", None, False)]

    async def test_down_in_an_event_loop(self, layer: Layer, logs: Logs) -> None:
        """A layer that is down does no harm there either."""
        layer.broken = ConnectionError("refused")
        revocation._send({"type": "auth.revoked"})
        await asyncio.gather(*revocation._tasks)
        assert len(logs.take()) == 1

    def test_down(
        self, layer: Layer, user: User, logs: Logs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A layer that is down delays nobody twice; the log has one line."""
        layer.broken = ConnectionError("refused")
        user.save()
        user.save()
        assert layer.attempts == 1
        (line,) = logs.take()
        assert line == (
            "WARNING Other processes cannot be told that a user's access may have ended; "
            "connections are checked by their interval only. Nothing is sent for 30 s: "
            "ConnectionError: refused"
        )
        monkeypatch.setattr(revocation, "_silent_until", 0.0)
        layer.broken = None
        user.save()
        assert layer.told == [(str(user.pk), None, False)]

    def test_no_layer(self, layer: Layer, settings: Settings) -> None:
        """Where no layer is wanted, nothing is told."""
        settings.FAIRWAY_AUTH_CHANNEL_LAYER = None
        publish(user=7)
        assert layer.attempts == 0

    def test_missing_layer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where there is none, either."""
        monkeypatch.setattr(layers, "get_channel_layer", lambda alias: None)
        publish(user=7)

    def test_real_layer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is sent crosses a layer as it is."""
        layer = InMemoryChannelLayer()
        monkeypatch.setattr(layers, "get_channel_layer", lambda alias: layer)
        channel = layer.sync.new_channel()
        layer.sync.group_add(GROUP, channel)
        publish(user=7, certain=True)
        assert layer.sync.receive(channel, 10) == {
            "type": "auth.revoked",
            "user": "7",
            "session": None,
            "certain": True,
        }
