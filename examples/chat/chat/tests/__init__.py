"""Tests as one writes them for a site on Fairway; run with `manage.py test`."""
