"""Origin checks."""

import logging
from urllib.parse import urlparse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from fairway._types import Event, Headers, Receive, Scope, Send
from fairway.security import websocket
from fairway.security.websocket import (
    AllowedHostsOriginValidator,
    OriginValidator,
    RefusalLog,
    WebsocketDenier,
)

CONNECT = {"type": "websocket.connect"}
DENIED = [{"type": "websocket.close"}]


async def accepts(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept every WebSocket."""
    assert await receive() == CONNECT
    await send({"type": "websocket.accept"})


async def connect(
    application: OriginValidator | WebsocketDenier, headers: Headers, event: Event = CONNECT
) -> list[Event]:
    """Connect with some headers; return what the application sends."""
    sent: list[Event] = []

    async def receive() -> Event:
        return event

    async def send(event: Event) -> None:
        sent.append(event)

    await application({"type": "websocket", "path": "/ws/", "headers": headers}, receive, send)
    return sent


async def admits(validator: OriginValidator, origin: str | None) -> bool:
    """Whether a page of an origin may connect; None stands for no ``Origin`` at all."""
    sent = await connect(validator, [] if origin is None else [(b"origin", origin.encode())])
    assert sent in ([{"type": "websocket.accept"}], DENIED)
    return sent != DENIED


@pytest.fixture(autouse=True)
def _fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the refusals of other tests."""
    monkeypatch.setattr(websocket, "_refusals", RefusalLog())


@pytest.mark.row("1.7 OriginValidator")
class TestOriginValidator:
    """``OriginValidator``."""

    @pytest.mark.parametrize(
        ("pattern", "origin", "admitted"),
        [
            # A host, with any scheme and port.
            ("example.com", "http://example.com", True),
            ("example.com", "https://example.com:8443", True),
            ("example.com", "http://EXAMPLE.com", True),
            ("EXAMPLE.com", "http://example.com", True),
            ("example.com", "http://www.example.com", False),
            ("example.com", "http://example.com.evil.test", False),
            ("example.com", "http://badexample.com", False),
            # A domain and those below it.
            (".example.com", "http://example.com", True),
            (".example.com", "http://a.b.example.com:8000", True),
            (".example.com", "http://badexample.com", False),
            # A host with a port.
            ("example.com:8000", "http://example.com:8000", True),
            ("example.com:8000", "https://example.com:8000", True),
            ("example.com:8000", "http://example.com", False),
            ("example.com:80", "http://example.com", True),
            ("example.com:443", "https://example.com", True),
            ("localhost:3000", "http://localhost:3000", True),
            (".example.com:8000", "http://www.example.com:8000", True),
            (".example.com:8000", "http://www.example.com:8001", False),
            # Addresses.
            ("127.0.0.1", "http://127.0.0.1:8000", True),
            ("[::1]", "http://[::1]:8000", True),
            ("[::1]:8000", "http://[::1]:8000", True),
            ("[::1]:8000", "http://[::1]", False),
            # Scheme, host and port.
            ("https://example.com", "https://example.com", True),
            ("https://example.com", "https://example.com:443", True),
            ("https://example.com:443", "https://example.com", True),
            ("https://example.com", "https://example.com:8443", False),
            ("https://example.com", "http://example.com", False),
            ("http://example.com:443", "https://example.com", False),
            ("HTTPS://Example.com", "https://example.com", True),
            ("http://.example.com", "http://www.example.com", True),
            ("http://.example.com", "https://www.example.com", False),
            ("ws://example.com", "ws://example.com:80", True),
            ("wss://example.com:443", "wss://example.com", True),
            ("app://example.com", "app://example.com", True),
            ("app://example.com:1", "app://example.com", False),
            ("app://example.com", "app://example.com:1", False),
            # Everyone.
            ("*", "http://anything.test", True),
            ("*", "null", True),
            ("*", None, True),
            ("*", "http://example.com:port", True),
            # Nobody.
            ("example.com", None, False),
            ("example.com", "null", False),
            ("null", "null", False),
            ("example.com", "", False),
            ("example.com", "example.com", False),
            ("example.com", "http://", False),
            ("", "http://example.com", False),
            ("", "null", False),
            # Malformed ports and hosts, on either side.
            ("example.com", "http://example.com:port", False),
            ("http://example.com", "http://example.com:port", False),
            ("example.com", "http://example.com:99999", False),
            ("example.com", "http://[::1", False),
            ("example.com:port", "http://example.com", False),
            ("http://example.com:port", "http://example.com", False),
            ("http://[::1", "http://example.com", False),
        ],
    )
    async def test_patterns(self, pattern: str, origin: str | None, *, admitted: bool) -> None:
        """An origin is let in by the patterns that mean it, and by no others."""
        assert await admits(OriginValidator(accepts, [pattern]), origin) is admitted

    async def test_several_patterns(self) -> None:
        """One pattern that matches is enough."""
        validator = OriginValidator(accepts, ["a.test", "b.test"])
        assert await admits(validator, "http://b.test")
        assert not await admits(validator, "http://c.test")
        assert not await admits(OriginValidator(accepts, []), "http://c.test")

    async def test_denied(self) -> None:
        """A refused WebSocket is closed before it is accepted, which clients see as HTTP 403."""
        assert await connect(OriginValidator(accepts, []), []) == DENIED

    async def test_several_origins(self) -> None:
        """No browser sends the field twice."""
        headers = [(b"origin", b"http://a.test"), (b"origin", b"http://a.test")]
        assert await connect(OriginValidator(accepts, ["a.test"]), headers) == DENIED

    async def test_not_a_websocket(self) -> None:
        """Other protocols are refused with a hint."""

        async def never(*_: object) -> Event:
            raise AssertionError

        with pytest.raises(
            ValueError, match=r"^You cannot use OriginValidator on a non-WebSocket connection$"
        ):
            await OriginValidator(accepts, ["*"])({"type": "http"}, never, never)  # type: ignore[arg-type]  # neither is called

    def test_methods(self) -> None:
        """The steps of the check are there for subclasses, and take what urlparse returns."""
        validator = OriginValidator(accepts, ["example.com"])
        assert validator.allowed_origins == ["example.com"]
        assert validator.application is accepts
        assert validator.valid_origin(urlparse("http://example.com"))
        assert not validator.valid_origin(None)
        assert validator.validate_origin(urlparse("http://example.com"))
        assert not validator.validate_origin(None)
        assert not validator.match_allowed_origin(None, "example.com")
        assert not validator.match_allowed_origin(urlparse("http://a.test:x"), "a.test")

    @pytest.mark.parametrize(
        ("origin", "port"),
        [
            ("http://a.test", 80),
            ("ws://a.test", 80),
            ("https://a.test", 443),
            ("wss://a.test", 443),
            ("https://a.test:8443", 8443),
            ("app://a.test", None),
        ],
    )
    def test_get_origin_port(self, origin: str, port: int | None) -> None:
        """Four schemes have a default port."""
        assert OriginValidator(accepts, []).get_origin_port(urlparse(origin)) == port

    @settings(deadline=None)
    @given(
        st.one_of(st.binary(), st.text(alphabet="htps:/.[]@0129ax%#?", max_size=30)),
        st.one_of(st.text(), st.text(alphabet="htps:/.[]@0129ax%#?", max_size=30)),
    )
    async def test_never_fails(self, origin: bytes | str, pattern: str) -> None:
        """Whatever a client sends, and whatever the list holds, the answer is yes or no."""
        field = origin if isinstance(origin, bytes) else origin.encode()
        validator = OriginValidator(accepts, [pattern])
        sent = await connect(validator, [(b"origin", field)])
        assert sent in ([{"type": "websocket.accept"}], DENIED)


@pytest.mark.row("1.7 AllowedHostsOriginValidator")
class TestAllowedHostsOriginValidator:
    """``AllowedHostsOriginValidator``."""

    async def test_allowed_hosts(self, settings: Settings) -> None:
        """The hosts that Django serves may connect, and the setting is read each time."""
        settings.ALLOWED_HOSTS = ["a.test"]
        validator = AllowedHostsOriginValidator(accepts)
        assert isinstance(validator, OriginValidator)
        assert await admits(validator, "https://a.test:8443")
        assert not await admits(validator, "https://b.test")
        settings.ALLOWED_HOSTS = [".b.test"]
        assert not await admits(validator, "https://a.test")
        assert await admits(validator, "https://www.b.test")
        assert list(validator.allowed_origins) == [".b.test"]
        settings.ALLOWED_HOSTS = ["*"]
        assert await admits(validator, None)

    @pytest.mark.parametrize("debug", [True, False])
    async def test_debug(self, settings: Settings, *, debug: bool) -> None:
        """With DEBUG and an empty list, this machine's names may connect, as Django serves them."""
        settings.DEBUG = debug
        settings.ALLOWED_HOSTS = []
        validator = AllowedHostsOriginValidator(accepts)
        for origin in (
            "http://localhost:8000",
            "http://a.localhost",
            "http://127.0.0.1:8000",
            "http://[::1]:8000",
        ):
            assert await admits(validator, origin) is debug
        assert not await admits(validator, "http://example.com")


@pytest.mark.row("1.7 WebsocketDenier")
class TestWebsocketDenier:
    """``WebsocketDenier``."""

    @pytest.mark.parametrize("denier", [WebsocketDenier(), WebsocketDenier.as_asgi()])
    async def test_denies(self, denier: WebsocketDenier) -> None:
        """Every WebSocket is closed before it is accepted."""
        assert await connect(denier, []) == DENIED

    async def test_client_that_is_gone(self) -> None:
        """A client that left in the meantime gets no answer."""
        gone = {"type": "websocket.disconnect", "code": 1006}
        assert await connect(WebsocketDenier(), [], gone) == []

    async def test_client_that_goes(self) -> None:
        """It is no error if the answer does not arrive."""

        async def receive() -> Event:
            return CONNECT

        async def send(_: Event) -> None:
            raise OSError("gone")

        await WebsocketDenier()({"type": "websocket"}, receive, send)


class TestLog:
    """Refusals are told, with what to do about them, and not more often than of use."""

    async def test_allowed_hosts(self, caplog: pytest.LogCaptureFixture) -> None:
        """The line names the origin and what to add to the setting."""
        await admits(AllowedHostsOriginValidator(accepts), "https://my.test:8443")
        assert caplog.record_tuples == [
            (
                "fairway.security",
                logging.WARNING,
                (
                    "Refused a WebSocket for '/ws/' from origin 'https://my.test:8443'. "
                    "If its pages are yours, add 'my.test' to ALLOWED_HOSTS."
                ),
            )
        ]

    async def test_allowed_origins(self, caplog: pytest.LogCaptureFixture) -> None:
        """With a list of its own, it is that list."""
        await admits(OriginValidator(accepts, []), "https://my.test:8443")
        assert caplog.messages == [
            (
                "Refused a WebSocket for '/ws/' from origin 'https://my.test:8443'. "
                "If its pages are yours, add 'https://my.test:8443' to allowed_origins."
            )
        ]

    async def test_no_origin(self, caplog: pytest.LogCaptureFixture) -> None:
        """Clients without an origin are let in by nothing but everyone's pattern."""
        await admits(OriginValidator(accepts, []), None)
        assert caplog.messages == [
            (
                "Refused a WebSocket for '/ws/' from nowhere: it has no single Origin field. "
                "Browsers name a page's origin; only '*' in allowed_origins lets in clients that "
                "do not."
            )
        ]

    async def test_malformed_origin(self, caplog: pytest.LogCaptureFixture) -> None:
        """A text that is no origin cannot make a second line."""
        await admits(OriginValidator(accepts, []), "null\nERROR fake")
        assert caplog.messages == [
            (
                "Refused a WebSocket for '/ws/' from origin 'null\\nERROR fake'. "
                "Browsers name a page's origin; only '*' in allowed_origins lets in clients that "
                "do not."
            )
        ]

    async def test_admitted(self, caplog: pytest.LogCaptureFixture) -> None:
        """Who is let in leaves no line."""
        await admits(OriginValidator(accepts, ["*"]), "https://my.test")
        assert caplog.messages == []

    async def test_refusals_of_one_origin(self, caplog: pytest.LogCaptureFixture) -> None:
        """A page that tries again and again is one line per interval, with a count."""
        now = 0.0
        log = RefusalLog(lambda: now, interval=60)
        for moment in (0.0, 1.0, 59.0):
            now = moment
            log.log("https://a.test", "/ws/", [])
        assert len(caplog.messages) == 1
        log.log("https://b.test", "/ws/", [])
        assert len(caplog.messages) == 2
        now = 60.0
        log.log("https://a.test", "/ws/", [])
        assert caplog.messages[2] == (
            "Refused a WebSocket for '/ws/' from origin 'https://a.test'. "
            "(2 more since the last such line) "
            "If its pages are yours, add 'https://a.test' to allowed_origins."
        )
        now = 200.0
        log.log("https://a.test", "/ws/", [])
        assert caplog.messages[3] == caplog.messages[0]

    async def test_origins_are_forgotten(self, caplog: pytest.LogCaptureFixture) -> None:
        """Clients that invent origins do not fill the memory."""
        log = RefusalLog(lambda: 0.0, capacity=2)
        for origin in ("a", "b", "a", "c", "b", "a"):
            log.log(f"https://{origin}.test", "/ws/", [])
        assert [message.split("//")[1][0] for message in caplog.messages] == ["a", "b", "c", "a"]
        assert len(log._bursts) == 2
