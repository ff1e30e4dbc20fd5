"""Named channels, which outlive processes: rows in an SQLite file, beside the sockets."""

import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from fairway.delivery.queue import Lease

logger = logging.getLogger("fairway.layers.local")

#: Seconds to wait for another process that is writing.
BUSY_TIMEOUT: Final = 5.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    payload BLOB NOT NULL,
    due REAL NOT NULL,      -- nobody may have it before
    expires REAL NOT NULL,  -- nobody needs it after
    attempt INTEGER NOT NULL DEFAULT 1,
    ticket TEXT,            -- of who has it on lease
    leased REAL             -- until when
);
CREATE INDEX IF NOT EXISTS message_queue ON message (queue, id);
CREATE INDEX IF NOT EXISTS message_expires ON message (queue, expires);
CREATE TABLE IF NOT EXISTS membership (
    topic TEXT NOT NULL,
    queue TEXT NOT NULL,
    expires REAL NOT NULL,
    PRIMARY KEY (topic, queue)
) WITHOUT ROWID;
"""

#: Waits, or is leased to somebody whose time is over.
_FREE: Final = "queue = :queue AND due <= :now AND (leased IS NULL OR leased <= :now)"


def _due(now: float, delay: float) -> float:
    # What is not for later is for any time: also for one before this, if the clock is set back.
    return now + delay if delay else 0.0


class Row(NamedTuple):
    """A message that was taken, with what is needed to put it back where it was."""

    id: int
    payload: bytes
    expires: float
    attempt: int


class Store:
    """The queues of all processes of a machine. Each method is one transaction.

    For one thread. Times are those of the wall clock, which all processes share and which goes on
    over a restart of the machine.

    Args:
        path: The file; made by the first message.
        file_mode: Its permissions.
        check: Called with the path before it is opened; raises what is wrong with it.
        clock: Seconds since the epoch.
        busy_timeout: Seconds that a call waits while another process is writing, before it raises
            :class:`sqlite3.OperationalError`.
        made: Called with the descriptor of a file that this process has made.

    Attributes:
        path: The file.
        expired: How many messages this process has dropped, as nobody took them in time.
    """

    def __init__(
        self,
        path: Path,
        file_mode: int = 0o600,
        clock: Callable[[], float] = time.time,
        check: Callable[[Path], None] = lambda path: None,
        busy_timeout: float = BUSY_TIMEOUT,
        made: Callable[[int], None] = lambda descriptor: None,
    ) -> None:
        self.path = path
        self._check = check
        self._made = made
        self._file_mode = file_mode
        self._clock = clock
        self._busy_timeout = busy_timeout
        self._database: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self.expired = 0

    @property
    def is_open(self) -> bool:
        """Whether the file is open already."""
        return self._database is not None

    @property
    def exists(self) -> bool:
        """Whether anybody has used it."""
        return self._database is not None or self.path.exists()

    def look_after(self) -> bool:
        """See that what is open is still the file that others find; False if it is not.

        A file that is in use is not to look old to what tidies up directories.
        """
        opened = self._opened
        if opened is None:
            return True
        try:
            status = self.path.stat()
            if (status.st_dev, status.st_ino) != opened:
                return False
            os.utime(self.path)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let go of the file."""
        self._opened = None
        if self._database is not None:
            self._database.close()
            self._database = None

    def _make(self) -> None:
        """Make the file if there is none, with its permissions whatever the umask is.

        SQLite gives those that it makes beside it the same.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            descriptor = os.open(self.path, flags, self._file_mode)
        except FileExistsError:
            return
        try:
            os.fchmod(descriptor, self._file_mode)
            self._made(descriptor)
        finally:
            os.close(descriptor)

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._check(self.path)
            self._make()
            database = sqlite3.connect(
                self.path, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
            )
            try:
                # A killed process loses nothing; a machine that loses power may lose the last
                # moments.
                database.execute("PRAGMA synchronous = OFF")
                database.execute("PRAGMA journal_mode = WAL")
                database.executescript(_SCHEMA)
            except BaseException:
                database.close()
                raise
            self._database = database
            status = self.path.stat()
            self._opened = (status.st_dev, status.st_ino)
        return self._database

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        database = self._open()
        # At once for writing: a transaction that begins with reading cannot wait for its turn.
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:  # some errors have rolled it back already
                database.execute("ROLLBACK")
            raise

    # ------------------------------------------------------------------ messages

    def push(
        self, queue: str, payload: bytes, capacity: int, expiry: float, delay: float = 0.0
    ) -> bool:
        """Add a message; False when the queue is full."""
        now = self._clock()
        with self._transaction() as database:
            if self._may_be_full(database, queue, capacity):
                self._drop_expired(database, queue, now)
                (waiting,) = database.execute(
                    "SELECT count(*) FROM message "
                    "WHERE queue = ? AND (leased IS NULL OR leased <= ?)",
                    (queue, now),
                ).fetchone()
                if waiting >= capacity:
                    return False
            database.execute(
                "INSERT INTO message (queue, payload, due, expires) VALUES (?, ?, ?, ?)",
                (queue, payload, _due(now, delay), now + delay + expiry),
            )
        return True

    def _may_be_full(self, database: sqlite3.Connection, queue: str, capacity: int) -> bool:
        """Whether it is worth counting, which takes long where the capacity is large.

        Numbers are given once for all queues: from the first to the last of one there are at least
        as many as it has messages.
        """
        first, last = database.execute(
            "SELECT (SELECT min(id) FROM message WHERE queue = :queue), "
            "(SELECT max(id) FROM message WHERE queue = :queue)",
            {"queue": queue},
        ).fetchone()
        return first is not None and last - first + 1 >= capacity

    def pop(self, queue: str, limit: int) -> list[Row]:
        """Take the next messages for good, at most ``limit``, if there are any."""
        rows: list[Row] = []
        with self._transaction() as database:
            while len(rows) < limit and (row := self._next(database, queue)) is not None:
                database.execute("DELETE FROM message WHERE id = ?", (row.id,))
                rows.append(row)
        return rows

    def put_back(self, queue: str, rows: list[Row]) -> None:
        """Undo :meth:`pop`: nobody has seen the messages."""
        with self._transaction() as database:
            database.executemany(
                "INSERT INTO message (id, queue, payload, due, expires, attempt) "
                "VALUES (?, ?, ?, 0, ?, ?)",
                [(row.id, queue, row.payload, row.expires, row.attempt) for row in rows],
            )

    def lease(self, queue: str, seconds: float) -> Lease | None:
        """Take the next message for some time, if there is one."""
        with self._transaction() as database:
            row = self._next(database, queue)
            if row is None:
                return None
            ticket = f"{row.id}:{secrets.token_hex(8)}"
            database.execute(
                "UPDATE message SET ticket = ?, leased = ?, attempt = ? WHERE id = ?",
                (ticket, self._clock() + seconds, row.attempt, row.id),
            )
        return Lease(ticket, row.payload, row.attempt)

    def unlease(self, ticket: str) -> bool:
        """Undo :meth:`lease`: nobody has seen the message, so this was no attempt."""
        return self._change(
            "UPDATE message SET ticket = NULL, leased = NULL WHERE ticket = ?", (ticket,)
        )

    def extend(self, ticket: str, seconds: float) -> bool:
        """Keep a leased message; False when its lease had run out."""
        return self._change(
            "UPDATE message SET leased = ? WHERE ticket = ? AND leased > ?",
            (self._clock() + seconds, ticket, self._clock()),
        )

    def acknowledge(self, ticket: str) -> bool:
        """Be done with a leased message; False as above."""
        return self._change(
            "DELETE FROM message WHERE ticket = ? AND leased > ?", (ticket, self._clock())
        )

    def give_back(self, ticket: str, expiry: float, delay: float = 0.0) -> bool:
        """Put a leased message back to its place, for now or for later; False as above."""
        now = self._clock()
        return self._change(
            "UPDATE message SET ticket = NULL, leased = NULL, attempt = attempt + 1, due = ?, "
            "expires = max(expires, ?) WHERE ticket = ? AND leased > ?",
            (_due(now, delay), now + delay + expiry, ticket, now),
        )

    def next_due(self, queue: str) -> float | None:
        """Seconds until there is something to take; None if nothing waits for its time."""
        (due,) = (
            self._open()
            .execute(
                "SELECT min(max(due, coalesce(leased, 0))) FROM message WHERE queue = ?", (queue,)
            )
            .fetchone()
        )
        return None if due is None else max(due - self._clock(), 0.0)

    def flush(self) -> None:
        """Forget every message and every membership."""
        if self.exists:
            with self._transaction() as database:
                database.execute("DELETE FROM message")
                database.execute("DELETE FROM membership")

    def count(self, queue: str) -> int:
        """How many messages wait in a queue, those for later among them, those on lease not."""
        if not self.exists:
            return 0
        (waiting,) = (
            self._open()
            .execute(
                "SELECT count(*) FROM message WHERE queue = :queue "
                "AND (leased <= :now OR leased IS NULL AND expires > :now)",
                {"queue": queue, "now": self._clock()},
            )
            .fetchone()
        )
        return int(waiting)

    def counts(self) -> tuple[int, int]:
        """How many queues hold messages, and how many messages in all."""
        if not self.exists:
            return 0, 0
        row: tuple[int, int] = (
            self._open().execute("SELECT count(DISTINCT queue), count(*) FROM message").fetchone()
        )
        return row

    def _next(self, database: sqlite3.Connection, queue: str) -> Row | None:
        now = self._clock()
        row = self._first(database, queue, now)
        if row is not None and row.expires <= now and self._drop_expired(database, queue, now):
            row = self._first(database, queue, now)
        return row

    def _first(self, database: sqlite3.Connection, queue: str, now: float) -> Row | None:
        found = database.execute(
            "SELECT id, payload, expires, attempt + (leased IS NOT NULL) FROM message "  # noqa: S608
            f"WHERE {_FREE} ORDER BY id LIMIT 1",
            {"queue": queue, "now": now},
        ).fetchone()
        return None if found is None else Row(*found)

    def _drop_expired(self, database: sqlite3.Connection, queue: str, now: float) -> int:
        dropped = database.execute(
            "DELETE FROM message WHERE queue = ? AND expires <= ? AND leased IS NULL", (queue, now)
        ).rowcount
        if dropped:
            self.expired += dropped
            logger.warning(
                "Channel %s: %d messages were dropped, since nobody received them in time "
                "('expiry').",
                queue,
                dropped,
            )
        return dropped

    def _change(self, statement: str, values: tuple[object, ...]) -> bool:
        with self._transaction() as database:
            return database.execute(statement, values).rowcount > 0

    # ------------------------------------------------------------------ memberships

    def adopt(self, topic: str, queue: str, expiry: float) -> None:
        """Make a queue a member of a topic."""
        with self._transaction() as database:
            database.execute("DELETE FROM membership WHERE expires <= ?", (self._clock(),))
            database.execute(
                "INSERT OR REPLACE INTO membership VALUES (?, ?, ?)",
                (topic, queue, self._clock() + expiry),
            )

    def release(self, topic: str, queue: str) -> None:
        """End the membership of a queue."""
        self._change("DELETE FROM membership WHERE topic = ? AND queue = ?", (topic, queue))

    def members(self) -> dict[str, dict[str, float]]:
        """The queues in each topic, and until when they are."""
        found: dict[str, dict[str, float]] = {}
        if self.exists:
            rows = self._open().execute(
                "SELECT topic, queue, expires FROM membership WHERE expires > ?", (self._clock(),)
            )
            for topic, queue, expires in rows:
                found.setdefault(topic, {})[queue] = expires
        return found
