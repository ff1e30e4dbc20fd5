"""A Django project in a directory of its own, and its ``manage.py`` as a process."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

#: Seconds after which a process that says nothing is given up; never waited for when all is well.
PATIENCE = 60.0

_FILES = {
    "manage.py": """
        import os, sys
        os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
        from django.core.management import execute_from_command_line
        execute_from_command_line(sys.argv)
        """,
    "settings.py": """
        SECRET_KEY = "a-key-for-tests-only"
        DEBUG = True
        ALLOWED_HOSTS = ["*"]
        ROOT_URLCONF = "urls"
        ASGI_APPLICATION = "asgi.application"
        INSTALLED_APPS = ["fairway", "django.contrib.contenttypes", "django.contrib.staticfiles"]
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
        CHANNEL_LAYERS = {"default": {"BACKEND": "fairway.layers.InMemoryChannelLayer"}}
        STATIC_URL = "static/"
        STATICFILES_DIRS = ["assets"]
        USE_TZ = True
        """,
    "urls.py": """
        from django.http import HttpResponse
        from django.urls import path

        urlpatterns = [path("", lambda request: HttpResponse("hello"))]
        """,
    "asgi.py": """
        from fairway.http import get_asgi_application
        from fairway.routing import ProtocolTypeRouter

        async def echo(scope, receive, send):
            await receive()
            await send({"type": "websocket.accept"})
            while (event := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": event["text"]})
            print("disconnected with", event["code"], flush=True)

        application = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": echo})
        """,
    "assets/style.css": "body {}",
}


class Project:
    """A small project: one view, one echoing WebSocket, one static file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name, text in _FILES.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        """Write a file of the project; common indentation is taken away."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        lines = text.strip("\n").splitlines()
        margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
        # In one step: the autoreloader must never import half a file.
        draft = path.with_suffix(".draft")
        draft.write_text("".join(f"{line[margin:]}\n" for line in lines))
        draft.replace(path)

    def read(self, name: str) -> str:
        """Return the text of a file of the project."""
        return (self.directory / name).read_text()

    def manage(self, *arguments: str) -> "Process":
        """Start ``manage.py`` with some arguments."""
        return Process(self.directory, arguments)


class Process:
    """A running ``manage.py``: its output line by line, and its end."""

    def __init__(self, directory: Path, arguments: tuple[str, ...]) -> None:
        self.seen: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "DJANGO_COLORS": "nocolor"}
        self._process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # A group of its own, to be sent signals as a terminal sends them.
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        if error is not None:
            error.add_note("The output of manage.py:\n" + "\n".join(self.seen))

    def wait_for(self, pattern: str, seconds: float = PATIENCE) -> re.Match[str]:
        """Read on until a line has the pattern."""
        while True:
            try:
                line = self._lines.get(timeout=seconds)
            except queue.Empty:
                raise TimeoutError(f"nothing like {pattern!r} within {seconds} s") from None
            if line is None:
                raise EOFError(f"the process ended without {pattern!r}")
            if match := re.search(pattern, line):
                return match

    def port(self) -> int:
        """Wait for the line that says where the server listens."""
        return int(self.wait_for(r"Starting .*server at http://\S+:(\d+)/$")[1])

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self._process.pid, signal.SIGINT)

    def finish(self) -> int:
        """Wait for the end; return the exit status."""
        status = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.seen.append(line.rstrip("\n"))
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)
