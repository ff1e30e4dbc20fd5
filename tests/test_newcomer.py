"""The newcomer's path: a fresh copy of the repository, `make chat`, a page, a chat.

Everything is done for real, the installation too.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path

import httpx
from websockets.asyncio.client import connect
from websockets.typing import Origin

from tests.commands import PATIENCE, environment
from tests.docs.snippets import ROOT
from tests.docs.story import Server, serving


def fresh_copy(directory: Path) -> None:
    """Copy what a clone would have, with the changes that are not committed yet."""
    if not (ROOT / ".git").exists():  # an unpacked archive
        built = shutil.ignore_patterns(".venv*", "_build", "*.sqlite3", "__pycache__", ".*_cache")
        shutil.copytree(ROOT, directory, ignore=built, dirs_exist_ok=True)
        return
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():  # not one that was deleted and is still in the index
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, directory / name)


#: The newcomer's command, on a port that is free.
MAKE_CHAT = ["make", "chat", "PORT=0"]


def newcomer_environment() -> dict[str, str]:
    """The variables of someone whose shell knows nothing of this project or its environment."""
    variables = environment()
    for name in ("VIRTUAL_ENV", "VENV", "PYTHON", "HOST", "PORT", "ARGS"):
        variables.pop(name, None)
    variables["PATH"] = os.environ["PATH"]
    variables["CI"] = "true"
    return variables


def demo_login(server: Server) -> tuple[str, str]:
    """A name and the password, as `make chat` tells them."""
    said = "".join(server.output)
    found = re.search(r"Log in as (\w+).*; the password is (\S+)", said)
    assert found, f"`make chat` does not say whom one can log in as:\n{said}"
    return found[1], found[2]


async def log_in(client: httpx.AsyncClient, name: str, password: str) -> str:
    """Fill in the form that a stranger gets; return the page that comes after it."""
    form = await client.get("/")
    assert form.status_code == 200
    assert form.url.path == "/login/"
    answer = await client.post(
        form.url,
        data={
            "username": name,
            "password": password,
            "csrfmiddlewaretoken": client.cookies["csrftoken"],
        },
    )
    assert answer.status_code == 200
    assert "sessionid" in client.cookies
    return answer.text


async def test_newcomer(tmp_path: Path) -> None:
    """On a fresh copy `make chat` gives a page to log in to, and a room where words are heard."""
    fresh_copy(tmp_path)
    with serving(MAKE_CHAT, tmp_path, newcomer_environment()) as server:
        async with httpx.AsyncClient(base_url=server.address, follow_redirects=True) as client:
            home = await log_in(client, *demo_login(server))
            room = re.search(r'href="/(rooms/\d+/)"', home)
            assert room, f"no room on the first page:\n{home}"
            page = await client.get(f"/{room[1]}")
            assert page.status_code == 200
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        await say_ahoy(f"{server.address.replace('http', 'ws', 1)}/ws/{room[1]}", cookies)


async def say_ahoy(address: str, cookies: str) -> None:
    """Say a word in a room and wait until the room hears it."""
    origin = Origin(address.replace("ws", "http", 1).split("/ws/")[0])
    headers = {"Cookie": cookies}
    async with (
        asyncio.timeout(PATIENCE),
        connect(address, origin=origin, additional_headers=headers) as socket,
    ):
        await socket.send(json.dumps({"type": "say", "text": "Ahoy", "key": str(uuid.uuid4())}))
        async for event in socket:
            heard = json.loads(event)
            if heard["type"] == "message":
                assert heard["message"]["text"] == "Ahoy"
                break
