"""The tests that packages bring along, run on Fairway in the place of Channels."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proving.environments import INTEROP, source_distribution
from proving.processes import ProofError
from proving.rows import Row, Stage
from proving.services import redis

GROUP = "Tests that packages bring along, on the alias"
SUITES = INTEROP / "suites"


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The tests of a package.

    Attributes:
        package: The distribution whose source distribution has them.
        plugin: Our part beside them, in ``suites``.
        files: Which of its files are run.
        options: More arguments for pytest.
        different: The tests that fail because Fairway differs on purpose, and the reason.
        theirs: The tests that fail for reasons that have nothing to do with Fairway.
    """

    package: str
    plugin: str
    files: Sequence[str]
    options: Sequence[str] = ()
    path: Sequence[str] = ()
    different: Mapping[str, str] = field(default_factory=dict)
    theirs: Mapping[str, str] = field(default_factory=dict)

    def prove(self, stage: Stage) -> str:
        """Run them; whatever fails has to be known."""
        with redis() as port:
            return self._run(stage, port)

    def _run(self, stage: Stage, redis_port: int) -> str:
        folder = source_distribution(self.package, stage.environment)
        report = stage.place / "report.xml"
        words = [
            *("python", "-m", "pytest", "-q", "-p", self.plugin, f"--junitxml={report}"),
            *("-o", "addopts=", "-o", "asyncio_mode=auto", "--timeout=60", *self.options),
            *self.files,
        ]
        path = ":".join(str(SUITES / name) for name in ("", *self.path))
        environ = {"PYTHONPATH": f"{path}:{folder}", "INTEROP_REDIS_PORT": str(redis_port)}
        try:
            output = stage.run(words, environ, cwd=folder)
        except ProofError as error:
            if not report.exists():
                raise
            output = str(error)
        passed, failed = _read(report)
        known = {**self.different, **self.theirs}
        news = sorted(set(failed) - set(known))
        if news or not passed:
            shown = "\n".join(f"{name}: {failed[name]}" for name in news)
            raise ProofError(f"{len(news)} tests fail unexpectedly:\n{shown}\n{output[-500:]}")
        return self._told(passed, failed)

    def _told(self, passed: int, failed: Mapping[str, str]) -> str:
        told = f"{passed} of {passed + len(failed)} tests pass"
        for kind, reasons in (("a difference on purpose", self.different), ("theirs", self.theirs)):
            told += "".join(
                f"; `{name}` fails, {kind}: {reason}"
                for name, reason in reasons.items()
                if name in failed
            )
        return told


def _read(report: Path) -> tuple[int, dict[str, str]]:
    """How many tests passed, and the first line of what is wrong with the others by name."""
    passed, failed = 0, {}
    for case in ElementTree.parse(report).iter("testcase"):
        problems = [*case.findall("failure"), *case.findall("error")]
        if problems:
            message = problems[0].get("message") or problems[0].text or ""
            name = re.sub(r"^tests\.", "", f"{case.get('classname')}::{case.get('name')}")
            failed[name] = message.splitlines()[0] if message else "?"
        elif not case.findall("skipped"):
            passed += 1
    return passed, failed


IN_TRANSACTION = (
    "under pytest-django's `db` sync code runs in the test's transaction, so `on_commit` waits for"
    " `transaction=True` (or `django_capture_on_commit_callbacks`)"
)

_SUITES = (
    Suite(
        package="djangochannelsrestframework",
        plugin="rest_suite",
        path=("rest_tests",),
        files=("tests",),
        options=("--ds=rest_suite.settings",),
        different={
            "test_model_observer::test_m2m_observer": IN_TRANSACTION,
            "test_model_observer::test_multiple_changes_within_transaction": IN_TRANSACTION,
        },
    ),
    Suite(
        package="channels-redis",
        plugin="redis_suite",
        files=tuple(f"tests/test_{name}.py" for name in ("core", "pubsub", "serializers", "utils")),
        options=("-p", "no:django"),
    ),
)

ROWS = [
    Row(
        group=GROUP,
        name=f"tests of {suite.package}",
        packages=(suite.package,),
        environment="alias",
        prove=suite.prove,
    )
    for suite in _SUITES
]
