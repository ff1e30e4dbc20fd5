"""Requirements and commands."""

import pytest

from fairway import __version__
from fairway.compat.migrate.others import note_commands, note_dependencies, rewrite_requirements


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("channels\n", "fairway>=V\n"),
        ("channels==4.1.0", "fairway>=V"),
        ("channels[daphne] ~= 4.2, <5  # why\nDjango\n", "fairway>=V  # why\nDjango\n"),
        ("a\ndaphne\nchannels\n", "a\nfairway>=V\n"),
        ("channels\nchannels-redis>=4\n", "fairway[redis]>=V\n"),
        ("channels-redis[cryptography]==4.3.0\n", "fairway[redis,encryption]>=V\n"),
        ("Channels_Redis\r\na\r\n", "fairway[redis]>=V\r\na\r\n"),
        ("fairway\nchannels\na\n", "fairway\na\n"),
        (
            'channels; python_version < "3.12"\n',
            'fairway>=V; python_version < "3.12"\n',
        ),
        ("# channels\nmychannels\nchannels-presence\n./channels\n", None),
        ("# channels\na\n", None),
    ],
)
def test_requirements(old: str, new: str | None) -> None:
    """The packages make room for one; a second time nothing changes."""
    new = old if new is None else new.replace("V", __version__)
    result = rewrite_requirements(old)
    assert (result.text, result.notes) == (new, ())
    assert rewrite_requirements(new).text == new


@pytest.mark.parametrize(
    "line",
    [
        "channels @ git+https://example.org/channels.git",
        "channels==4.1 \\",
        "channels==4.1 --hash=sha256:0",
    ],
)
def test_other_requirements(line: str) -> None:
    """A requirement that is more than that is left with a note."""
    result = rewrite_requirements(f"a\n{line}\n")
    assert result.text == f"a\n{line}\n"
    assert [(note.line, note.reason) for note in result.notes] == [
        (2, "This requirement was left: it is more than a name and a version.")
    ]


@pytest.mark.parametrize(
    ("line", "noted"),
    [
        ('  "channels[daphne]>=4",', True),
        ("channels-redis = '^4.0'", True),
        ('daphne = {version = "*"}', True),
        ('    install_requires=["channels"],', True),
        ("# channels>=4", False),
        ('name = "my-channels"', False),
        ('packages = ["mysite.channels"]', False),
        ("django = '*'", False),
    ],
)
def test_dependencies(line: str, noted: bool) -> None:
    """In other files a dependency is noted."""
    result = note_dependencies(f"\n{line}\n")
    assert result.text == f"\n{line}\n"
    assert [note.line for note in result.notes] == ([2] if noted else [])


@pytest.mark.parametrize(
    ("line", "noted"),
    [
        ("web: daphne -p $PORT mysite.asgi:application", True),
        ('CMD ["daphne", "-b", "0.0.0.0", "mysite.asgi:application"]', True),
        ("ExecStart=/venv/bin/daphne -u /run/s mysite.asgi:application", True),
        ("    command: python -m daphne mysite.asgi:application", True),
        ("# daphne mysite.asgi:application", False),
        ("journalctl -u daphne.service", False),
        ("web: gunicorn mysite.asgi:application", False),
    ],
)
def test_commands(line: str, noted: bool) -> None:
    """A command that starts Daphne is noted."""
    result = note_commands(line)
    assert result.text == line
    assert [note.reason for note in result.notes] == (
        ['This was left: write "fairway" for "daphne"; its flags mean the same.'] if noted else []
    )
