"""What a contender is: a command line with what it needs, serving the same as all the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: What is served: with Django, and without.
APPLICATION, PLAIN = "project.asgi:application", "project.plain:application"
WSGI = "project.wsgi:application"
DJANGO = {"DJANGO_SETTINGS_MODULE": "project.settings"}


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A server with the stack behind it.

    Attributes:
        name: As it stands in the table and in the results.
        words: The command line; ``{port}`` stands for the port, ``{application}`` for what is
            served.
        environment: Variables for the server.
        versions: What is installed beside it, by distribution name.
        python: Its interpreter; None where there is none.
        layer: Its channel layer, by the word that ``project/settings.py`` knows.
    """

    name: str
    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    python: Path | None = None
    layer: str = "memory"

    @property
    def needs_redis(self) -> bool:
        """Whether its layer talks to a Redis server."""
        return self.layer in {"redis", "pubsub", "core"}

    def command(self, port: int, application: str = APPLICATION) -> list[str]:
        """The command line for a port."""
        return [word.format(port=port, application=application) for word in self.words]
