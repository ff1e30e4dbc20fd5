"""ChannelLayerManager: from CHANNEL_LAYERS to layers."""

import asyncio
import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db.utils import ConnectionHandler
from django.test import override_settings
from pytest_django.fixtures import Settings

from fairway import DEFAULT_CHANNEL_LAYER
from fairway.exceptions import InvalidChannelLayerError
from fairway.layers import (
    BaseChannelLayer,
    ChannelLayerManager,
    InMemoryChannelLayer,
    LocalChannelLayer,
    channel_layers,
    get_channel_layer,
)
from fairway.layers.manager import project_of

MEMORY = "fairway.layers.InMemoryChannelLayer"


@pytest.fixture
def manager() -> ChannelLayerManager:
    return ChannelLayerManager()


def test_layers_are_made_once(manager: ChannelLayerManager) -> None:
    """A layer is made on first use and kept."""
    assert manager.backends == {}
    layer = manager[DEFAULT_CHANNEL_LAYER]
    assert isinstance(layer, InMemoryChannelLayer)
    assert manager[DEFAULT_CHANNEL_LAYER] is layer
    assert manager.backends == {"default": layer}


def test_layers_are_made_once_for_all_threads() -> None:
    """Two threads that ask first at the same time get the same layer."""
    threads: list[threading.Thread] = []
    found: list[object] = []

    class Interrupted(ChannelLayerManager):
        def make_backend(self, name: str) -> BaseChannelLayer:
            if not threads:  # another thread asks while this one makes the layer
                threads.append(
                    threading.Thread(target=lambda: found.append(interrupted["default"]))
                )
                threads[0].start()
                threads[0].join(0.1)
            return super().make_backend(name)

    def ask() -> None:
        found.append(interrupted["default"])

    interrupted = Interrupted()
    layer = interrupted["default"]
    threads[0].join()
    assert found == [layer]


def test_config(manager: ChannelLayerManager, settings: Settings) -> None:
    """CONFIG is given to the layer; TEST_CONFIG to the one for tests."""
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": MEMORY, "CONFIG": {"expiry": 5}, "TEST_CONFIG": {"expiry": 7}}
    }
    assert manager.make_backend("default").expiry == 5
    assert manager.make_test_backend("default").expiry == 7


@pytest.mark.row("1.4 ChannelLayerManager")
@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({}, "No BACKEND specified for default"),
        (
            {"BACKEND": "nowhere.Layer"},
            "Cannot import BACKEND 'nowhere.Layer' specified for default",
        ),
        (
            {"BACKEND": MEMORY, "ROUTING": []},
            "ROUTING key found for default - this is no longer needed in Channels 2.",
        ),
    ],
)
def test_errors(
    manager: ChannelLayerManager, settings: Settings, entry: dict[str, object], text: str
) -> None:
    """What is wrong with an entry is said with its alias."""
    settings.CHANNEL_LAYERS = {"default": entry}
    with pytest.raises(InvalidChannelLayerError) as caught:
        manager.make_backend("default")
    assert str(caught.value) == text


def test_no_test_config(manager: ChannelLayerManager) -> None:
    """A layer for tests needs TEST_CONFIG."""
    with pytest.raises(InvalidChannelLayerError, match=r"^No TEST_CONFIG specified for default$"):
        manager.make_test_backend("default")


def test_unknown_option(manager: ChannelLayerManager, settings: Settings) -> None:
    """An option that the layer does not have is named with its alias."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": MEMORY, "CONFIG": {"hosts": []}}}
    with pytest.raises(TypeError, match=r"CHANNEL_LAYERS\['default'\]\['CONFIG'\]: .*'hosts'"):
        manager.make_backend("default")


@pytest.mark.row("1.4 get_channel_layer")
def test_unknown_alias(manager: ChannelLayerManager) -> None:
    """The manager raises KeyError, get_channel_layer returns None."""
    with pytest.raises(KeyError):
        manager["nobody"]
    assert "nobody" not in manager
    assert "default" in manager
    assert get_channel_layer("nobody") is None


def test_set(manager: ChannelLayerManager) -> None:
    """A layer can be put in another's place, which is returned."""
    old, new = manager["default"], InMemoryChannelLayer()
    assert manager.set("default", new) is old
    assert manager["default"] is new


def test_settings_may_change() -> None:
    """A changed CHANNEL_LAYERS setting makes new layers."""
    layer = get_channel_layer()
    with override_settings(CHANNEL_LAYERS={"default": {"BACKEND": MEMORY}}):
        assert channel_layers.backends == {}
        assert get_channel_layer() is not layer
        assert channel_layers.backends != {}
    assert channel_layers.backends == {}


async def test_dropped_layers_are_closed(
    manager: ChannelLayerManager, settings: Settings, tmp_path: Path
) -> None:
    """What the old settings had connected to is let go of, in the background."""
    local = {"BACKEND": "fairway.layers.LocalChannelLayer", "CONFIG": {"PATH": tmp_path / "mesh"}}
    settings.CHANNEL_LAYERS = {"default": local, "unused": local}
    layer = manager["default"]
    assert isinstance(layer, LocalChannelLayer)
    assert isinstance(manager["unused"], LocalChannelLayer)
    await layer.group_send("room", {"type": "x"})
    assert len(list((tmp_path / "mesh").iterdir())) == 1
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": MEMORY}}
    while list((tmp_path / "mesh").iterdir()):  # noqa: ASYNC110  nothing tells of it
        await asyncio.sleep(0.001)
    assert manager.backends == {}
    await layer.close()  # again is the same as once


async def test_dropped_layer_that_cannot_be_closed(
    manager: ChannelLayerManager,
    settings: Settings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log says so."""

    async def fail() -> None:
        raise OSError("stuck")

    local = {"BACKEND": "fairway.layers.LocalChannelLayer", "CONFIG": {"PATH": tmp_path / "mesh"}}
    settings.CHANNEL_LAYERS = {"default": local}
    layer = manager["default"]
    assert isinstance(layer, LocalChannelLayer)
    layer.on_close.append(fail)
    await layer.group_send("room", {"type": "x"})
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": MEMORY}}
    while not caplog.messages:  # noqa: ASYNC110  the log is what is looked at
        await asyncio.sleep(0.001)
    assert caplog.messages == ["A channel layer could not be closed"]
    layer.on_close.clear()
    await layer.close()


def test_without_the_setting(settings: Settings) -> None:
    """A project that names no layer has one all the same."""
    del settings.CHANNEL_LAYERS
    # In tests, one that does not talk to the server beside them.
    assert isinstance(get_channel_layer(), InMemoryChannelLayer)
    settings.CHANNEL_LAYERS = {}
    assert get_channel_layer() is None


def test_without_the_setting_outside_of_tests(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default a project's processes on one machine reach each other."""
    monkeypatch.setattr("fairway.layers.manager._in_tests", lambda: False)
    del settings.CHANNEL_LAYERS
    layer = get_channel_layer()
    assert isinstance(layer, LocalChannelLayer)
    channel_layers.backends.clear()
    again = get_channel_layer()
    assert isinstance(again, LocalChannelLayer)
    assert again.directory.path == layer.directory.path
    settings.BASE_DIR = "/another/project"
    channel_layers.backends.clear()
    other = get_channel_layer()
    assert isinstance(other, LocalChannelLayer)
    assert other.directory.path != layer.directory.path


@pytest.mark.parametrize("databases", [{}, {"default": {}}])
def test_project_without_a_database(
    databases: dict[str, dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the same project whether Django has looked for its database already, or not yet."""
    settings = SimpleNamespace(BASE_DIR="/project", DATABASES=databases)
    monkeypatch.setattr("fairway.layers.manager.settings", settings)
    project = project_of("default")
    assert ConnectionHandler(databases).settings == databases
    assert databases["default"]["ENGINE"] == "django.db.backends.dummy"
    assert project_of("default") == project


def test_options_in_capitals(manager: ChannelLayerManager, settings: Settings) -> None:
    """The options of our layers may be written as Django writes settings."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": MEMORY, "CONFIG": {"CAPACITY": 7}}}
    assert manager.make_backend("default").capacity == 7


def test_key_error_of_a_layer(manager: ChannelLayerManager, settings: Settings) -> None:
    """A layer that misses an option is no alias that does not exist."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"{__name__}.Picky"}}
    with pytest.raises(InvalidChannelLayerError, match=r"for default misses 'HOST' in its CONFIG"):
        get_channel_layer()


class Picky(BaseChannelLayer):
    """A layer of somebody else's."""

    def __init__(self, **config: str) -> None:
        config["HOST"]


def test_what_a_layer_needs(manager: ChannelLayerManager, settings: Settings) -> None:
    """What is missing for a layer is said by the error itself, not by its cause alone."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"{__name__}.NeedsMore"}}
    with pytest.raises(InvalidChannelLayerError) as caught:
        manager.make_backend("default")
    assert str(caught.value) == (
        f"Cannot import BACKEND '{__name__}.NeedsMore' specified for default: "
        "It needs more: pip install more."
    )


def __getattr__(name: str) -> object:
    if name == "NeedsMore":
        raise ImportError("It needs more: pip install more.")
    raise AttributeError(name)


def test_made_while_it_is_made(manager: ChannelLayerManager) -> None:
    """A signal handler that asks for a layer while it is made gets the one that all others get."""
    inner: list[BaseChannelLayer] = []
    make_backend = manager.make_backend

    def interrupted(name: str) -> BaseChannelLayer:
        manager.make_backend = make_backend  # type: ignore[method-assign]
        inner.append(manager[name])  # the handler
        return make_backend(name)

    manager.make_backend = interrupted  # type: ignore[method-assign]  # as a signal would
    assert [manager["default"]] == inner


def test_forked_while_a_layer_is_made() -> None:
    """A child whose parent was making a layer at that moment makes its own."""
    making, go_on = threading.Event(), threading.Event()

    def make() -> None:
        with channel_layers._making:
            making.set()
            go_on.wait(60)

    thread = threading.Thread(target=make)
    thread.start()
    making.wait(60)
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # rather than wait for ever
        channel_layers.backends.clear()
        os._exit(get_channel_layer() is None)
    go_on.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
