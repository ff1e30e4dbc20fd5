"""Django 5.2 has no tasks: these tests are for Django 6.0 and newer."""

from pathlib import Path

import django

if django.VERSION < (6, 0):
    # They could not even be imported. test_tasks.py stays, and has a skipped test that says why.
    here = Path(__file__).parent
    collect_ignore = [path.name for path in here.glob("test_*.py") if path.name != "test_tasks.py"]
