"""How often a client may do what costs the server more than the client."""

from fairway.wire.http2_budget import PERIOD, Budget


class TestBudget:
    """A number of things in a stretch of time."""

    def test_at_once(self) -> None:
        """All of it may be spent in one moment, and no more."""
        budget = Budget(3)
        assert [budget.spend(5.0) for _ in range(4)] == [True, True, True, False]

    def test_comes_back(self) -> None:
        """What was spent comes back evenly."""
        budget = Budget(4)
        for _ in range(4):
            assert budget.spend(100.0)
        assert budget.spend(100.0 + PERIOD / 4)
        assert not budget.spend(100.0 + PERIOD / 4)

    def test_never_more_than_all(self) -> None:
        """A long silence saves nothing up."""
        budget = Budget(2)
        assert [budget.spend(1e6) for _ in range(3)] == [True, True, False]

    def test_refund(self) -> None:
        """What the server explains is given back, and never more than there was."""
        budget = Budget(2)
        budget.refund(10)
        assert budget.spend(1.0)
        assert budget.spend(1.0)
        budget.refund(1)
        assert budget.spend(1.0)
        assert not budget.spend(1.0)

    def test_none(self) -> None:
        """0 is no limit."""
        budget = Budget(0)
        assert all(budget.spend(1.0) for _ in range(1000))
        budget.refund(1)
