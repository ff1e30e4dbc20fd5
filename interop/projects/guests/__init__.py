"""Packages built on Channels, with Fairway in its place: a module with a small site for each.

The one line of a project on Channels that changes is here, as this is imported before all else.
"""

import fairway.compat

fairway.compat.install()
