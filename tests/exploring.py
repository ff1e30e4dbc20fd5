"""How many examples Hypothesis tries: the same ones in each run, or many new ones.

``HYPOTHESIS_PROFILE=explore`` looks for new counterexamples; `docs/robustness.md` tells how.
"""

import os
from typing import Any, Final

from hypothesis import settings

#: Examples of a test that does not say how many it wants, as Hypothesis has it.
USUAL: Final = 100
#: How many times as many there are when one explores.
TIMES: Final = 100

# No test depends on speed.
settings.register_profile("fairway", deadline=None, derandomize=True)
# Where CI is set, Hypothesis would try the same ones each time otherwise.
settings.register_profile("explore", deadline=None, derandomize=False, max_examples=USUAL * TIMES)


def load_profile() -> None:
    """Do as the environment says."""
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fairway"))


def examples(count: int, **options: Any) -> settings:
    """The settings of a test that tries ``count`` examples in each run, and more of new ones.

    Args:
        count: In each run.
        options: More of Hypothesis' settings.
    """
    # Hypothesis would let the number of a test win over that of the profile.
    return settings(max_examples=count * settings().max_examples // USUAL, **options)
