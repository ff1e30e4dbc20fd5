"""Dramatiq's application."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from senders import jobs

dramatiq.set_broker(RedisBroker(url=os.environ["INTEROP_BROKER"]))


@dramatiq.actor
def say(text: str, way: str) -> None:
    """Say it."""
    jobs.say(text, way)
