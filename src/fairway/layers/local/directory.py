"""The private directory in which the processes of one machine find each other."""

import contextlib
import hashlib
import logging
import os
import pwd
import re
import secrets
import socket
import stat
import struct
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from fairway import native
from fairway.exceptions import ChannelLayerUnavailable

logger = logging.getLogger("fairway.layers.local")

SOCKET_SUFFIX: Final = ".sock"
#: Who may look into the directory, unless told otherwise: its owner.
PRIVATE: Final = 0o700
#: The longest path that a Unix socket may have, in bytes: sockaddr_un(7), less its final zero.
MAX_SOCKET_PATH: Final = 103 if sys.platform == "darwin" else 107

_NAME_SIZE: Final = 16 + len(SOCKET_SUFFIX)


def default_path(project: str) -> Path:
    """Where the processes of a project meet, if they run as one user.

    The same for a service, a terminal and a cron job of that user, so neither ``TMPDIR`` nor
    ``XDG_RUNTIME_DIR`` counts, which these set differently.

    Args:
        project: What tells this project's layer from others on the machine.
    """
    root = Path("/tmp")  # noqa: S108
    if not os.access(root, os.W_OK):
        with contextlib.suppress(FileNotFoundError):  # nor is any other: preparing it says so
            root = Path(tempfile.gettempdir())
    return root / f"fairway-{_digest(project)}-{_safe(user_name())}"


def user_name(uid: int | None = None) -> str:
    """The name of a user (by default of this process's), or the number where it has none."""
    uid = os.geteuid() if uid is None else uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # as in many containers
        return str(uid)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)[:24]


class Directory:
    """The directory: made, checked and read.

    Args:
        path: Where it is.
        mode: Its permissions; those of the group let the processes of several users meet.
        shared: Its path was chosen by somebody, and not derived from the user's name.
    """

    def __init__(self, path: Path, mode: int = PRIVATE, *, shared: bool = False) -> None:
        self.path = path
        self.mode = mode
        self._shared = shared

    @property
    def file_mode(self) -> int:
        """The permissions of what is in it."""
        return self.mode & 0o666

    def prepare(self) -> None:
        """Make it if need be, and see that it is as private as it should be.

        Raises:
            ChannelLayerUnavailable: It cannot be used; the message says why, and what to do.
        """
        self._check_length()
        try:
            self.path.mkdir(mode=self.mode, parents=self._shared)
            # Whatever the umask is; and what is made in it belongs to its group.
            self.path.chmod(self.mode | (stat.S_ISGID if self._for_a_group else 0))
        except FileExistsError:
            pass
        except OSError as error:
            raise self._unusable(f"cannot be made: {error.strerror}") from error
        self._check_owner(self.path.lstat())
        self._warn_of_others()

    def new_socket(self, name: str | None = None) -> tuple[socket.socket, Path]:
        """A listening socket, by default of a new name; nobody finds it before it listens."""
        try:
            return self._bind(name)
        except FileNotFoundError:  # whoever was here last has just removed the directory
            self.prepare()
            return self._bind(name)

    def _bind(self, name: str | None) -> tuple[socket.socket, Path]:
        path = self.path / f"{name or secrets.token_hex(8)}{SOCKET_SUFFIX}"
        hidden = path.with_suffix(".new")
        listener = native.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(hidden))
            hidden.chmod(self.file_mode)
            self.hand_over(hidden)
            listener.listen(1024)
            listener.setblocking(False)
            hidden.rename(path)
        except FileNotFoundError:
            listener.close()
            raise
        except OSError as error:
            listener.close()
            hidden.unlink(missing_ok=True)
            raise self._unusable(f"takes no socket: {error.strerror}") from error
        except ChannelLayerUnavailable:  # it cannot be handed over
            listener.close()
            hidden.unlink()
            raise
        return listener, path

    def sockets(self) -> Iterator[Path]:
        """The sockets of other processes, those of killed ones included."""
        return self.path.glob(f"*{SOCKET_SUFFIX}")

    def is_socket(self, path: Path) -> bool:
        """Whether a socket is still to be found."""
        try:
            return stat.S_ISSOCK(path.lstat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def remove(self, path: Path) -> None:
        """Remove a socket's file, of this process or of one that was killed."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()

    def leave(self) -> None:
        """Remove the directory, if this process was the last one and no message waits in it.

        Not one that somebody has chosen, and perhaps made.
        """
        if not self._shared:
            with contextlib.suppress(OSError):
                self.path.rmdir()

    @property
    def _for_a_group(self) -> bool:
        return bool(self.mode & stat.S_IWGRP)

    def hand_over(self, made: Path | int) -> None:
        """Let what root has made here belong to whom the directory belongs to.

        Else one command that is run as root takes the layer away from the site.

        Args:
            made: Its path, or a descriptor of it.

        Raises:
            ChannelLayerUnavailable: This root may not, and whom the directory belongs to could not
                use what it makes.
        """
        if os.geteuid() != 0:
            return
        status = self.path.stat()
        chown = partial(os.fchown, made) if isinstance(made, int) else partial(os.lchown, made)
        with contextlib.suppress(OSError):  # a container's root has no number for every group
            chown(-1, status.st_gid)
        try:
            if status.st_uid != 0:
                chown(status.st_uid, -1)
        except OSError as error:  # nor for every user, nor always CAP_CHOWN
            if not self._for_a_group:
                raise self._unusable(
                    f"belongs to user {user_name(status.st_uid)}, and this process may not give "
                    f"away what it makes there ({error.strerror}). Run it as that user"
                ) from error

    def check_file(self, path: Path) -> None:
        """See that a file was made by someone this is for, and is as private as it should be.

        Raises:
            ChannelLayerUnavailable: It was not, or is not.
        """
        try:
            status = path.lstat()
        except FileNotFoundError:
            return
        trusted = self._for_a_group or status.st_uid in self._trusted()
        too_open = stat.S_IMODE(status.st_mode) & ~self.file_mode & 0o777
        if not stat.S_ISREG(status.st_mode) or not trusted or too_open:
            raise self._unusable(
                f"holds {path.name}, of user {user_name(status.st_uid)} and mode "
                f"{stat.S_IMODE(status.st_mode):o}, which others could have made; remove it"
            )

    def may_speak(self, connection: socket.socket) -> bool:
        """Whether the process at the other end is one that this directory is for.

        The directory's permissions have let it in already. This is for a private directory on a
        system that does not check them for sockets.
        """
        uid = peer_uid(connection)
        if uid is None or self.mode & 0o077 or uid in self._trusted():
            return True
        logger.error(
            "A process of user %s connected to %s, which is private to %s; it was refused.",
            user_name(uid),
            self.path,
            user_name(),
        )
        return False

    def _trusted(self) -> set[int]:
        """The users who may do here what they like anyway."""
        users = {0, os.geteuid()}
        with contextlib.suppress(FileNotFoundError):  # removed while it was in use
            users.add(self.path.stat().st_uid)
        return users

    def _check_length(self) -> None:
        longest = len(os.fsencode(self.path)) + 1 + _NAME_SIZE
        if longest > MAX_SOCKET_PATH:
            raise self._unusable(
                f"is too long: with a socket's name in it, it has {longest} bytes, and a Unix "
                f"socket's path may have {MAX_SOCKET_PATH}. Set 'path' to a shorter one"
            )

    def _check_owner(self, status: os.stat_result) -> None:
        if stat.S_ISLNK(status.st_mode):
            raise self._unusable("is a symbolic link, which its owner could turn; name its target")
        if not stat.S_ISDIR(status.st_mode):
            raise self._unusable("is no directory")
        self._check_user(status)
        too_open = stat.S_IMODE(status.st_mode) & ~self.mode & 0o777
        if too_open:
            raise self._unusable(
                f"has mode {stat.S_IMODE(status.st_mode):o}, which lets in others than "
                f"{self.mode:o} does"
            )
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise self._unusable(f"is not writable for user {user_name()}")

    def _check_user(self, status: os.stat_result) -> None:
        owner = user_name(status.st_uid)
        if status.st_uid != os.geteuid():
            # Root may write anywhere, but whoever owns the directory decides what is in it.
            if not self._shared:
                raise self._unusable(f"belongs to user {owner}, and this process is {user_name()}")
            logger.warning(
                "The directory %s of the local channel layer belongs to user %s; this process "
                "runs as %s.",
                self.path,
                owner,
                user_name(),
            )
        inherited = status.st_mode & stat.S_ISGID or status.st_gid == os.getegid()
        if self._for_a_group and not inherited:
            logger.warning(
                "What user %s makes in the directory %s of the local channel layer does not belong "
                "to its group, whose other users cannot reach it. Do: chmod g+s %s",
                user_name(),
                self.path,
                self.path,
            )

    def _warn_of_others(self) -> None:
        """The traps: a service has a /tmp of its own; a command is tried as another user."""
        if self._shared:
            return
        if self.path.parent == Path("/tmp") and has_own_tmp():  # noqa: S108
            logger.warning(
                "systemd gives this service a /tmp of its own (PrivateTmp=yes), in which nobody "
                "else looks for the local channel layer: neither other services nor your shell are "
                "reached. Set 'path' of LocalChannelLayer to a directory elsewhere."
            )
        prefix = self.path.name.removesuffix(_safe(user_name()))
        for other in self.path.parent.glob(f"{prefix}*"):
            if other == self.path:
                continue
            logger.warning(
                "Processes of this project run as user %s, too, and this one runs as %s: they do "
                "not reach each other. Run them as one user, or set 'path' and 'mode' of "
                "LocalChannelLayer for a group of users.",
                other.name.removeprefix(prefix),
                user_name(),
            )

    def _unusable(self, why: str) -> ChannelLayerUnavailable:
        return ChannelLayerUnavailable(
            f"The directory {self.path} of the local channel layer {why}. "
            "('path' and 'mode' in CONFIG choose another.)"
        )


def has_own_tmp(mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether /tmp is one that systemd has made for this service alone.

    Args:
        mounts: What is mounted where, as proc_pid_mountinfo(5) has it: the fourth field of a line
            is the directory that is mounted, and the fifth one where that is.
    """
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:  # not on Linux
        return False
    return any(
        fields[4:5] == ["/tmp"] and "/systemd-private-" in fields[3]  # noqa: S108
        for fields in map(str.split, lines)
    )


def peer_uid(connection: socket.socket) -> int | None:
    """The user of the process at the other end of a Unix socket; None where nobody tells."""
    if hasattr(socket, "SO_PEERCRED"):
        data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        uid: int = struct.unpack("3i", data)[1]
        return uid
    return None
