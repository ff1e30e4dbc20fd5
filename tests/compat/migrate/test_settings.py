"""``INSTALLED_APPS`` and Daphne's settings."""

import textwrap

import pytest

from fairway.compat.migrate.python import rewrite_python
from tests.compat.migrate.rewriting import left, rewritten


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('INSTALLED_APPS = ["daphne", "channels"]', 'INSTALLED_APPS = ["fairway"]'),
        ("INSTALLED_APPS = ['channels', 'a']", "INSTALLED_APPS = ['fairway', 'a']"),
        ('INSTALLED_APPS = ("channels",)', 'INSTALLED_APPS = ("fairway",)'),
        ('INSTALLED_APPS = ["a", "channels"]', 'INSTALLED_APPS = ["fairway", "a"]'),
        ('INSTALLED_APPS = ["a", "daphne", "channels"]', 'INSTALLED_APPS = ["fairway", "a"]'),
        (
            'INSTALLED_APPS = ["a", "channels", "b", "daphne",]',
            'INSTALLED_APPS = ["fairway", "a", "b",]',
        ),
        (
            'INSTALLED_APPS: list[str] = ["fairway", "daphne", "a", "channels"]',
            'INSTALLED_APPS: list[str] = ["fairway", "a"]',
        ),
        (
            'INSTALLED_APPS = ["daphne.apps.DaphneConfig", "channels.apps.ChannelsConfig"]',
            'INSTALLED_APPS = ["fairway"]',
        ),
        (
            """\
            INSTALLED_APPS = [
                # the server
                "daphne",
                "a",  # first
                "channels",
                "b",
            ]
            """,
            """\
            INSTALLED_APPS = [
                # the server
                "fairway",
                "a",  # first
                "b",
            ]
            """,
        ),
        (
            """\
            INSTALLED_APPS = [
                "a",
                "channels",  # sockets, see #12
                "b"
            ]
            """,
            """\
            INSTALLED_APPS = [
                "fairway",
                "a",
                # sockets, see #12
                "b"
            ]
            """,
        ),
        (
            """\
            INSTALLED_APPS = ["fairway",
                "daphne", "channels",
                "a"]
            """,
            """\
            INSTALLED_APPS = ["fairway",
                "a"]
            """,
        ),
    ],
)
def test_apps(old: str, new: str) -> None:
    """The old apps make room for one, at the top; comments and layout stay."""
    assert rewritten(old) == textwrap.dedent(new)


def test_line_ends() -> None:
    """A new line ends like the others."""
    old = 'INSTALLED_APPS = [\r\n    "a",\r\n    "channels",\r\n]\r\n'
    assert rewritten(old) == 'INSTALLED_APPS = [\r\n    "fairway",\r\n    "a",\r\n]\r\n'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('THIRD_PARTY_APPS = ["a", "channels"]', 'THIRD_PARTY_APPS = ["fairway", "a"]'),
        ('INSTALLED_APPS += ["channels"]', 'INSTALLED_APPS += ["fairway"]'),
        ('INSTALLED_APPS = A + ["channels"] + B', 'INSTALLED_APPS = A + ["fairway"] + B'),
    ],
)
def test_parts(old: str, new: str) -> None:
    """In a part of the list, the order cannot be seen: there is a note."""
    result = rewrite_python(old)
    assert result.text == new
    ((line, reason),) = [(note.line, note.reason) for note in result.notes]
    assert line == 1
    assert reason == (
        '"fairway" stands where the old apps stood: see that it comes before '
        '"django.contrib.staticfiles" in INSTALLED_APPS, as its runserver has to win.'
    )


def test_parts_of_one_list() -> None:
    """It is put into one of several parts only, in the place of ``"daphne"``."""
    old = 'DJANGO_APPS = ["daphne", "a"]\nOTHER_APPS = ["b", "channels"]\n'
    assert rewritten(old) == 'DJANGO_APPS = ["fairway", "a"]\nOTHER_APPS = ["b"]\n'


@pytest.mark.parametrize("source", ['NAMES = ["channels"]', 'APPS = other(["a"])', 'x["APPS"] = 1'])
def test_other_lists(source: str) -> None:
    """Lists of something else are left."""
    assert left(source) == []


class TestDaphne:
    """``DAPHNE_WEBSOCKET_MAX_…_SIZE``."""

    def test_both(self) -> None:
        """They become one dictionary, with their expressions."""
        assert rewritten(
            """\
            A = 1
            DAPHNE_WEBSOCKET_MAX_MESSAGE_SIZE = 5 * A  # bytes
            B = 2
            DAPHNE_WEBSOCKET_MAX_FRAME_SIZE = B  # bytes, too
            """
        ) == textwrap.dedent(
            """\
            A = 1
              # bytes
            B = 2
            FAIRWAY = {
                "websocket_max_message_size": 5 * A,
                "websocket_max_frame_size": B,
            }  # bytes, too
            """
        )

    def test_lines(self) -> None:
        """A line without a comment goes; between semicolons something stays."""
        one, two = "DAPHNE_WEBSOCKET_MAX_MESSAGE_SIZE = 1", "DAPHNE_WEBSOCKET_MAX_FRAME_SIZE = 2"
        made = (
            "FAIRWAY = {\n"
            '    "websocket_max_message_size": 1,\n'
            '    "websocket_max_frame_size": 2,\n'
            "}"
        )
        assert rewritten(f"{one}\n{two}\n") == f"{made}\n"
        assert rewritten(f"{one}; x = 1\n{two}\n") == f"pass; x = 1\n{made}\n"
        assert rewritten(f"x = 1; {one}\r\n{two}\r\n") == (
            f"x = 1; pass\r\n{made}\r\n".replace("\r\n", "\n").replace("\n", "\r\n")
        )

    @pytest.mark.parametrize(
        "source",
        [
            "FAIRWAY = {}\nDAPHNE_WEBSOCKET_MAX_FRAME_SIZE = 2",
            "if DEBUG:\n    DAPHNE_WEBSOCKET_MAX_FRAME_SIZE = 2",
            "a = 1\nDAPHNE_WEBSOCKET_MAX_FRAME_SIZE = b = 2",
        ],
    )
    def test_left(self, source: str) -> None:
        """Where that is not so simple, there is a note."""
        assert left(source) == [
            (
                2,
                (
                    "DAPHNE_WEBSOCKET_MAX_FRAME_SIZE was left: write it as FAIRWAY = "
                    "{'websocket_max_frame_size': …}, where runserver and the server in production "
                    "read it."
                ),
            )
        ]
