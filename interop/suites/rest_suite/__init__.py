"""What the tests of ``djangochannelsrestframework`` need and its source distribution leaves out.

Before anything else, Fairway takes the place of Channels.
"""

import fairway.compat

fairway.compat.install()
