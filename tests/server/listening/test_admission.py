"""Who may come in, decided without any connection."""

import pytest

from fairway.server import Config
from fairway.server.listening import admission as admission_module
from fairway.server.listening.admission import Admission, Rate, Rejection, network_of
from tests.clock import Clock


def make(clock: Clock | None = None, **options: object) -> Admission:
    """An admission with these limits."""
    return Admission(Config.from_mapping(options), clock or Clock())


class TestConnections:
    """Connections that are open at once."""

    def test_in_all(self) -> None:
        """One more than there may be is told to come back; when one has gone, another may come."""
        admission = make(max_connections=2)
        assert [admission.connect("192.0.2.1"), admission.connect("")] == [None, None]
        rejection = admission.connect("192.0.2.2")
        assert rejection == Rejection("max_connections", 2, 503, "The server is full.", 5)
        assert rejection.headers == [(b"retry-after", b"5")]
        admission.disconnect("192.0.2.1")
        assert admission.connect("192.0.2.2") is None
        assert admission.connections == 2

    def test_unlimited(self) -> None:
        """Zero is no limit."""
        admission = make(max_connections=0)
        assert [admission.connect("192.0.2.1") for _ in range(1000)] == [None] * 1000

    def test_per_client(self) -> None:
        """Each address has its own share; nothing is remembered of one that has gone."""
        admission = make(max_connections_per_client=1)
        assert admission.connect("192.0.2.1") is None
        assert admission.connect("192.0.2.1") == Rejection(
            "max_connections_per_client", 1, 429, "Too many connections from there.", 5
        )
        assert admission.connect("192.0.2.2") is None
        for host in ("192.0.2.1", "192.0.2.2"):
            admission.disconnect(host)
        assert (admission.connections, admission._of_client) == (0, {})

    def test_network(self) -> None:
        """Who has one address of an IPv6 network has all in it."""
        admission = make(max_connections_per_client=1)
        assert admission.connect("2001:db8:0:1::1") is None
        assert admission.connect("2001:db8:0:1:ffff::2") is not None
        assert admission.connect("2001:db8:0:2::1") is None

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", ""])
    def test_exempt(self, host: str) -> None:
        """Trusted proxies stand for many clients, and so does who is behind a Unix socket."""
        admission = make(max_connections_per_client=1)
        assert [admission.connect(host) for _ in range(5)] == [None] * 5


class TestWebSockets:
    """WebSockets, and how quickly they are opened."""

    def test_at_once(self) -> None:
        """One more than there may be is told to come back."""
        admission = make(max_websockets=1)
        assert admission.open_websocket(("192.0.2.1", 1)) is None
        assert admission.open_websocket(("192.0.2.1", 2)) == Rejection(
            "max_websockets", 1, 503, "Too many WebSockets are open.", 5
        )
        admission.close_websocket()
        assert admission.open_websocket(None) is None
        assert admission.websockets == 1

    def test_rate(self) -> None:
        """After as many as a second allows, the next one has to wait for its share of a second."""
        clock = Clock()
        admission = make(clock, websocket_max_handshakes=2)
        assert [admission.open_websocket(None) for _ in range(2)] == [None, None]
        assert admission.open_websocket(None) == Rejection(
            "websocket_max_handshakes", 2, 503, "Too many WebSockets are opened.", 1
        )
        clock.now += 0.5
        assert admission.open_websocket(None) is None
        assert admission.open_websocket(None) is not None

    def test_rate_per_client(self) -> None:
        """Who opens too many does not use up what is there for the others."""
        admission = make(websocket_max_handshakes_per_client=1, websocket_max_handshakes=2)
        assert admission.open_websocket(("192.0.2.1", 1)) is None
        assert admission.open_websocket(("192.0.2.1", 2)) == Rejection(
            "websocket_max_handshakes_per_client",
            1,
            429,
            "Too many WebSockets are opened from there.",
            1,
        )
        assert admission.open_websocket(("192.0.2.2", 1)) is None

    def test_exempt(self) -> None:
        """A trusted proxy that names no client, and a Unix socket, are not one client."""
        admission = make(websocket_max_handshakes_per_client=1)
        for client in [("127.0.0.1", 1), ("127.0.0.1", 2), None, None]:
            assert admission.open_websocket(client) is None

    def test_forgets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A flood from many addresses takes a bounded amount of memory."""
        monkeypatch.setattr(admission_module, "MAX_REMEMBERED", 10)
        admission = make(websocket_max_handshakes_per_client=1)
        for number in range(100):
            assert admission.open_websocket((f"192.0.2.{number}", 1)) is None
        assert list(admission._rates) == [f"192.0.2.{number}" for number in range(90, 100)]


def test_overload() -> None:
    """While the event loop is late, nobody new comes in."""
    admission = make(max_event_loop_lag=0.5)
    admission.feel(0.6)
    expected = Rejection("max_event_loop_lag", 0.5, 503, "The server is overloaded.", 5)
    assert admission.connect("192.0.2.1") == expected
    assert admission.open_websocket(None) == expected
    admission.feel(0.5)
    assert admission.connect("192.0.2.1") is None


def test_slow_rate() -> None:
    """A rate below one in a second has one at the beginning, and says how long the next takes."""
    rate = Rate(0.1, 100.0)
    assert rate.take(100.0)
    assert not rate.take(101.0)
    assert rate.wait == 9
    assert rate.take(110.5)


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not:an:address", "not:an:address"),
        ("", ""),
    ],
)
def test_network_of(host: str, counted: str) -> None:
    """An IPv4 address stands for itself, however it is written, an IPv6 one for its /64."""
    assert network_of(host) == counted
