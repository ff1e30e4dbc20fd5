"""How much one person may send, with the time as an argument."""

from django.test import SimpleTestCase

from chat.flood import Allowance, allowance_of


class AllowanceTests(SimpleTestCase):
    """A burst, and then a steady rate."""

    def test_a_burst_is_free_and_the_rest_is_spread(self) -> None:
        """What comes at once beyond the burst waits, each one a step longer than the last."""
        allowance = Allowance(burst=3, rate=2)
        assert [allowance.take(100.0) for _ in range(6)] == [0, 0, 0, 0.5, 1.0, 1.5]

    def test_who_waited_goes_on_at_the_rate(self) -> None:
        """After each wait the next one is as long."""
        allowance = Allowance(burst=1, rate=2)
        assert [allowance.take(now) for now in (10.0, 10.0, 10.5, 11.0)] == [0, 0.5, 0.5, 0.5]

    def test_silence_is_rewarded_up_to_the_burst(self) -> None:
        """A long silence gives one burst, not more."""
        allowance = Allowance(burst=2, rate=1)
        for now in (0.0, 1000.0):
            assert [allowance.take(now) for _ in range(3)] == [0, 0, 1]

    def test_belongs_to_the_person(self) -> None:
        """All sockets of a person share one, and nothing is kept for those who are gone."""
        first = allowance_of(1)
        assert allowance_of(1) is first
        assert allowance_of(2) is not first
