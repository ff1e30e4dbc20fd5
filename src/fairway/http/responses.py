"""What a response of Django's is sent as, where its body is not simply there."""

import io
from collections.abc import AsyncIterator
from typing import Any, Final

from django.core.files import File

from fairway._types import Event, Send
from fairway.db import in_thread
from fairway.server.application.threads import streaming

#: ASGI's extension by which a server sends a file that is open.
SEND_FILE: Final = "http.response.zerocopysend"


class _Around:
    """A response but for what a subclass changes."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)


class InThread(_Around):
    """A streaming response whose sync iterator is stepped through in a thread."""

    streaming = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Its parts, each made when it is asked for."""
        parts = iter(self._response)
        while True:
            token = streaming.set(True)
            try:
                part = await in_thread(next, parts, None)
            finally:
                streaming.reset(token)
            if part is None:
                return
            yield part


def file_of(response: Any) -> Any:
    """The open file that is the whole body of a ``FileResponse``; None if there is none such.

    It has to be what ``open(path, "rb")`` returns, or a Django ``File`` around it: others may have
    a descriptor, too, and give other bytes than those of its file, as ``gzip.open()`` does.
    """
    file = getattr(response, "file_to_stream", None)
    if isinstance(file, File):
        file = file.file
    if type(file) is io.BufferedReader and type(file.raw) is io.FileIO and not file.closed:
        return file
    return None


class WithoutBody(_Around):
    """A response whose body is sent by other means."""

    streaming = False
    content = b""


class FileForBody:
    """The ``send`` of such a response: in the place of its body comes a file."""

    def __init__(self, file: Any, send: Send) -> None:
        self._file = file
        self._send = send

    async def __call__(self, event: Event) -> None:
        """Send an event, or the file."""
        if event["type"] == "http.response.body":
            event = {"type": SEND_FILE, "file": self._file}
        await self._send(event)
