"""Django's tasks over channel layers: ``enqueue()`` in a view, ``runworker`` does the work.

``django.tasks`` came with Django 6.0; importing this package under an older one is an error.

::

    TASKS = {"default": {"BACKEND": "fairway.tasks.ChannelLayerBackend", "QUEUES": ["default"]}}
"""

import django

if django.VERSION < (6, 0):
    raise ImportError(
        "fairway.tasks needs Django 6.0 or newer, which has django.tasks; this is Django "
        f"{django.get_version()}. Until then, send to a named channel: see fairway.worker."
    )

from fairway.tasks.backend import ChannelLayerBackend
from fairway.tasks.routes import task_channels, with_tasks

__all__ = ["ChannelLayerBackend", "task_channels", "with_tasks"]
