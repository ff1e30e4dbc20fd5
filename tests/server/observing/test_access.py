"""The access log: records and the lines they become."""

import io
import json
import re
import time
from collections.abc import Iterator

import pytest

from fairway.server.observing.access import (
    AccessLogStream,
    AccessRecord,
    format_combined,
    format_common,
    format_django,
    format_extended,
    format_json,
    path_of,
)
from fairway.wire.http1 import HTTP1Connection, Request

#: A summer's day: the offset of the time zone is that of the day, not of today.
WHEN = 1750000000.0
HTTP = AccessRecord("http", "complete", "GET", "/a?b=c", "1.1", 200, "192.0.2.1:5000", 123, 0.456)


@pytest.fixture
def in_delhi() -> Iterator[None]:
    """Local time is five and a half hours ahead of UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "IST-5:30")
        time.tzset()
        yield
    time.tzset()


def websocket(action: str, status: int = 0) -> AccessRecord:
    """A step in the life of a WebSocket."""
    return AccessRecord("websocket", action, "GET", "/ws/", "1.1", status, "[::1]:5000")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", "/"),
        (b"/a%20b?", "/a%20b"),
        (b"/a?b=c?d", "/a?b=c?d"),
        (b"*", "*"),
        (b"/ws/?token=eyJ.x.y&room=1", "/ws/?token=***&room=1"),
        (b"/?a=token&access_TOKEN=eyJ.x.y", "/?a=token&access_TOKEN=***"),
        (b"/?token=", "/?token="),
    ],
)
def test_path_of(target: bytes, path: str) -> None:
    """The path is that of the request with its query string, escapes untouched, without tokens."""
    method = b"OPTIONS" if target == b"*" else b"GET"
    request, _ = HTTP1Connection().receive_data(
        method + b" " + target + b" HTTP/1.1\r\nHost:\r\n\r\n"
    )
    assert isinstance(request, Request)
    assert path_of(request) == path


class TestCommon:
    """The common log format."""

    @pytest.mark.row("2.5 AccessLogGenerator")
    @pytest.mark.usefixtures("in_delhi")
    def test_http(self) -> None:
        """Host, time with its zone, request line, status and size of the body."""
        assert format_common(HTTP, WHEN) == (
            '192.0.2.1 - - [15/Jun/2025:20:36:40 +0530] "GET /a?b=c HTTP/1.1" 200 123'
        )

    @pytest.mark.parametrize(
        ("record", "request_and_status"),
        [
            (websocket("connecting"), '"WSCONNECTING /ws/" - -'),
            (websocket("connected", 101), '"WSCONNECT /ws/" 101 -'),
            (websocket("rejected", 403), '"WSREJECT /ws/" 403 -'),
            (websocket("rejected"), '"WSREJECT /ws/" - -'),
            (websocket("disconnected", 1006), '"WSDISCONNECT /ws/" 1006 -'),
        ],
    )
    def test_websocket(self, record: AccessRecord, request_and_status: str) -> None:
        """Each step has a word of its own, and the status or close code where there is one."""
        line = format_common(record, WHEN)
        assert re.sub(r"\[../Jun/2025:\d\d:\d\d:\d\d [+-]\d{4}\]", "[…]", line) == (
            f"[::1] - - […] {request_and_status}"
        )

    def test_no_client(self) -> None:
        """A Unix socket's client has no address."""
        record = AccessRecord("http", "complete", "GET", "/", "1.0", 404, "")
        assert format_common(record, WHEN).startswith("- - - [")
        assert format_common(record, WHEN).endswith('] "GET / HTTP/1.0" 404 0')

    def test_quotes(self) -> None:
        """A path cannot end the field that it stands in."""
        record = AccessRecord("http", "complete", "GET", '/" 200 1\\', "1.1", 404, "")
        assert format_common(record, WHEN).endswith('"GET /\\" 200 1\\\\ HTTP/1.1" 404 0')


#: A request with everything that a line can have.
FULL = AccessRecord(
    "http",
    "complete",
    "POST",
    "/a?b=c",
    "2",
    201,
    "192.0.2.1:5000",
    123,
    0.456,
    77,
    "4711",
    [(b"user-agent", b'x"y\\z\n\xe9'), (b"referer", b"https://example.org/")],
)
ENDED = AccessRecord(
    "websocket", "disconnected", "GET", "/ws/", "1.1", 1001, "", 10, 3600.0, 20, "", []
)


@pytest.mark.usefixtures("in_delhi")
class TestMore:
    """Formats that say more."""

    def test_combined(self) -> None:
        """Referer and user agent stand behind, and cannot end their fields or the line."""
        assert format_combined(FULL, WHEN) == (
            '192.0.2.1 - - [15/Jun/2025:20:36:40 +0530] "POST /a?b=c HTTP/2" 201 123 '
            r'"https://example.org/" "x\"y\\z\x0a\xe9"'
        )
        assert format_combined(HTTP, WHEN).endswith(' 200 123 "-" "-"')

    def test_extended(self) -> None:
        """Behind that stand seconds, bytes received and sent, and the request's identifier."""
        assert format_extended(FULL, WHEN) == f"{format_combined(FULL, WHEN)} 0.456 77 123 4711"
        assert format_extended(ENDED, WHEN) == (
            '- - - [15/Jun/2025:20:36:40 +0530] "WSDISCONNECT /ws/" 1001 - "-" "-" 3600.000 20 10 -'
        )

    def test_json(self) -> None:
        """An object has what is known, in ASCII and on one line."""
        line = format_json(FULL, WHEN)
        assert line.isascii()
        assert line.isprintable()
        assert json.loads(line) == {
            "time": "2025-06-15T15:06:40.000Z",
            "logger": "fairway.access",
            "protocol": "http",
            "action": "complete",
            "client": "192.0.2.1:5000",
            "method": "POST",
            "path": "/a?b=c",
            "http_version": "2",
            "status": 201,
            "duration": 0.456,
            "sent": 123,
            "received": 77,
            "user_agent": 'x"y\\z\n\xe9',
            "referer": "https://example.org/",
            "request_id": "4711",
        }

    def test_json_of_websocket(self) -> None:
        """A WebSocket's end has a close code; what is not known is left out."""
        assert json.loads(format_json(ENDED, WHEN)) == {
            "time": "2025-06-15T15:06:40.000Z",
            "logger": "fairway.access",
            "protocol": "websocket",
            "action": "disconnected",
            "method": "GET",
            "path": "/ws/",
            "http_version": "1.1",
            "close_code": 1001,
            "duration": 3600.0,
            "sent": 10,
            "received": 20,
        }


class TestDjango:
    """Lines as ``runserver`` prints them."""

    @pytest.mark.parametrize(
        ("record", "line"),
        [
            (HTTP, "HTTP GET /a?b=c 200 [0.46, 192.0.2.1:5000]"),
            (
                AccessRecord("http", "complete", "GET", "/", "1.1", 200, ""),
                "HTTP GET / 200 [0.00, -]",
            ),
            (websocket("connecting"), "WebSocket HANDSHAKING /ws/ [[::1]:5000]"),
            (websocket("connected", 101), "WebSocket CONNECT /ws/ [[::1]:5000]"),
            (websocket("rejected", 403), "WebSocket REJECT /ws/ [[::1]:5000]"),
            (websocket("disconnected", 1000), "WebSocket DISCONNECT /ws/ [[::1]:5000]"),
        ],
    )
    def test_line(self, record: AccessRecord, line: str) -> None:
        """What, where, status, and for HTTP how long it took."""
        assert format_django(record) == line


class TestStream:
    """A stream of lines."""

    def test_common(self) -> None:
        """By default in the common log format, each line whole and flushed."""
        stream = io.TextIOWrapper(raw := io.BytesIO(), write_through=False)
        AccessLogStream(stream)(HTTP)
        assert re.fullmatch(
            rb'192\.0\.2\.1 - - \[.{20} [+-]\d{4}\] "GET /a\?b=c HTTP/1\.1" 200 123\n',
            raw.getvalue(),
        )

    def test_django(self) -> None:
        """Or as Django writes them, with the time before."""
        stream = io.StringIO()
        AccessLogStream(stream, "django")(HTTP)
        stamp, _, line = stream.getvalue().partition("] ")
        assert re.fullmatch(r"\[\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d", stamp)
        assert line == "HTTP GET /a?b=c 200 [0.46, 192.0.2.1:5000]\n"

    @pytest.mark.parametrize("style", ["common", "combined", "extended", "django", "json"])
    def test_each_format(self, style: str) -> None:
        """Whatever the option may say is known, and makes one line."""
        stream = io.StringIO()
        AccessLogStream(stream, style)(FULL)
        assert stream.getvalue().count("\n") == 1
