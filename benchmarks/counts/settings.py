"""The benchmarks' project, with a database in ``COUNTS_PLACE`` for who is logged in."""

import os
from pathlib import Path

from project.settings import *  # noqa: F403  what is served is the same

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(Path(os.environ["COUNTS_PLACE"]) / "database.sqlite3"),
    }
}
