"""What the check of jobs finds."""

from typing import Any

import pytest

from fairway._types import Event
from fairway.consumer import AsyncConsumer
from fairway.routing import ChannelNameRouter, ProtocolTypeRouter
from fairway.worker import job
from fairway.worker.checks import check_jobs

# pytest-django's `settings` fixture; its attributes are any setting.
Settings = Any


class Careful(AsyncConsumer):
    @job(acknowledge=True)
    async def work(self, message: Event) -> None:
        """Ask for what not every layer can do."""


class Foreign:
    """A layer that can do nothing beyond the contract."""


class Able:
    """A layer of somebody else's that can."""

    abilities = ("acknowledgement",)


class Dynamic:
    """A layer that knows only when it is made."""

    @property
    def abilities(self) -> frozenset[str]:
        """Whatever."""
        raise AssertionError("no layer is made")


application = ProtocolTypeRouter({"channel": ChannelNameRouter({"jobs": Careful.as_asgi()})})
carefree = ProtocolTypeRouter({"http": Careful.as_asgi()})


def layers(*backends: str) -> dict[str, dict[str, str]]:
    return {f"layer{number}": {"BACKEND": path} for number, path in enumerate(backends)}


@pytest.fixture(autouse=True)
def _project(settings: Settings) -> None:
    settings.ASGI_APPLICATION = f"{__name__}.application"


def test_no_layer_that_could_is_an_error(settings: Settings) -> None:
    """It names the channel."""
    settings.CHANNEL_LAYERS = layers(f"{__name__}.Foreign")
    (found,) = check_jobs()
    assert (found.id, found.msg) == (
        "fairway.E013",
        (
            "A handler of channel 'jobs' asks for acknowledgement, which no layer in "
            "CHANNEL_LAYERS can do."
        ),
    )


@pytest.mark.parametrize(
    "path",
    [
        f"{__name__}.Able",
        f"{__name__}.Dynamic",
        "fairway.layers.InMemoryChannelLayer",
        "not.there",  # another check is about it
    ],
)
def test_one_that_can_is_enough(settings: Settings, path: str) -> None:
    """The worker says which one it uses."""
    settings.CHANNEL_LAYERS = layers(f"{__name__}.Foreign", path)
    assert check_jobs() == []


@pytest.mark.parametrize("name", ["carefree", "gone"])
def test_who_asks_for_nothing_is_not_bothered(settings: Settings, name: str) -> None:
    """Nor who has no application."""
    settings.CHANNEL_LAYERS = layers(f"{__name__}.Foreign")
    settings.ASGI_APPLICATION = f"{__name__}.{name}"
    assert check_jobs() == []


def test_nonsense_is_for_others(settings: Settings) -> None:
    """Other checks are about settings of a wrong kind."""
    settings.CHANNEL_LAYERS = "nonsense"
    assert check_jobs() == []
    settings.CHANNEL_LAYERS = {"default": None}
    assert check_jobs() == []
