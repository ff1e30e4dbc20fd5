"""Runs consumers for messages that were sent to named channels, outside of any connection."""

from fairway.worker.instances import CurrentJob, current_job
from fairway.worker.outcomes import Stats
from fairway.worker.policy import JobFailed, JobPolicy, job
from fairway.worker.source import Source
from fairway.worker.worker import Inbox, Worker

__all__ = [
    "CurrentJob",
    "Inbox",
    "JobFailed",
    "JobPolicy",
    "Source",
    "Stats",
    "Worker",
    "current_job",
    "job",
]
