"""What ``manage.py`` can do: ``runserver`` and ``runworker``."""
