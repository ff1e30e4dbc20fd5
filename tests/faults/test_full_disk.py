"""The disk is full while a client uploads a file to a Django site."""

import errno
import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.urls import path

from fairway.http import get_asgi_application
from tests.faults.census import Census
from tests.faults.conftest import Log
from tests.server.conftest import Serve
from tests.server.running import Running

MIB = 1 << 20
#: More than Django keeps in memory (FILE_UPLOAD_MAX_MEMORY_SIZE), so that it goes to the disk.
SIZE = 4 * MIB
BOUNDARY = b"a-boundary"
BODY = (
    b"--%b\r\nContent-Disposition: form-data; name=file; filename=f.bin\r\n"
    b"Content-Type: application/octet-stream\r\n\r\n%b\r\n--%b--\r\n"
) % (BOUNDARY, bytes(SIZE), BOUNDARY)


def upload(request: HttpRequest) -> HttpResponse:
    """Says how long the file is."""
    file = request.FILES["file"]
    assert isinstance(file, UploadedFile)
    return HttpResponse(f"{file.size}")


urlpatterns = [path("upload", upload)]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system with room for half a megabyte."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", directory],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root may mount a file system")
    yield directory
    subprocess.run(["umount", directory], check=True)


@pytest.fixture
def limited_files(tmp_path: Path) -> Iterator[Path]:
    """A directory in which no file becomes longer than half a megabyte: anybody may do that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB // 2, hard))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(params=["full_disk", "limited_files"])
def disk(request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where requests and uploads are kept on the way, and there is no room for one."""
    directory: Path = request.getfixturevalue(request.param)
    settings.ROOT_URLCONF = __name__
    settings.ALLOWED_HOSTS = ["*"]
    settings.MIDDLEWARE = []
    settings.FILE_UPLOAD_TEMP_DIR = str(directory)
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


async def post(running: Running, body: bytes) -> bytes:
    """The answer to an upload; some of it may have been sent in vain."""
    client = await running.connect()
    await client.send(
        b"POST /upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        b"Content-Type: multipart/form-data; boundary=%b\r\nContent-Length: %d\r\n\r\n%b"
        % (BOUNDARY, len(body), body)
    )
    answer = await client.rest()
    client.close()
    return answer


async def test_upload(disk: Path, serve: Serve, census: Census, log: Log) -> None:
    """500, one line that names the error, no file left; and the next small one is served."""
    running = await serve(get_asgi_application())
    small = BODY.replace(bytes(SIZE), b"small")
    assert (await post(running, small)).endswith(b"\r\n\r\n5")
    await census.begin_when_quiet(running)
    answer = await post(running, BODY)
    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    await census.nothing_is_left(running)
    (line,) = log.take()
    assert os.strerror(errno.ENOSPC) in line or os.strerror(errno.EFBIG) in line
    assert line.startswith("ERROR Exception inside application for POST /upload: OSError(")
    assert os.listdir(disk) == []
    assert (await post(running, small)).endswith(b"\r\n\r\n5")
