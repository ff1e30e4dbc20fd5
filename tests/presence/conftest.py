"""Processes for the tests of this directory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.presence.places import Coast, coast


@pytest.fixture(name="coast")
async def a_coast(tmp_path: Path) -> AsyncIterator[Coast]:
    """Processes of one machine, with a clock of their own."""
    async with coast(tmp_path) as found:
        yield found
