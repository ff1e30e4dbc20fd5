"""Huey's application."""

import os

from huey import RedisHuey

from senders import jobs

huey = RedisHuey(url=os.environ["INTEROP_BROKER"])


@huey.task()
def say(text: str, way: str) -> None:
    """Say it."""
    jobs.say(text, way)
