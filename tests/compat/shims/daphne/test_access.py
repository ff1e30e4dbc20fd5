"""``daphne.access``."""

import datetime
import io
import re
from typing import Any

import pytest

from fairway.compat.shims.daphne.access import AccessLogGenerator

STAMP = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d\]"


def lines(protocol: str, action: str, **details: Any) -> str:
    """What is written for an action."""
    stream = io.StringIO()
    AccessLogGenerator(stream)(protocol, action, details)
    return stream.getvalue()


@pytest.mark.row("2.5 AccessLogGenerator")
class TestLines:
    """A line for each action."""

    def test_http(self) -> None:
        """A request's line has the method, the path, the status and the length."""
        line = lines(
            "http", "complete", path="/a?b", status=201, method="PUT", client="1.2.3.4:5", size=6
        )
        assert re.fullmatch(rf'1\.2\.3\.4:5 - - {STAMP} "PUT /a\?b" 201 6\n', line)

    @pytest.mark.parametrize(
        ("action", "word"),
        [
            ("connecting", "WSCONNECTING"),
            ("connected", "WSCONNECT"),
            ("rejected", "WSREJECT"),
            ("disconnected", "WSDISCONNECT"),
        ],
    )
    def test_websocket(self, action: str, word: str) -> None:
        """A step of a WebSocket has a word instead of the method."""
        line = lines("websocket", action, path="/ws/", client="1.2.3.4:5")
        assert re.fullmatch(rf'1\.2\.3\.4:5 - - {STAMP} "{word} /ws/" - -\n', line)

    @pytest.mark.parametrize(
        ("protocol", "action"), [("http", "other"), ("websocket", "other"), ("x", "complete")]
    )
    def test_unknown(self, protocol: str, action: str) -> None:
        """Other actions have none."""
        assert lines(protocol, action, path="/") == ""

    def test_quotes(self) -> None:
        """A path cannot end its field."""
        line = lines("websocket", "connected", path='/" 200 "', client=None)
        assert re.fullmatch(rf'- - - {STAMP} "WSCONNECT /\\" 200 \\"" - -\n', line)


def test_write_entry() -> None:
    """Others may write lines, too."""
    stream = io.StringIO()
    AccessLogGenerator(stream).write_entry(
        "host",
        datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        "GET /",
        200,
        0,
        "ident",
        "user",
    )
    assert stream.getvalue() == 'host ident user [02/Jan/2026:03:04:05] "GET /" 200 0\n'
