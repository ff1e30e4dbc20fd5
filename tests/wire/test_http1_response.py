"""Responses as bytes (RFC 9112, RFC 9110), also as h11, another reader, understands them."""

import re

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.wire.http1 import (
    CONTINUE,
    HTTP1Connection,
    LocalProtocolError,
    Response,
    error_response,
    informational,
)
from tests.exploring import examples
from tests.wire.http1_input import END, describe

SERVER = b"fairway"
DATE = b"Thu, 20 Nov 2025 10:30:00 GMT"
TAIL = b"Date: Thu, 20 Nov 2025 10:30:00 GMT\r\nServer: fairway\r\n"

Fields = list[tuple[bytes, bytes]]


def start(response: Response, status: int = 200, headers: Fields | None = None) -> bytes:
    """The head of a response with the usual Server and Date."""
    return response.start(status, headers or [], server=SERVER, date=DATE)


def one_piece(
    response: Response, data: bytes, status: int = 200, headers: Fields | None = None
) -> bytes:
    """A whole response with the usual Server and Date."""
    return response.start_and_body(status, headers or [], data, server=SERVER, date=DATE)


def to(method: str = "GET", version: str = "1.1", *, keep_alive: bool = True) -> Response:
    """The response to such a request."""
    return Response(method, version, keep_alive)


class TestHead:
    """RFC 9112 §4 and §5."""

    def test_fields(self) -> None:
        """Fields are sent in the order and spelling of the application, then ours."""
        headers = [(b"Content-Type", b"text/plain"), (b"set-cookie", b"a"), (b"set-cookie", b"b")]
        assert start(to(), 200, [*headers, (b"content-length", b"5"), (b"X-Empty", b"")]) == (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nset-cookie: a\r\nset-cookie: b\r\n"
            b"X-Empty: \r\nContent-Length: 5\r\n" + TAIL + b"\r\n"
        )

    @pytest.mark.parametrize(
        ("status", "line"),
        [
            (200, b"HTTP/1.1 200 OK\r\n"),
            (404, b"HTTP/1.1 404 Not Found\r\n"),
            (413, b"HTTP/1.1 413 Content Too Large\r\n"),
            (422, b"HTTP/1.1 422 Unprocessable Content\r\n"),
            (299, b"HTTP/1.1 299 \r\n"),
            (999, b"HTTP/1.1 999 \r\n"),
        ],
    )
    def test_status_line(self, status: int, line: bytes) -> None:
        """The phrase is that of RFC 9110, or empty; the version is ours, not the client's."""
        assert start(to(), status).startswith(line)
        assert start(to(version="1.0"), status).startswith(line)

    @pytest.mark.parametrize("status", [0, 99, 1000, -200])
    def test_bad_status(self, status: int) -> None:
        """A status has three digits."""
        with pytest.raises(
            ValueError, match=f"^A status is a number from 100 to 999, not {status}"
        ):
            start(to(), status)

    def test_date_and_server_of_the_application(self) -> None:
        """What the application says itself is not said again."""
        headers = [(b"Date", b"yesterday"), (b"server", b"mine"), (b"content-length", b"0")]
        assert start(to(), 200, headers) == (
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: yesterday\r\nServer: mine\r\n\r\n"
        )

    def test_no_server(self) -> None:
        """Without a name no Server is sent."""
        assert to().start_and_body(200, [], b"", server=None, date=DATE) == (
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: %b\r\n\r\n" % DATE
        )

    @pytest.mark.parametrize("headers", [[[b"x", b"y"]], iter([(b"x", b"y")]), ((b"x", b"y"),)])
    def test_any_iterable(self, headers: Fields) -> None:
        """ASGI allows any iterable of pairs."""
        assert b"\r\nx: y\r\n" in start(to(), 200, headers)

    @pytest.mark.parametrize(
        "name", [b"", b"a b", b"a:", b"a\r\nb", b"a\0", b"\xe4", b"a\n", b"(a)"]
    )
    def test_bad_name(self, name: bytes) -> None:
        """A name is a token."""
        response = to()
        text = f"The header name {name!r} is not a token (RFC 9110 §5.6.2)."
        for _ in range(2):
            with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
                start(response, 200, [(b"x", b"y"), (name, b"z")])

    @pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\n", b"\r", b"\0", b"a\r\n", b"\r\n\r\n"])
    @pytest.mark.parametrize("name", [b"X-Y", b"date", b"server", b"connection"])
    def test_bad_value(self, name: bytes, value: bytes) -> None:
        """No value smuggles in another line: no CR, LF or NUL."""
        spelling = name.decode() if name == b"X-Y" else name.decode().title()
        text = f"The value of the header {spelling!r} holds a CR, LF or NUL."
        if name == b"connection":
            value = b"a" + value + b"b"
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            start(to(), 200, [(b"x", b"y"), (name, value)])

    @pytest.mark.parametrize(
        ("field", "part", "kind"),
        [
            (("x", b"y"), "name 'x'", "str"),
            ((b"x", "y"), "value 'y'", "str"),
            ((b"date", "y"), "value 'y'", "str"),
            ((bytearray(b"x"), b"y"), "name 'bytearray(b'x')'", "bytearray"),
            ((None, b"y"), "name 'None'", "NoneType"),
            ((b"x", 1), "value '1'", "int"),
        ],
    )
    def test_not_bytes(self, field: tuple[bytes, bytes], part: str, kind: str) -> None:
        """Text is refused, in Daphne's words: nobody knows its encoding."""
        text = f"Header {part} expected to be `bytes`, but got `<class '{kind}'>`"
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            start(to(), 200, [field])

    def test_nothing_changes_by_an_error(self) -> None:
        """After a head that cannot be sent another one can."""
        response = to()
        headers = [(b"connection", b"close"), (b"content-length", b"5"), (b"x", b"\n")]
        with pytest.raises(ValueError, match="'x'"):
            start(response, 200, headers)
        assert one_piece(response, b"Oh!", 500) == (
            b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n" + TAIL + b"\r\nOh!"
        )
        assert response.keep_alive


class TestContentLength:
    """RFC 9112 §6.2, RFC 9110 §8.6."""

    def test_counted(self) -> None:
        """With a Content-Length the body is sent as it is."""
        response = to()
        start(response, 200, [(b"content-length", b"5")])
        assert response.body(b"he", more=True) == b"he"
        assert response.body(b"", more=True) == b""
        before = response.complete
        assert response.body(b"llo", more=False) == b"llo"
        assert (before, response.complete, response.keep_alive) == (False, True, True)

    def test_end_said_later(self) -> None:
        """All bytes were sent, but the application may still have to say so."""
        response = to()
        start(response, 200, [(b"content-length", b"2")])
        assert response.body(b"hi", more=True) == b"hi"
        before = response.complete
        assert response.body(b"", more=False) == b""
        assert (before, response.complete) == (False, True)

    @pytest.mark.parametrize(("more", "first"), [(True, b"he"), (False, b"")])
    def test_too_much(self, more: bool, first: bytes) -> None:
        """More than was declared would be read as the next response."""
        response = to()
        start(response, 200, [(b"content-length", b"5")])
        response.body(first, more=True)
        text = "The response declares a Content-Length of 5 bytes, but its body has at least 6."
        with pytest.raises(LocalProtocolError, match=f"^{re.escape(text)}$"):
            response.body(b"x" * (6 - len(first)), more)
        assert (response.complete, response.keep_alive) == (False, False)

    def test_too_little(self) -> None:
        """Less than was declared would leave the client waiting."""
        response = to()
        start(response, 200, [(b"content-length", b"5")])
        response.body(b"he", more=True)
        text = "The response declares a Content-Length of 5 bytes, but its body ended after 3."
        with pytest.raises(LocalProtocolError, match=f"^{re.escape(text)}$"):
            response.body(b"l", more=False)
        assert (response.complete, response.keep_alive) == (False, False)

    @pytest.mark.parametrize("data", [b"", b"hell", b"hello!"])
    def test_wrong_in_one_piece(self, data: bytes) -> None:
        """Nothing was sent yet, so an error can still be answered."""
        response = to()
        with pytest.raises(LocalProtocolError, match="declares a Content-Length of 5 bytes"):
            one_piece(response, data, 200, [(b"content-length", b"5")])
        assert one_piece(response, b"", 500).startswith(b"HTTP/1.1 500 ")

    def test_added_in_one_piece(self) -> None:
        """A body that is known as a whole is counted, in either version."""
        expected = b"HTTP/1.1 200 OK\r\nx: y\r\nContent-Length: 5\r\n" + TAIL
        response = to()
        assert one_piece(response, b"hello", 200, [(b"x", b"y")]) == expected + b"\r\nhello"
        assert response.complete
        response = to(version="1.0")
        assert one_piece(response, b"hello", 200, [(b"x", b"y")]) == (
            expected + b"Connection: keep-alive\r\n\r\nhello"
        )

    @pytest.mark.parametrize(
        "value", [b"", b"-1", b"+1", b"1.0", b"five", b"1, 1", b" 1", b"1\r\n"]
    )
    def test_not_a_number(self, value: bytes) -> None:
        """A Content-Length from the application has to be one."""
        text = f"The header 'Content-Length' is not a number: {value!r}."
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            start(to(), 200, [(b"Content-Length", value)])

    def test_repeated(self) -> None:
        """It is sent once."""
        text = "The header 'Content-Length' was given more than once."
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            start(to(), 200, [(b"Content-Length", b"5"), (b"content-length", b"5")])


class TestChunked:
    """RFC 9112 §7.1."""

    def test_chunks(self) -> None:
        """Without a Content-Length each part is a chunk, and an empty one ends the body."""
        response = to()
        assert start(response) == (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + TAIL + b"\r\n"
        )
        assert response.body(b"hello", more=True) == b"5\r\nhello\r\n"
        assert response.body(b"x" * 26, more=True) == b"1a\r\n%b\r\n" % (b"x" * 26)
        before = response.complete
        assert response.body(b"", more=False) == b"0\r\n\r\n"
        assert (before, response.complete, response.keep_alive) == (False, True, True)

    def test_last_part(self) -> None:
        """The last part comes with the end."""
        response = to()
        start(response)
        assert response.body(b"hello", more=False) == b"5\r\nhello\r\n0\r\n\r\n"

    def test_empty_part(self) -> None:
        """An empty part in between is not sent: it would end the body."""
        response = to()
        start(response)
        assert response.body(b"", more=True) == b""

    @pytest.mark.parametrize("coding", [b"chunked", b"gzip"])
    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    def test_transfer_encoding_of_the_application(self, coding: bytes, version: str) -> None:
        """The framing is ours alone."""
        headers = [(b"Transfer-Encoding", coding)]
        assert start(to(version=version), 200, headers) == start(to(version=version))


class TestHTTP10:
    """RFC 9112 §6.3, item 8."""

    def test_ended_by_closing(self) -> None:
        """A body of unknown length lasts until the connection is closed."""
        response = to(version="1.0")
        assert start(response) == b"HTTP/1.1 200 OK\r\n" + TAIL + b"Connection: close\r\n\r\n"
        assert response.body(b"he", more=True) == b"he"
        assert response.body(b"llo", more=False) == b"llo"
        assert response.complete
        assert not response.keep_alive


class TestWithoutBody:
    """RFC 9112 §6.3, items 1 and 2; RFC 9110 §9.3.2, §15.3.5, §15.4.5."""

    @pytest.mark.parametrize(
        ("method", "status", "headers", "lines"),
        [
            ("HEAD", 200, [], b""),
            ("HEAD", 200, [(b"content-length", b"5")], b"Content-Length: 5\r\n"),
            ("HEAD", 404, [(b"transfer-encoding", b"chunked")], b""),
            ("GET", 304, [], b""),
            ("GET", 304, [(b"content-length", b"5")], b"Content-Length: 5\r\n"),
            ("GET", 204, [], b""),
            ("GET", 204, [(b"content-length", b"0")], b""),
            ("HEAD", 204, [(b"content-length", b"5")], b""),
        ],
    )
    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    def test_swallowed(
        self, method: str, status: int, headers: Fields, lines: bytes, version: str
    ) -> None:
        """The head says at most how long the body would be; the connection stays."""
        connection = b"" if version == "1.1" else b"Connection: keep-alive\r\n"
        response = to(method, version)
        head = start(response, status, headers)
        assert head.partition(b"\r\n")[2] == lines + TAIL + connection + b"\r\n"
        assert response.body(b"hello world", more=True) == b""
        assert response.body(b"", more=False) == b""
        assert response.complete
        assert response.keep_alive
        response = to(method, version)
        assert one_piece(response, b"hello world", status, headers) == head
        assert response.complete


class TestConnection:
    """RFC 9112 §9.3 and §9.6."""

    @pytest.mark.parametrize(
        ("version", "wanted", "field", "sent", "kept"),
        [
            ("1.1", True, None, None, True),
            ("1.1", True, b"keep-alive", None, True),
            ("1.1", True, b"close", b"close", False),
            ("1.1", True, b"Close", b"close", False),
            ("1.1", True, b"keep-alive, close", b"close", False),
            ("1.1", True, b"Upgrade", b"Upgrade", True),
            ("1.1", True, b"", None, True),
            ("1.1", False, None, b"close", False),
            ("1.1", False, b"keep-alive", b"close", False),
            ("1.1", False, b"Upgrade, x", b"Upgrade, x, close", False),
            ("1.0", True, None, b"keep-alive", True),
            ("1.0", True, b"x", b"x, keep-alive", True),
            ("1.0", True, b"close", b"close", False),
            ("1.0", False, None, b"close", False),
        ],
    )
    def test_field(
        self, version: str, wanted: bool, field: bytes | None, sent: bytes | None, kept: bool
    ) -> None:
        """The connection is kept if client, server and application all want it."""
        response = to(version=version, keep_alive=wanted)
        headers = [] if field is None else [(b"connection", field)]
        head = one_piece(response, b"", 200, headers)
        assert re.findall(rb"\r\nConnection: (.*)\r\n", head) == ([] if sent is None else [sent])
        assert response.keep_alive is kept

    def test_switching_protocols(self) -> None:
        """101 keeps what the handshake says, and frames nothing."""
        headers = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")]
        assert start(to(), 101, headers) == (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            + TAIL
            + b"Connection: Upgrade\r\n\r\n"
        )

    def test_repeated_field(self) -> None:
        """Several Connection fields are one list."""
        response = to()
        headers = [(b"connection", b"upgrade"), (b"Connection", b"close")]
        assert b"\r\nConnection: upgrade, close\r\n" in start(response, 426, headers)


class TestOrder:
    """Calls in the wrong order are mistakes of the server."""

    def test_body_first(self) -> None:
        """A body needs a head."""
        with pytest.raises(LocalProtocolError, match=r"^The response has not begun\.$"):
            to().body(b"", more=False)

    def test_two_heads(self) -> None:
        """A response begins once."""
        response = to()
        start(response)
        for again in (start, lambda response: one_piece(response, b"")):
            with pytest.raises(LocalProtocolError, match=r"^The response has begun already\.$"):
                again(response)

    def test_body_after_the_end(self) -> None:
        """A response ends once."""
        response = to()
        one_piece(response, b"")
        with pytest.raises(LocalProtocolError, match=r"^The response is complete\.$"):
            response.body(b"", more=False)


class TestInterim:
    """RFC 9110 §15.2."""

    def test_continue(self) -> None:
        """100 (Continue) is nothing but its status line."""
        assert informational(100, []) == CONTINUE == b"HTTP/1.1 100 Continue\r\n\r\n"

    def test_early_hints(self) -> None:
        """103 carries fields, but no framing, Date or Server."""
        headers = [(b"link", b"</a.css>; rel=preload"), (b"content-length", b"5")]
        assert informational(103, headers) == (
            b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n"
        )

    @pytest.mark.parametrize("status", [99, 101, 200])
    def test_other_statuses(self, status: int) -> None:
        """101 is the last word of HTTP/1.1 on a connection, and so no interim response."""
        text = f"{status} is not the status of an interim response."
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            informational(status, [])


class TestErrorResponse:
    def test_complete(self) -> None:
        """An answer in plain text that ends the connection."""
        assert error_response(400, "The Host header is missing.", server=SERVER, date=DATE) == (
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: 28\r\n" + TAIL + b"Connection: close\r\n\r\n"
            b"The Host header is missing.\n"
        )

    def test_headers(self) -> None:
        """Some statuses ask for fields of their own."""
        headers = [(b"sec-websocket-version", b"13"), (b"upgrade", b"websocket")]
        answer = error_response(
            426,
            "Version 13.",
            server=None,
            date=DATE,
            headers=[*headers, (b"connection", b"upgrade")],
        )
        assert answer == (
            b"HTTP/1.1 426 Upgrade Required\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"sec-websocket-version: 13\r\nupgrade: websocket\r\nContent-Length: 12\r\n"
            b"Date: %b\r\nConnection: upgrade, close\r\n\r\nVersion 13.\n" % DATE
        )


def read_by_h11(client: h11.Connection, parts: list[bytes]) -> tuple[int, Fields, bytes]:
    """The status, the ``x-`` fields and the body that h11 finds in a response."""
    head, body = None, b""
    for part in [*parts, b""]:
        client.receive_data(part)
        while (event := client.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                fields = [field for field in head.headers if field[0].startswith(b"x-")]
                return head.status_code, fields, body
            else:
                assert isinstance(event, h11.InformationalResponse)
    pytest.fail("h11 does not see the end of the response")


class TestAgainstH11:
    """Another implementation reads what this one writes, and writes what this one reads."""

    @examples(200)
    @given(
        st.sampled_from(["GET", "HEAD", "POST"]),
        st.sampled_from(["1.1", "1.0"]),
        st.booleans(),
        st.sampled_from([200, 204, 304, 404, 500, 599]),
        st.lists(st.binary(max_size=20), min_size=1, max_size=4),
        st.sampled_from(["chunked", "counted", "one piece"]),
        st.booleans(),
    )
    def test_responses(
        self,
        method: str,
        version: str,
        keep_alive: bool,
        status: int,
        parts: list[bytes],
        framing: str,
        early_hints: bool,
    ) -> None:
        """Status, fields and body arrive, and both sides agree on keeping the connection."""
        body = b"".join(parts)
        fields = [(b"x-a", b"1"), (b"x-b", b"two words")]
        client = h11.Connection(h11.CLIENT)
        connection = [] if keep_alive else [("connection", "close")]
        client.send(h11.Request(method=method, target="/", headers=[("host", "a"), *connection]))
        client.send(h11.EndOfMessage())

        response = Response(method, version, keep_alive)
        data = informational(103, [(b"x-c", b"3")]) if early_hints else b""
        if framing == "one piece":
            data += one_piece(response, body, status, fields)
        else:
            counted = [(b"content-length", b"%d" % len(body))] if framing == "counted" else []
            data += start(response, status, fields + counted)
            for number, part in enumerate(parts, 1):
                data += response.body(part, more=number < len(parts))
        assert response.complete

        for_no_body = method == "HEAD" or status in (204, 304)
        found = read_by_h11(client, [data[:30], data[30:]])
        assert found == (status, fields, b"" if for_no_body else body)
        if response.keep_alive:
            client.start_next_cycle()

    @examples(200)
    @given(
        st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]),
        st.text("abc/%20.~?=&", max_size=10),
        st.lists(
            st.tuples(
                st.text("abcXYZ-_!", min_size=1, max_size=8).map("x-".__add__),
                st.text("ab \t,;\x80\xff", max_size=8).map(str.strip),
            ),
            max_size=4,
        ),
        st.lists(st.binary(min_size=1, max_size=20), max_size=3),
        st.booleans(),
    )
    def test_requests(
        self,
        method: str,
        target: str,
        fields: list[tuple[str, str]],
        parts: list[bytes],
        chunked: bool,
    ) -> None:
        """Two requests that h11 writes on one connection come out as they went in."""
        client = h11.Connection(h11.CLIENT)
        server = HTTP1Connection()
        body = b"".join(parts)
        framing = (
            ("transfer-encoding", "chunked") if chunked else ("content-length", str(len(body)))
        )
        headers = [(name.encode(), value.encode("latin-1")) for name, value in fields]
        raw_framing = (framing[0].encode(), framing[1].encode())
        all_headers = [(b"host", b"a"), *headers, raw_framing]
        head = h11.Request(method=method, target=f"/{target}", headers=all_headers)
        for _ in range(2):
            data = client.send(head) or b""
            for part in parts:
                data += client.send(h11.Data(data=part)) or b""
            data += client.send(h11.EndOfMessage()) or b""
            first, *others = describe(server.receive_data(data))
            assert isinstance(first, dict)
            assert (first["method"], first["target"]) == (method, b"/" + target.encode())
            lower = [(name.lower(), value) for name, value in headers]
            assert first["headers"] == [(b"host", b"a"), *lower, raw_framing]
            assert others == ([body, END] if body else [END])
            read_by_h11(client, [one_piece(to(method), b"")])
            client.start_next_cycle()


class TestKnownLength:
    """A body whose length is known, though it does not come in one piece."""

    def test_added(self) -> None:
        """``Content-Length`` is added."""
        response = to()
        head = response.start(200, [], server=None, date=b"", length=3)
        assert head == b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
        assert response.body(b"ab", True) + response.body(b"c", False) == b"abc"
        assert response.complete

    def test_declared(self) -> None:
        """The application's own has to be the same, unless there is no body."""
        length = [(b"content-length", b"4")]
        with pytest.raises(LocalProtocolError, match="of 4 bytes, but its body ended after 3"):
            to().start(200, length, server=None, date=b"", length=3)
        assert to("HEAD").start(200, length, server=None, date=b"", length=3) == (
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
        )


class TestAround:
    """Parts of a body that are sent by other means, such as a copying system."""

    def test_length(self) -> None:
        """With a length there is nothing around them, but they are counted."""
        response = to()
        start(response, 200, [(b"content-length", b"5")])
        assert response.around(2, more=True) == (b"", b"")
        with pytest.raises(LocalProtocolError, match="of 5 bytes, but its body has at least 6"):
            response.around(4, more=True)

    @pytest.mark.parametrize(
        ("size", "more", "around"),
        [
            (17, True, (b"11\r\n", b"\r\n")),
            (17, False, (b"11\r\n", b"\r\n0\r\n\r\n")),
            (0, True, (b"", b"")),
            (0, False, (b"", b"0\r\n\r\n")),
        ],
    )
    def test_chunked(self, size: int, more: bool, around: tuple[bytes, bytes]) -> None:
        """Without one there is a chunk's size before them and its end behind (RFC 9112 §7.1)."""
        response = to()
        start(response, 200, [])
        assert response.around(size, more) == around
        assert response.complete is not more

    @pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
    def test_without_body(self, method: str, status: int) -> None:
        """A response without a body sends none of them."""
        response = to(method)
        start(response, status, [])
        assert response.around(5, more=False) is None
        assert response.complete


class TestTrailers:
    """Fields behind the body (RFC 9112 §7.1.2)."""

    def test_sent(self) -> None:
        """They come between the last chunk and the end."""
        response = to()
        head = response.start(200, [(b"trailer", b"a")], server=None, date=b"", trailers=True)
        assert head == b"HTTP/1.1 200 OK\r\ntrailer: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert response.body(b"abc", False) == b"3\r\nabc\r\n"
        assert response.trailers([(b"a", b"b"), (b"a", b"c")]) == b"0\r\na: b\r\na: c\r\n\r\n"
        assert response.complete
        assert response.keep_alive

    def test_none(self) -> None:
        """There may be none in the end."""
        response = to()
        response.start(200, [], server=None, date=b"", trailers=True)
        assert response.around(0, more=False) == (b"", b"")
        assert response.trailers([]) == b"0\r\n\r\n"

    def test_with_a_length(self) -> None:
        """A declared length is not sent, but held against the body (§6.2)."""
        response = to()
        head = response.start(
            200, [(b"content-length", b"3")], server=None, date=b"", trailers=True
        )
        assert head == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert response.body(b"ab", True) == b"2\r\nab\r\n"
        with pytest.raises(LocalProtocolError, match="of 3 bytes, but its body ended after 2"):
            response.body(b"", False)

    @pytest.mark.parametrize(("method", "version"), [("HEAD", "1.1"), ("GET", "1.0")])
    def test_no_place(self, method: str, version: str) -> None:
        """A response that is not chunked has no place for them."""
        response = Response(method, version, keep_alive=True)
        response.start(200, [], server=None, date=b"", trailers=True)
        response.body(b"", False)
        assert response.complete
        assert response.trailers([(b"a", b"b")]) == b""

    def test_too_early(self) -> None:
        """They wait for the end of the body."""
        response = to()
        response.start(200, [], server=None, date=b"", trailers=True)
        with pytest.raises(LocalProtocolError, match="Trailers come behind the body"):
            response.trailers([])


class TestResetContent:
    """205 (RFC 9110 §15.3.6)."""

    @pytest.mark.parametrize("length", [[], [(b"content-length", b"3")]])
    def test_no_body(self, length: list[tuple[bytes, bytes]]) -> None:
        """It has no body, and says so: unlike 204, it is read as if it might have one."""
        head = b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"
        whole = to().start_and_body(205, length, b"abc", server=None, date=b"")
        assert whole == head
        response = to()
        assert response.start(205, length, server=None, date=b"") == head
        assert response.body(b"abc", False) == b""
        assert response.keep_alive
