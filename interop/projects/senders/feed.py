"""Gives jobs to a task queue: ``python -m senders.feed celery sync:ahoy queue:aye``.

With ``itself`` it does them, and exits.
"""

import os
import sys


def hand_over(queue: str, text: str, way: str) -> None:
    """Give a job to a task queue."""
    match queue:
        case "celery":
            from senders import celery_app  # noqa: PLC0415

            celery_app.say.delay(text, way)
        case "dramatiq":
            from senders import dramatiq_app  # noqa: PLC0415

            dramatiq_app.say.send(text, way)
        case "huey":
            from senders import huey_app  # noqa: PLC0415

            huey_app.say(text, way)
        case "rq":
            from redis import Redis  # noqa: PLC0415
            from rq import Queue  # noqa: PLC0415

            jobs_of_rq = Queue(connection=Redis.from_url(os.environ["INTEROP_BROKER"]))
            jobs_of_rq.enqueue("senders.jobs.say", text, way)
        case _:
            from senders import jobs  # noqa: PLC0415

            jobs.say(text, way)


if __name__ == "__main__":
    for job in sys.argv[2:]:
        kind, _, said = job.partition(":")
        hand_over(sys.argv[1], said, kind)
    sys.exit()
