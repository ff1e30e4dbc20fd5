"""The garbage collector of a process that serves."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.process import connected, launched

APPLICATION = """
import gc
{line}

async def application(scope, receive, send):
    text = f"{{gc.get_threshold()}} {{gc.get_freeze_count() > 1000}}"
    await send({{"type": "http.response.start", "status": 200}})
    await send({{"type": "http.response.body", "body": text.encode()}})
"""


def rarer() -> tuple[int, int, int]:
    """Python's thresholds, but that old objects are looked at when 350,000 more have come."""
    print_thresholds = "import gc; print(*gc.get_threshold())"
    ended = subprocess.run(
        [sys.executable, "-c", print_thresholds], capture_output=True, text=True, check=True
    )
    young, middle, _ = map(int, ended.stdout.split())
    return young, middle, 350_000 // (young * middle)


async def told(directory: Path, line: str, *options: str) -> str:
    """What an application that begins with ``line`` tells of its collector."""
    (directory / "app.py").write_text(APPLICATION.format(line=line))
    options = ("-p", "0", "--lifespan", "off", *options, "app:application")
    async with (
        launched(*options, directory=directory) as server,
        connected(await server.address()) as client,
    ):
        return (await client.fetch()).body.decode()


@pytest.mark.parametrize("options", [(), ("-w", "1")], ids=["alone", "worker"])
async def test_settled(options: tuple[str, ...], tmp_path: Path) -> None:
    """It leaves alone what was imported, and looks at old objects less often."""
    assert await told(tmp_path, "", *options) == f"{rarer()} True"


async def test_thresholds_of_the_project(tmp_path: Path) -> None:
    """Thresholds that a project has set are kept."""
    line = "gc.set_threshold(5000, 20, 30)"
    assert await told(tmp_path, line) == "(5000, 20, 30) True"


@pytest.mark.parametrize("thresholds", ["(0, 10, 10)", "(1000, 5, 5)"])
def test_thresholds_from_before(thresholds: str) -> None:
    """So are those from before the server was imported, as by Gunicorn's configuration."""
    code = f"import gc; gc.set_threshold(*{thresholds}); from fairway.server import collector"
    code += "; collector.settle(); print(gc.get_threshold())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == thresholds
