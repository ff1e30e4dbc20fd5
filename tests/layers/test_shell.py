"""What people type into `manage.py shell`, with each layer."""

import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import printed
from tests.layers.redis.servers import RedisServer

SETTINGS = """
from pathlib import Path
BASE_DIR = Path(__file__).parent
SECRET_KEY = "known to all"
INSTALLED_APPS = ["fairway"]
CHANNEL_LAYERS = {layers!r}
"""
IMPORTS = """
from asgiref.sync import async_to_sync
from fairway.layers import get_channel_layer
layer = get_channel_layer()
"""
SEND = 'async_to_sync(layer.send)("test_channel", {"type": "hello"})\n'
RECEIVE = 'print(async_to_sync(layer.receive)("test_channel"))\n'


class Project:
    """A project with one layer, and shells of it.

    Args:
        directory: Where it is.
        layers: Its ``CHANNEL_LAYERS``; None leaves the setting out.
    """

    def __init__(self, directory: Path, layers: object) -> None:
        self._directory = directory
        settings = SETTINGS if layers is not None else SETTINGS.replace("CHANNEL_LAYERS", "# none")
        (directory / "shell_settings.py").write_text(settings.format(layers=layers))

    def shell(self, typed: str) -> str:
        """Type into a shell of its own process; return what is printed."""
        command = (sys.executable, "-m", "django", "shell", "--no-imports")
        return printed(
            *command,
            here=self._directory,
            typed=IMPORTS + typed,
            DJANGO_SETTINGS_MODULE="shell_settings",
        )


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A Redis for these shells."""
    with RedisServer() as redis:
        yield redis


@pytest.fixture(params=["memory", "local", "redis"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project with each of the layers."""
    if request.param == "memory":
        return Project(tmp_path, {"default": {"BACKEND": "fairway.layers.InMemoryChannelLayer"}})
    if request.param == "local":
        return Project(tmp_path, None)
    address = f"redis://127.0.0.1:{request.getfixturevalue('redis').port}"
    config = {"hosts": [address], "prefix": secrets.token_hex(4)}
    backend = "fairway.layers.redis.RedisChannelLayer"
    return Project(tmp_path, {"default": {"BACKEND": backend, "CONFIG": config}})


@pytest.mark.pain(9)
def test_what_is_sent_is_received(project: Project) -> None:
    """One line sends and the next receives, as often as one likes, and the shell ends."""
    assert project.shell((SEND + RECEIVE) * 3) == "{'type': 'hello'}\n" * 3


@pytest.mark.pain(9)
def test_a_reader_that_is_not_the_sender(project: Project) -> None:
    """Each line has an event loop of its own, and a thread its own, too."""
    typed = f"""
from threading import Thread
sender = Thread(target=lambda: {SEND.strip()})
sender.start()
{RECEIVE}
sender.join()
"""
    assert project.shell(typed) == "{'type': 'hello'}\n"


@pytest.mark.pain(9)
@pytest.mark.parametrize("project", ["local", "redis"], indirect=True)
def test_from_one_shell_to_the_next(project: Project) -> None:
    """What is sent in a shell that has ended is received in another one."""
    assert project.shell(SEND) == ""
    assert project.shell(RECEIVE) == "{'type': 'hello'}\n"
