"""Rewrites a project that was written for Channels, Daphne and channels_redis for Fairway.

``python -m fairway.compat.migrate`` does it from the command line and imports nothing of the
project, so that it also works where the project does not; ``manage.py fairway_migrate`` does the
same. What is not understood is left as it is, with a note. Nothing of Django is used here.
"""

from fairway.compat.migrate.edits import Note, Rewritten
from fairway.compat.migrate.project import Change, Plan, make_plan, write

__all__ = ["Change", "Note", "Plan", "Rewritten", "make_plan", "write"]
