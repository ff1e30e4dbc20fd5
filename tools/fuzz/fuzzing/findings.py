"""What fuzzing found: one file for each way to fail, with the input that does it."""

import hashlib
import traceback
from collections.abc import Callable
from pathlib import Path

__all__ = ["Recorder"]


class Recorder:
    """Calls a check and keeps what it raises, so that a run goes on behind its first finding.

    Args:
        name: Of the target.
        check: Raises what is wrong.
        directory: Gets a report and an input for each place that fails, the first time it does.
    """

    def __init__(self, name: str, check: Callable[[bytes], None], directory: Path) -> None:
        self._name = name
        self._check = check
        self._directory = directory
        self._seen: set[str] = set()

    def __call__(self, data: bytes) -> None:
        """Check one input; never raises."""
        try:
            self._check(data)
        except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
            self._keep(error, data)

    def _keep(self, error: Exception, data: bytes) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        # By lines: an assertion and the line of the parser that led to it are one way to fail.
        way = f"{type(error).__name__} {[(frame.filename, frame.lineno) for frame in frames]}"
        digest = hashlib.sha256(way.encode()).hexdigest()[:8]
        if digest in self._seen:
            return
        self._seen.add(digest)
        self._directory.mkdir(parents=True, exist_ok=True)
        stem = self._directory / f"{self._name}-{digest}"
        if not stem.with_suffix(".txt").exists():
            report = "".join(traceback.format_exception(error))
            stem.with_suffix(".txt").write_text(f"{report}\nInput: {data!r}\n")
            stem.with_suffix(".input").write_bytes(data)
