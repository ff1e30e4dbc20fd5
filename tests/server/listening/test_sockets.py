"""Sockets that are bound, given away, inherited; tests/…/test_listener.py has what options make."""

import errno
import grp
import os
import pwd
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairway.server.listening import sockets
from fairway.server.listening.endpoints import UnixEndpoint
from fairway.server.listening.sockets import (
    bind_again,
    bind_tcp,
    bind_unix,
    close_all,
    inherit,
    listen,
)
from tests.server.running import DEADLINE


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    """Sockets that the test leaves open."""
    found: list[socket.socket] = []
    yield found
    close_all(found)


def refusal(attempt: Callable[[], object]) -> str:
    """What is said about a socket that cannot be had."""
    with pytest.raises(OSError) as caught:  # noqa: PT011  the whole text is compared
        attempt()
    return str(caught.value.strerror)


def reaches(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection((host, port), DEADLINE).close()
    except OSError:
        return False
    return True


has_ipv6 = pytest.mark.skipif(
    not os.path.exists("/proc/net/if_inet6") or not Path("/proc/net/if_inet6").read_text(),
    reason="this machine has no IPv6",
)


@has_ipv6
class TestBothFamilies:
    """``::``."""

    @pytest.mark.parametrize("host", ["::", "[::]"])
    def test_dual(self, host: str, opened: list[socket.socket]) -> None:
        """It is every address of both."""
        opened += bind_tcp(host, 0)
        (sock,) = opened
        sock.listen()
        port = sock.getsockname()[1]
        assert (reaches("::1", port), reaches("127.0.0.1", port)) == (True, True)

    def test_ipv6_only(self, opened: list[socket.socket]) -> None:
        """Or of IPv6 only, so that others may have the port in IPv4."""
        opened += bind_tcp("::", 0, ipv6_only=True)
        (sock,) = opened
        sock.listen()
        port = sock.getsockname()[1]
        assert (reaches("::1", port), reaches("127.0.0.1", port)) == (True, False)
        opened += bind_tcp("0.0.0.0", port)

    @pytest.mark.parametrize("ipv6_only", [False, True])
    def test_again(self, ipv6_only: bool, opened: list[socket.socket]) -> None:
        """A second socket for the same port takes what the first one takes."""
        opened += bind_tcp("::", 0, shared=True, ipv6_only=ipv6_only)
        opened.append(bind_again(opened[0]))
        flags = {s.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) for s in opened}
        assert flags == {int(ipv6_only)}
        assert opened[0].getsockname() == opened[1].getsockname()


class TestReasons:
    """Why a port cannot be had."""

    @pytest.mark.parametrize(
        ("host", "port", "number", "reason"),
        [
            (
                "127.0.0.1",
                1023,
                errno.EACCES,
                (
                    "you may not; ports below 1024 need privileges. Let systemd open it "
                    "(-e systemd:index=0), grant CAP_NET_BIND_SERVICE, or put a proxy in front"
                ),
            ),
            ("127.0.0.1", 1024, errno.EACCES, "the system does not allow it"),
            ("127.0.0.1", 1024, errno.EADDRNOTAVAIL, "this machine has no such address"),
            (
                "::",
                1024,
                errno.EAFNOSUPPORT,
                "this machine has no IPv6; 0.0.0.0 is every address of IPv4",
            ),
            ("127.0.0.1", 1024, errno.ENOBUFS, "no buffer space available"),
        ],
    )
    def test_reason(
        self, host: str, port: int, number: int, reason: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each says what to do, where there is something."""

        def fail(self: socket.socket, address: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(socket.socket, "bind", fail)
        text = refusal(lambda: bind_tcp(host, port))
        assert text == f"Cannot listen on {host}:{port}: {reason}."


def test_somebody_listens(opened: list[socket.socket]) -> None:
    """Two may have bound a port that nobody listens on; whoever comes second is told where."""
    first, *_ = bind_tcp("127.0.0.1", 0)
    port = first.getsockname()[1]
    second, *_ = bind_tcp("127.0.0.1", port)
    opened += [first, second]
    listen(first, 1)
    text = refusal(lambda: listen(second, 1))
    assert text.startswith(f"Cannot listen on 127.0.0.1:{port}: another program listens there")


class TestUnixSockets:
    """Whose they are, and who may connect."""

    def test_own_user(self, tmp_path: Path, opened: list[socket.socket]) -> None:
        """By name or number; giving it to its owner is always allowed."""
        user, group = pwd.getpwuid(os.getuid()), grp.getgrgid(os.getgid())
        for number, names in enumerate(
            [(user.pw_name, group.gr_name), (str(user.pw_uid), str(group.gr_gid))]
        ):
            path = tmp_path / str(number)
            endpoint = UnixEndpoint(path=str(path), mode=0o640, user=names[0], group=names[1])
            opened.append(bind_unix(endpoint))
            found = path.stat()
            assert (found.st_uid, found.st_gid) == (user.pw_uid, group.gr_gid)
            assert stat.S_IMODE(found.st_mode) == 0o640

    @pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
    def test_given_away(self, tmp_path: Path, opened: list[socket.socket]) -> None:
        """Root may give it to others."""
        path = tmp_path / "s"
        opened.append(bind_unix(UnixEndpoint(path=str(path), user="12345", group="54321")))
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (12345, 54321)

    @pytest.mark.parametrize(
        ("names", "reason"),
        [
            ({"user": "no-such-user"}, "there is no user 'no-such-user'"),
            ({"group": "no-such-group"}, "there is no group 'no-such-group'"),
        ],
    )
    def test_unknown(self, names: dict[str, str], reason: str, tmp_path: Path) -> None:
        """A name that nobody has stops the start, and leaves no file."""
        path = tmp_path / "s"
        text = refusal(lambda: bind_unix(UnixEndpoint(path=str(path), **names)))  # type: ignore[arg-type]  # only these two
        assert text == f"Cannot listen on {path}: {reason}."
        assert not path.exists()

    def test_not_allowed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """So does one that it may not be given to."""

        def fail(path: object, uid: int, gid: int) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "chown", fail)
        path = tmp_path / "s"
        text = refusal(lambda: bind_unix(UnixEndpoint(path=str(path), user="12", group="34")))
        assert text == (
            f"Cannot listen on {path}: you may not give it to 12:34; only root may, or a member "
            "of the group for a group."
        )
        assert not path.exists()

    def test_closed_until_it_is_ready(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[socket.socket]
    ) -> None:
        """Before it has its owner and permissions, nobody else may connect."""
        seen: list[int] = []
        chown = os.chown

        def look(path: str, uid: int, gid: int) -> None:
            seen.append(stat.S_IMODE(os.stat(path).st_mode))
            chown(path, uid, gid)

        monkeypatch.setattr(os, "chown", look)
        endpoint = UnixEndpoint(path=str(tmp_path / "s"), user=str(os.getuid()))
        opened.append(bind_unix(endpoint))
        (mode,) = seen
        assert mode & 0o077 == 0


def test_inherited_is_not_passed_on(opened: list[socket.socket]) -> None:
    """Programs that the application starts do not get the sockets that it was given."""
    given = socket.create_server(("127.0.0.1", 0))
    given.set_inheritable(True)
    opened.append(inherit(given.detach()))
    assert not opened[0].get_inheritable()
    assert sockets.FIRST_PASSED == 3
