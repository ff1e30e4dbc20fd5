"""The example chat's own tests, run as someone who copied it runs them."""

import subprocess
import sys

from tests.docs.snippets import ROOT
from tests.docs.story import PATIENCE, environment


def test_example_chat() -> None:
    """`manage.py test` in `examples/chat` passes, without a warning."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "manage.py", "test"],
        check=False,
        cwd=ROOT / "examples" / "chat",
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout
    assert "Found 0 test(s)" not in done.stdout
