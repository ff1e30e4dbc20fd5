"""Celery's application."""

import os

from celery import Celery

app = Celery("senders", broker=os.environ["INTEROP_BROKER"])
app.conf.task_ignore_result = True


@app.task
def say(text: str, way: str) -> None:
    """Say it."""
    from senders import jobs  # noqa: PLC0415  gevent and eventlet have done their work by now

    jobs.say(text, way)
