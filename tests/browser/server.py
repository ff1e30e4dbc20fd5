"""The example chat as its own process, that a test can stop, kill and start again."""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from tests.commands import PATIENCE, environment, printed
from tests.docs.snippets import ROOT

CHAT = ROOT / "examples" / "chat"

#: What serves the chat, by name; ``{port}`` is 0 at first, and then the one to come back on.
COMMANDS = {
    "fairway": ["-m", "fairway", "--port", "{port}", "config.asgi:application"],
    "workers": ["-m", "fairway", "-w", "2", "--port", "{port}", "config.asgi:application"],
    # The same, where each page is told which of the two serves it.
    "telling": ["-m", "fairway", "-w", "2", "--port", "{port}", "tests.browser.where:application"],
    "runserver": ["manage.py", "runserver", "--noreload", "127.0.0.1:{port}"],
    "reloading": ["manage.py", "runserver", "127.0.0.1:{port}"],
    "uvicorn": ["-m", "uvicorn", "--port", "{port}", "config.asgi:application"],
}

_LOG_IN = """
import json
from django.contrib.auth import get_user_model
from django.test import Client

def log_in(user):
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value

print(json.dumps({user.username: log_in(user) for user in get_user_model().objects.all()}))
"""

_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


def chat_variables(database: Path) -> dict[str, str]:
    """The variables of a chat with a database of its own, and the way to this package."""
    return {"CHAT_DATABASE": str(database), "CHAT_DEBUG": "1", "PYTHONPATH": str(ROOT)}


def manage(database: Path, *arguments: str) -> str:
    """Run a command of the chat's `manage.py`; return what it prints."""
    variables = chat_variables(database)
    return printed(sys.executable, "manage.py", *arguments, here=CHAT, **variables)


@dataclass(frozen=True)
class Prepared:
    """What every server of the tests starts with.

    Attributes:
        database: A database with the tables, and the people and rooms of `manage.py demo`.
        sessions: For each of these people the key of a session in which they are logged in:
            hashing passwords is slow on purpose.
    """

    database: Path
    sessions: Mapping[str, str]


def prepare(directory: Path) -> Prepared:
    """Make the database, as `make chat` does."""
    database = directory / "prepared.sqlite3"
    manage(database, "migrate", "--verbosity", "0")
    manage(database, "demo")
    printed = manage(database, "shell", "--no-imports", "--command", _LOG_IN)
    return Prepared(database, json.loads(printed))


class ChatServer:
    """A server of the chat, always at the same address once it has one.

    Args:
        prepared: What it starts with; the database is copied.
        directory: Where the copy goes.
        command: One of ``COMMANDS``.
        folder: Where the chat's own files are.
        variables: More of its environment, such as ``CHAT_REDIS``.

    Attributes:
        output: All that the server has printed.
    """

    def __init__(
        self,
        prepared: Prepared,
        directory: Path,
        command: str = "fairway",
        folder: Path = CHAT,
        **variables: str,
    ) -> None:
        self.database = directory / "chat.sqlite3"
        shutil.copy(prepared.database, self.database)
        self.output: list[str] = []
        self._command = command
        self._folder = folder
        self._variables = variables
        self._port = 0
        self._running: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def address(self) -> str:
        """Where the server is to be found, without a slash at the end."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the server and wait until it says that it serves."""
        arguments = [each.format(port=self._port) for each in COMMANDS[self._command]]
        self._running = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self._folder,
            env={**environment(), **chat_variables(self.database), **self._variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self._running, started))
        self._reader.start()
        assert started.wait(PATIENCE), self.output
        assert self._port, "".join(self.output)

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> None:
        """End the server: politely by default, or with ``SIGKILL`` as a crash would."""
        if self._running is not None and self._reader is not None:
            self._running.send_signal(sign)
            self._running.wait(PATIENCE)
            self._reader.join()
        self._running = None

    @contextmanager
    def serving(self) -> Iterator[Self]:
        """Serve while the block runs; in the end no traceback may have been printed."""
        self.start()
        try:
            yield self
        finally:
            self.stop()
        assert self.errors() == ""

    def errors(self) -> str:
        """What the server has printed from just before its first traceback on; nothing if none."""
        for number, line in enumerate(self.output):
            if line.startswith("Traceback"):
                return "".join(self.output[max(0, number - 3) :])
        return ""

    def workers(self) -> list[int]:
        """The processes that it has started, by their ids."""
        assert self._running is not None
        pid = self._running.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in children.split()]

    def hang(self) -> None:
        """Let the server do nothing more, and not even refuse."""
        assert self._running is not None
        self._running.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it do again what it is there for."""
        assert self._running is not None
        self._running.send_signal(signal.SIGCONT)

    def change(self, statement: str, *values: object) -> None:
        """Change the database behind the server's back."""
        with closing(sqlite3.connect(self.database)) as database, database:
            database.execute(statement, values)

    def say(self, room: str, author: str, text: str) -> None:
        """Put a message into the database behind the server's back."""
        self.change(
            "INSERT INTO chat_roommessage (text, key, sent_at, room_id, author_id) VALUES "
            "(?, ?, ?, (SELECT id FROM chat_room WHERE name = ?),"
            " (SELECT id FROM auth_user WHERE username = ?))",
            text,
            uuid.uuid4().hex,
            datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" "),
            room,
            author,
        )

    def count(self, text: str) -> int:
        """How many messages with this text all rooms have."""
        query = "SELECT count(*) FROM chat_roommessage WHERE text = ?"
        with closing(sqlite3.connect(self.database)) as database:
            (number,) = database.execute(query, (text,)).fetchone()
        return int(number)

    def end_sessions(self) -> None:
        """Log everyone out, behind the server's back too."""
        self.change("DELETE FROM django_session")

    def _read(self, running: subprocess.Popen[str], started: threading.Event) -> None:
        """Keep what is printed until the end; the first address with a port is the server's."""
        assert running.stdout is not None
        with running.stdout as stream:
            for line in stream:
                self.output.append(line)
                match = _ADDRESS.search(line)
                if match and int(match[1]) and not started.is_set():
                    self._port = int(match[1])
                    started.set()
        started.set()  # it ended before it served: do not let the test wait
