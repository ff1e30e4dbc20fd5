"""What holds for all tests."""

import os

from hypothesis import settings

# Examples are the same in each run, and no test depends on speed. To look for new counterexamples:
# HYPOTHESIS_PROFILE=explore make test ARGS="-k fuzz"
settings.register_profile("fairway", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fairway"))
