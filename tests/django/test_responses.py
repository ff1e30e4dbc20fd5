"""Responses that are files, under a server that sends files itself and under others."""

import gzip
import io
import types
from pathlib import Path
from typing import Any

import pytest
from django.core.files import File
from django.http import FileResponse
from django.urls import path
from pytest_django import Settings

from fairway._types import Event, Scope
from fairway.http import ASGIHandler
from tests.test_http import make_scope, one_request


class TestFiles:
    """Responses that are files, under a server that sends files itself (zerocopysend)."""

    DATA = bytes(range(256)) * 1000

    @pytest.fixture
    def stored(self, tmp_path: Path) -> Path:
        """A file."""
        stored = tmp_path / "data"
        stored.write_bytes(self.DATA)
        return stored

    def open(self, kind: str, stored: Path) -> Any:
        """Something with a read() that gives the data."""
        if kind == "memory":
            return io.BytesIO(self.DATA)
        if kind == "gzip":
            stored.write_bytes(gzip.compress(self.DATA))
            return gzip.open(stored)
        return stored.open("rb+")

    async def sent(self, response: FileResponse, settings: Settings, scope: Scope) -> list[Event]:
        """What a view's response becomes; a file as the bytes that a server would send."""
        urls: Any = types.ModuleType("urls")
        urls.urlpatterns = [path("", lambda request: response)]
        settings.ROOT_URLCONF = urls
        settings.MIDDLEWARE = []
        sent: list[Event] = []

        async def send(event: Event) -> None:
            if "file" in event:
                assert not event["file"].closed
                event = {**event, "file": event["file"].read()}
            sent.append(event)

        await ASGIHandler()(scope, one_request(), send)
        return sent

    @pytest.mark.parametrize("wrap", [lambda opened: opened, File], ids=["open", "File"])
    async def test_sent_by_the_server(self, wrap: Any, stored: Path, settings: Settings) -> None:
        """An open file is given to the server whole, from where it stands, and closed then."""
        opened = stored.open("rb")
        opened.seek(1000)
        scope = {**make_scope("/"), "extensions": {"http.response.zerocopysend": {}}}
        start, *rest = await self.sent(FileResponse(wrap(opened)), settings, scope)
        assert dict(start["headers"])[b"Content-Length"] == b"%d" % (len(self.DATA) - 1000)
        assert rest == [{"type": "http.response.zerocopysend", "file": self.DATA[1000:]}]
        assert opened.closed

    @pytest.mark.parametrize("extensions", [None, {}, {"http.response.pathsend": {}}])
    async def test_other_servers(
        self, extensions: dict[str, Any] | None, stored: Path, settings: Settings
    ) -> None:
        """A server that cannot do so gets the bytes."""
        scope = make_scope("/")
        if extensions is not None:
            scope["extensions"] = extensions
        _, *parts = await self.sent(FileResponse(stored.open("rb")), settings, scope)
        assert b"".join(part.get("body", b"") for part in parts) == self.DATA

    @pytest.mark.parametrize("kind", ["memory", "gzip", "written"])
    async def test_other_files(self, kind: str, stored: Path, settings: Settings) -> None:
        """What only looks like a file is read."""
        opened = self.open(kind, stored)
        scope = {**make_scope("/"), "extensions": {"http.response.zerocopysend": {}}}
        _, *parts = await self.sent(FileResponse(opened), settings, scope)
        assert b"".join(part.get("body", b"") for part in parts) == self.DATA
        assert opened.closed
