"""What ``manage.py`` can do: ``runserver``, ``runworker`` and ``fairway_migrate``."""
