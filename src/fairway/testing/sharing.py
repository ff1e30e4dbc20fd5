"""One in-memory database for many threads, each with transactions of its own.

An in-memory SQLite database is gone with its connection, so the threads of a live server have to
use the test's. Django's wrapper of a connection also keeps the state of its transactions, for one
thread: shared as it is, requests that run at the same time begin and end each other's. Here the
threads share the connection and not the wrapper, and they take turns: a statement has the
connection to itself, and a transaction has it from its beginning to its end.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

#: Seconds that a thread waits for another one's transaction to end.
PATIENCE: Final = 10.0


class SharedConnection:
    """A connection to an in-memory database, lent to the threads of a server.

    Args:
        original: The test's own wrapper of it.
    """

    def __init__(self, original: BaseDatabaseWrapper) -> None:
        self._original = original
        self._turns = Turns()
        self._undo = contextlib.ExitStack()
        # In a transaction of the test's from the first to the last there is nothing to take turns
        # with: all is part of it.
        self._one_for_all = original.in_atomic_block or original.connection is None

    def open(self) -> None:
        """Let other threads use it from now on."""
        self._original.inc_thread_sharing()
        self._undo.callback(self._original.dec_thread_sharing)
        if not self._one_for_all:
            self._undo.callback(self._take_turns(self._original))

    def close(self) -> None:
        """Give it back to the test alone."""
        self._undo.close()

    def for_this_thread(self) -> BaseDatabaseWrapper:
        """The wrapper that the calling thread is to use."""
        original = self._original
        # Where the test may not use the database, Django has put failures in the place of methods.
        if self._one_for_all or hasattr(original.cursor, "wrapped"):
            return original
        wrapper = original.copy()
        wrapper.inc_thread_sharing()  # nobody closes it at the end of a thread
        wrapper.get_connection_params()  # it also notes how transactions are to begin
        wrapper.connection = original.connection
        wrapper.autocommit = True
        self._take_turns(wrapper)
        return wrapper

    def _take_turns(self, wrapper: Any) -> Callable[[], None]:
        """Let a wrapper wait for its turn; returns what ends that.

        Any, as the methods that begin and end transactions are not public.
        """
        begin, set_autocommit = wrapper._start_transaction_under_autocommit, wrapper._set_autocommit  # noqa: SLF001

        def in_turn(execute: Callable[..., Any], *args: Any) -> Any:
            self._turns.take(wrapper)
            try:
                return execute(*args)
            finally:
                self._turns.give_back(wrapper)

        def begin_in_turn() -> None:
            self._turns.take(wrapper)
            try:
                begin()
            except BaseException:
                self._turns.give_back(wrapper)
                raise

        def end_turn(autocommit: bool) -> None:
            set_autocommit(autocommit)
            # Before the callbacks of on_commit(), which may wait for what other threads do.
            if autocommit and self._turns.has(wrapper):
                self._turns.give_back(wrapper)

        wrapper.execute_wrappers.append(in_turn)
        wrapper._start_transaction_under_autocommit = begin_in_turn  # noqa: SLF001
        wrapper._set_autocommit = end_turn  # noqa: SLF001

        def undo() -> None:
            wrapper.execute_wrappers.remove(in_turn)
            del wrapper._start_transaction_under_autocommit, wrapper._set_autocommit  # noqa: SLF001

        return undo


class Turns:
    """A lock that belongs to an object instead of a thread, and may be taken several times by it.

    A wrapper may itself be lent to another thread, as asynchronous tests do.
    """

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._owner: object = None
        self._count = 0

    def has(self, owner: object) -> bool:
        """Whether it is this object's turn."""
        return self._owner is owner

    def take(self, owner: object) -> None:
        """Wait for this object's turn.

        Raises:
            OperationalError: Another one has had it for ten seconds.
        """
        deadline = time.monotonic() + PATIENCE
        with self._free:
            while self._owner is not None and self._owner is not owner:
                if not self._free.wait(deadline - time.monotonic()):
                    raise OperationalError(
                        f"database is locked: a transaction of another thread has been open for "
                        f"{PATIENCE:g} s. Does it wait for this thread?"
                    )
            self._owner = owner
            self._count += 1

    def give_back(self, owner: object) -> None:
        """End what one :meth:`take` began."""
        with self._free:
            assert self._owner is owner
            self._count -= 1
            if not self._count:
                self._owner = None
                self._free.notify()
