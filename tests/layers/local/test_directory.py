"""Directory: where the processes of one machine find each other."""

import errno
import logging
import os
import secrets
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers.local import directory as module
from fairway.layers.local.directory import (
    MAX_SOCKET_PATH,
    Directory,
    default_path,
    has_own_tmp,
    peer_uid,
    user_name,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mesh"


class TestPath:
    def test_named_from_project_and_user(self) -> None:
        """Each project and each user have one of their own, whatever the environment says."""
        path = default_path("a project")
        assert path.name.startswith("fairway-")
        assert path.name.endswith(f"-{user_name()}")
        assert path == default_path("a project")
        assert path != default_path("another project")

    def test_environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A service and a terminal of one user meet, though their environments differ."""
        path = default_path("a project")
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        assert default_path("a project") == path

    def test_nowhere_to_write(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In a container without any directory to write to, it is named all the same."""
        path = default_path("a project")
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        monkeypatch.setattr(tempfile, "tempdir", None)
        monkeypatch.setattr(tempfile, "_get_default_tempdir", _no_directory)
        assert default_path("a project") == path

    def test_user_without_a_name(self) -> None:
        """Containers run users that no file names."""
        assert user_name(4_000_000) == "4000000"


def _no_directory() -> None:
    raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in [...]")


def _let_belong(path: Path, uid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a directory belong to a user, and this process be a root that may give nothing away."""
    stat_of = Path.stat

    def owned(which: Path, **options: bool) -> os.stat_result:
        status = stat_of(which, **options)
        return os.stat_result((*status[:4], uid, *status[5:])) if which == path else status

    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "stat", owned)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "lchown", refuse)


class TestPreparing:
    def test_made_private(self, path: Path) -> None:
        """It is made, for its owner alone, whatever the umask is."""
        old = os.umask(0)
        try:
            Directory(path).prepare()
        finally:
            os.umask(old)
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        Directory(path).prepare()  # and found

    def test_for_a_group(self, path: Path) -> None:
        """A mode may let in the users of a group, to which belongs what each of them makes."""
        old = os.umask(0o077)
        try:
            Directory(path, 0o770, shared=True).prepare()
        finally:
            os.umask(old)
        assert stat.S_IMODE(path.stat().st_mode) == 0o2770

    def test_of_a_group_that_would_have_nothing(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Where files get the groups of those who make them, the log says how to change that."""
        path.mkdir()
        path.chmod(0o770)
        directory = Directory(path, 0o770, shared=True)
        directory.prepare()  # its group is this process's own
        assert caplog.messages == []
        monkeypatch.setattr(os, "getegid", lambda: 4_000_000)
        directory.prepare()
        (warning,) = caplog.messages
        assert warning == (
            f"What user {user_name()} makes in the directory {path} of the local channel layer "
            "does not belong to its group, whose other users cannot reach it. "
            f"Do: chmod g+s {path}"
        )
        path.chmod(0o2770)
        directory.prepare()
        assert len(caplog.messages) == 1

    @pytest.mark.parametrize(
        ("make", "why"),
        [
            (lambda path: path.touch(), "is no directory"),
            (
                lambda path: path.symlink_to(path.parent),
                "is a symbolic link, which its owner could turn; name its target",
            ),
            (
                lambda path: (path.mkdir(), path.chmod(0o755)),
                "has mode 755, which lets in others than 700 does",
            ),
        ],
    )
    def test_unusable(self, path: Path, make: object, why: str) -> None:
        """What somebody else put there is not used, and the error says why and what to do."""
        make(path)  # type: ignore[operator]  # one of the lambdas
        with pytest.raises(ChannelLayerUnavailable) as caught:
            Directory(path).prepare()
        assert str(caught.value) == (
            f"The directory {path} of the local channel layer {why}. "
            "('path' and 'mode' in CONFIG choose another.)"
        )

    def test_too_long(self, tmp_path: Path) -> None:
        """A path that no Unix socket can have is refused with its length."""
        path = tmp_path / ("x" * MAX_SOCKET_PATH)
        with pytest.raises(ChannelLayerUnavailable, match=r"is too long: .* may have 10[37]"):
            Directory(path).prepare()

    def test_not_writable(self) -> None:
        """A place where nothing can be made is named."""
        with pytest.raises(ChannelLayerUnavailable, match=r"/proc/mesh .* cannot be made: "):
            Directory(Path("/proc/mesh")).prepare()

    def test_of_another_user(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A directory of another user is not used, or used with a warning if it was asked for."""
        path.mkdir(0o700)
        owner = user_name(path.stat().st_uid)
        monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
        with pytest.raises(
            ChannelLayerUnavailable, match=f"belongs to user {owner}, and this process is 4000000"
        ):
            Directory(path).prepare()
        Directory(path, shared=True).prepare()
        (warning,) = caplog.messages
        assert warning == (
            f"The directory {path} of the local channel layer belongs to user {owner}; this "
            "process runs as 4000000."
        )

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    def test_made_by_another_user_for_root(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Root may write anywhere, but does not trust what somebody else has prepared."""
        path.mkdir(0o700)
        os.chown(path, 4_000_000, -1)
        with pytest.raises(ChannelLayerUnavailable, match="belongs to user 4000000, and this"):
            Directory(path).prepare()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    @pytest.mark.parametrize(
        ("make", "who"),
        [
            (lambda path: path.chmod(0o666), f"of user {user_name()} and mode 666"),
            (lambda path: os.chown(path, 4_000_000, -1), "of user 4000000 and mode 600"),
        ],
    )
    def test_file_of_another_user(self, path: Path, make: object, who: str) -> None:
        """A file that others could have made, to read or to forge jobs, is not used."""
        directory = Directory(path)
        directory.prepare()
        file = path / "queues.sqlite3"
        directory.check_file(file)  # nothing is there
        file.touch(0o600)
        directory.check_file(file)
        make(file)  # type: ignore[operator]  # one of the lambdas
        with pytest.raises(ChannelLayerUnavailable, match=f"holds queues.sqlite3, {who}, which"):
            directory.check_file(file)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    def test_file_of_another_user_of_the_group(self, path: Path) -> None:
        """Where the directory is for a group, any of its users may have made the file."""
        directory = Directory(path, 0o770, shared=True)
        directory.prepare()
        file = path / "queues.sqlite3"
        file.touch()
        file.chmod(0o660)
        os.chown(file, 4_000_000, -1)
        directory.check_file(file)
        file.chmod(0o666)
        with pytest.raises(ChannelLayerUnavailable, match="of user 4000000 and mode 666, which"):
            directory.check_file(file)

    def test_own_tmp(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The trap of a unit with PrivateTmp=yes, which nobody outside of it can meet."""
        monkeypatch.setattr(module, "has_own_tmp", lambda: True)
        name = f"fairway-{secrets.token_hex(6)}-{user_name()}"
        for directory in (Directory(Path("/tmp") / name), Directory(Path("/var/tmp") / name)):
            directory.prepare()
            directory.leave()
        (warning,) = caplog.messages
        assert warning == (
            "systemd gives this service a /tmp of its own (PrivateTmp=yes), in which nobody "
            "else looks for the local channel layer: neither other services nor your shell are "
            "reached. Set 'path' of LocalChannelLayer to a directory elsewhere."
        )

    @pytest.mark.parametrize(
        ("line", "own"),
        [
            (
                "341 308 0:64 /systemd-private-42ae-web.service-5a/tmp /tmp rw - tmpfs tmpfs rw",
                True,
            ),
            ("244 110 254:0 /tmp/systemd-private-42ae-web.service-5a/tmp /tmp rw - ext4 x", True),
            ("342 309 0:65 /tmp/systemd-private-42ae-web.service-aE/tmp /var/tmp rw - t t", False),
            ("308 278 0:64 / /tmp rw,nosuid shared:42 - tmpfs tmpfs rw", False),
            ("", False),
        ],
    )
    def test_mounts(self, tmp_path: Path, line: str, own: bool) -> None:
        """The system's list of what is mounted tells whose /tmp it is."""
        mounts = tmp_path / "mountinfo"
        assert not has_own_tmp(mounts)
        mounts.write_text(f"22 1 254:0 / / rw - ext4 /dev/vda rw\n{line}\n")
        assert has_own_tmp(mounts) is own

    def test_processes_of_another_user(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The trap of a site that runs as one user, and a command that is tried as another."""
        (tmp_path / "fairway-0123-www-data").mkdir()
        (tmp_path / "fairway-4567-www-data").mkdir()  # of another project
        Directory(tmp_path / f"fairway-0123-{user_name()}").prepare()
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert record.getMessage() == (
            "Processes of this project run as user www-data, too, and this one runs as "
            f"{user_name()}: they do not reach each other. Run them as one user, or set 'path' "
            "and 'mode' of LocalChannelLayer for a group of users."
        )


class TestSockets:
    def test_found_when_listening(self, path: Path) -> None:
        """Whoever finds a socket can connect to it."""
        directory = Directory(path)
        directory.prepare()
        listener, where = directory.new_socket()
        assert list(directory.sockets()) == [where]
        assert stat.S_IMODE(where.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(where))
        listener.close()
        directory.remove(where)
        directory.remove(where)
        assert list(directory.sockets()) == []

    def test_root_without_its_rights(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A container's root that may not give files away leaves none that their owner lacks."""
        directory = Directory(path, shared=True)
        directory.prepare()
        _let_belong(path, 4_000_000, monkeypatch)
        with pytest.raises(ChannelLayerUnavailable) as caught:
            directory.new_socket()
        assert str(caught.value) == (
            f"The directory {path} of the local channel layer belongs to user 4000000, and "
            "this process may not give away what it makes there (Operation not permitted). Run it "
            "as that user. ('path' and 'mode' in CONFIG choose another.)"
        )
        assert list(path.iterdir()) == []

    def test_root_without_a_group(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is a container's root's own stays so, though it has no number for its group."""
        directory = Directory(path, shared=True)
        directory.prepare()
        _let_belong(path, 0, monkeypatch)
        listener, where = directory.new_socket()
        listener.close()
        assert list(directory.sockets()) == [where]

    def test_root_without_its_rights_in_a_group(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the directory is for a group, its users reach what such a root makes there."""
        directory = Directory(path, 0o770, shared=True)
        directory.prepare()
        _let_belong(path, 4_000_000, monkeypatch)
        listener, where = directory.new_socket()
        listener.close()
        assert list(directory.sockets()) == [where]

    def test_left(self, path: Path) -> None:
        """The last one to leave removes it, unless messages wait in it; the next makes it again."""
        directory = Directory(path)
        directory.prepare()
        file = path / "queues.sqlite3"
        file.touch()
        directory.leave()
        assert file.exists()
        file.unlink()
        directory.leave()
        assert not path.exists()
        listener, where = directory.new_socket()
        assert list(directory.sockets()) == [where]
        listener.close()

    def test_who_is_there(self) -> None:
        """The system tells which user is at the other end."""
        here, there = socket.socketpair(socket.AF_UNIX)
        with here, there:
            assert peer_uid(here) == os.geteuid()

    def test_strangers(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Another user's process is refused where the directory is private."""
        monkeypatch.setattr(module, "peer_uid", lambda connection: 4_000_000)
        here, there = socket.socketpair(socket.AF_UNIX)
        with here, there:
            assert not Directory(path).may_speak(here)
            assert Directory(path, 0o770).may_speak(here)
        (error,) = caplog.messages
        assert error == (
            f"A process of user 4000000 connected to {path}, which is private to {user_name()}; "
            "it was refused."
        )
