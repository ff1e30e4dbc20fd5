"""Threads that share an in-memory database take turns, and have transactions of their own."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connections, transaction
from django.test import TestCase, TransactionTestCase

import fairway.testing.sharing
from fairway.testing.sharing import SharedConnection, Turns


class TestSharedConnection(TransactionTestCase):
    """With the test's thread, and one of a server's."""

    def setUp(self) -> None:
        self.shared = SharedConnection(connections["default"])
        self.shared.open()
        self.addCleanup(self.shared.close)
        self.thread = self.enterContext(ThreadPoolExecutor(1, initializer=self.use))

    def use(self) -> None:
        connections["default"] = self.shared.for_this_thread()

    def run_in_thread(self, function: Callable[[], Any]) -> Any:
        return self.thread.submit(function).result(timeout=60)

    def test_both_see_the_same(self) -> None:
        """It is one database, without a copy or a commit."""
        User.objects.create(username="test")
        self.run_in_thread(lambda: User.objects.create(username="thread"))
        assert self.run_in_thread(User.objects.count) == 2
        assert User.objects.count() == 2

    def test_a_transaction_has_the_connection_to_itself(self) -> None:
        """What another thread does in the meantime waits, and is no part of what is rolled back."""
        asked = threading.Event()

        def add() -> bool:
            asked.set()
            User.objects.create(username="thread")
            return connections["default"].in_atomic_block

        with transaction.atomic():
            User.objects.create(username="test")
            future = self.thread.submit(add)
            assert asked.wait(timeout=60)
            assert User.objects.count() == 1
            transaction.set_rollback(True)
        assert future.result(timeout=60) is False
        assert list(User.objects.values_list("username", flat=True)) == ["thread"]

    def test_transactions_of_two_threads(self) -> None:
        """One begins when the other has ended; nested ones belong to their own."""

        def add() -> None:
            with transaction.atomic():
                User.objects.create(username="thread")
                with transaction.atomic():
                    User.objects.create(username="nested")

        with transaction.atomic():
            future = self.thread.submit(add)
            with transaction.atomic():
                User.objects.create(username="test")
        future.result(timeout=60)
        assert User.objects.count() == 3

    def test_callbacks_of_commits_keep_nobody_waiting(self) -> None:
        """What runs ``on_commit`` may wait for another thread's use of the database."""
        counted = []
        with transaction.atomic():
            User.objects.create(username="test")
            transaction.on_commit(lambda: counted.append(self.run_in_thread(User.objects.count)))
        assert counted == [1]

    def test_who_waits_for_oneself_is_told(self) -> None:
        """A transaction that waits for another thread's turn ends in an error, not in a hang."""
        with (
            mock.patch.object(fairway.testing.sharing, "PATIENCE", 0.01),
            transaction.atomic(),
            pytest.raises(OperationalError) as caught,
        ):
            self.run_in_thread(User.objects.count)
        assert str(caught.value) == (
            "database is locked: a transaction of another thread has been open for 0.01 s. "
            "Does it wait for this thread?"
        )

    def test_a_beginning_that_fails_takes_no_turn(self) -> None:
        """A transaction that cannot begin leaves the others to go on."""
        connections["default"].cursor().execute("BEGIN")
        with pytest.raises(OperationalError, match="within a transaction"), transaction.atomic():
            pass
        connections["default"].cursor().execute("ROLLBACK")
        assert self.run_in_thread(User.objects.count) == 0

    def test_after_a_test_that_could_not_use_the_database(self) -> None:
        """What Django leaves on the wrapper after such a test changes nothing."""
        connection: Any = connections["default"]
        connection.cursor = connection.cursor  # Django puts the method back where none was
        self.addCleanup(delattr, connection, "cursor")
        assert self.run_in_thread(lambda: connections["default"]) is not connection
        assert self.shared.for_this_thread() is not connection

    def test_nothing_is_left_on_the_tests_connection(self) -> None:
        """After the server's end the wrapper is what it was."""
        connection = connections["default"]
        wrappers = list(connection.execute_wrappers)
        self.shared.close()
        assert connection.execute_wrappers == wrappers[:-1]
        assert "_set_autocommit" not in vars(connection)
        assert not connection.allow_thread_sharing


class TestInATransaction(TestCase):
    def test_all_is_part_of_it(self) -> None:
        """Inside a test's own transaction there is one wrapper for all threads."""
        shared = SharedConnection(connections["default"])
        shared.open()
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(shared.for_this_thread).result() is connections["default"]
        shared.close()


class TestForbidden(TransactionTestCase):
    databases: set[str] = set()

    def test_a_database_that_the_test_may_not_use(self) -> None:
        """What Django forbids the test is forbidden to the threads of its server."""
        shared = SharedConnection(connections["default"])
        shared.open()
        self.addCleanup(shared.close)
        with ThreadPoolExecutor(1) as thread:
            found = thread.submit(shared.for_this_thread).result()
        assert found is connections["default"]


class TestTurns:
    def test_an_owner_may_take_several(self) -> None:
        """They are given back one by one."""
        turns, owner = Turns(), object()
        turns.take(owner)
        turns.take(owner)
        turns.give_back(owner)
        assert turns.has(owner)
        turns.give_back(owner)
        assert not turns.has(owner)

    def test_the_owner_is_no_thread(self) -> None:
        """A wrapper that is lent to another thread keeps its turn there."""
        turns, owner = Turns(), object()
        turns.take(owner)
        with ThreadPoolExecutor(1) as thread:
            thread.submit(turns.take, owner).result(timeout=60)
            thread.submit(turns.give_back, owner).result(timeout=60)
        assert turns.has(owner)
