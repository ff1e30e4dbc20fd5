"""What Channels' test case with a server has, and Fairway's, whose server is a thread, has not.

``fairway.compat`` imports this with ``channels.testing``, for test cases that start the process of
their server themselves.
"""

from fairway.compat.shims.daphne.testing import DaphneProcess
from fairway.testing import live

live.ChannelsLiveServerTestCase.ProtocolServerProcess = DaphneProcess
live.DaphneProcess = DaphneProcess  # type: ignore[attr-defined]  # where Channels has it, too
