"""The chat's own tests and checks, as its author runs them."""

import os
import re
import subprocess
import sys

from tests.commands import completed
from tests.docs.snippets import ROOT

CHAT = ROOT / "examples" / "chat"


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py` of the chat; a warning is an error."""
    command = (sys.executable, "-W", "error", "manage.py", *arguments)
    return completed(*command, here=CHAT, **{"CHAT_DATABASE": os.devnull, **variables})


def test_its_own_tests_pass() -> None:
    """`manage.py test` is content."""
    done = manage("test", "--parallel", "1")
    assert done.returncode == 0, done.stdout
    assert "\nOK\n" in done.stdout
    assert "Found 0 test(s)" not in done.stdout


def test_models_and_migrations_agree() -> None:
    """Nobody who copies the project finds changes that are not their own."""
    done = manage("makemigrations", "--check", "--dry-run", CHAT_DATABASE=":memory:")
    assert done.returncode == 0, done.stdout


def test_ready_for_production() -> None:
    """With the variables that production needs, only redirecting to TLS is left, to the proxy."""
    done = manage(
        "check",
        "--deploy",
        CHAT_DEBUG="0",
        CHAT_SECRET_KEY="-".join(map(str, range(1000, 1020))),
        CHAT_ALLOWED_HOSTS="chat.example",
    )
    assert done.returncode == 0, done.stdout
    assert re.findall(r"\((\S+)\)", done.stdout) == ["security.W004", "security.W008"]


def test_no_public_secret_in_production() -> None:
    """Without a key of its own a site in production does not start."""
    done = manage("check", CHAT_DEBUG="0")
    assert done.returncode != 0
    assert "CHAT_SECRET_KEY" in done.stdout
