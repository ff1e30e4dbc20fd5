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
        files: Which of its files are run, below ``tests``.
        options: More arguments for pytest.
        path: More directories of ``suites`` to import from.
        different: By reason, the tests that are left out because Fairway differs on purpose. A
            test that fails keeps its consumers alive in its traceback, which disturbs others.
    """

    package: str
    plugin: str
    files: Sequence[str]
    options: Sequence[str] = ()
    path: Sequence[str] = ()
    different: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def prove(self, stage: Stage) -> str:
        """Run them: all have to pass that are not known to be about something else."""
        with redis() as port:
            return self._run(stage, port)

    @property
    def limits(self) -> str:
        """The tests that are left out, for the documentation."""
        told = []
        for reason, names in self.different.items():
            shown = ", ".join(f"`{name.partition('::')[2]}`" for name in names)
            told.append(f"{reason} ({shown}).")
        return " ".join(told)

    def _run(self, stage: Stage, redis_port: int) -> str:
        folder = source_distribution(self.package, stage.environment)
        report = stage.place / "report.xml"
        left_out = [f"tests/{name}" for names in self.different.values() for name in names]
        words = [
            *("python", "-m", "pytest", "-q", "-p", self.plugin, f"--junitxml={report}"),
            *("-o", "addopts=", "-o", "asyncio_mode=auto", "--timeout=60", *self.options),
            *(f"--deselect={name}" for name in left_out),
            *(f"tests/{name}" for name in self.files),
        ]
        path = ":".join(str(SUITES / name) for name in ("", *self.path))
        environ = {"PYTHONPATH": f"{path}:{folder}", "INTEROP_REDIS_PORT": str(redis_port)}
        try:
            output = stage.run(words, environ, cwd=folder)
        except ProofError as error:
            if not report.exists():
                raise
            output = str(error)
        passed, failed = read_report(report)
        if failed or not passed:
            shown = "\n".join(f"{name}: {failed[name]}" for name in sorted(failed))
            raise ProofError(f"{len(failed)} tests fail:\n{shown}\n{output[-500:]}")
        deselected = re.search(r"(\d+) deselected", output)
        return f"{passed} tests pass, {deselected[1] if deselected else 0} are left out"


def read_report(report: Path) -> tuple[int, dict[str, str]]:
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


_SUITES = (
    Suite(
        package="djangochannelsrestframework",
        plugin="rest_suite",
        path=("rest_tests",),
        files=("",),
        options=("--ds=rest_suite.settings",),
        different={
            "Under pytest-django's `db`, code behind a communicator runs in the test's transaction,"
            " so `on_commit` waits for `transaction=True`": (
                "test_model_observer.py::test_m2m_observer",
                "test_model_observer.py::test_multiple_changes_within_transaction",
            ),
        },
    ),
    Suite(
        package="channels-redis",
        plugin="redis_suite",
        files=("test_core.py", "test_pubsub.py", "test_serializers.py", "test_utils.py"),
        options=("-p", "no:django"),
        different={
            "They look into the inside of the other layer": (
                "test_core.py::test_double_receive",
                "test_core.py::test_random_reset__client_prefix",
                "test_core.py::test_default_group_key_format",
                "test_core.py::test_custom_group_key_format",
                "test_core.py::test_receive_buffer_respects_capacity",
                "test_pubsub.py::test_loop_instance_channel_layer_reference",
                "test_pubsub.py::test_serialize",
                "test_pubsub.py::test_deserialize",
                "test_pubsub.py::test_multi_event_loop_garbage_collection",
                "test_pubsub.py::test_auto_reconnect",
            ),
            "What does not fit is a warning in the log, not an information": (
                "test_core.py::test_group_send_capacity",
                "test_core.py::test_group_send_capacity_multiple_channels",
            ),
            "A message has to be a dict": (
                "test_pubsub.py::test_receive_on_non_owned_general_channel",
            ),
            "It wants a Redis on port 6379": ("test_core.py::test_message_expiry__group_send",),
        },
    ),
)

ROWS = [
    Row(
        group=GROUP,
        name=f"tests of {suite.package}",
        packages=(suite.package,),
        environment="alias",
        prove=suite.prove,
        limits=suite.limits,
    )
    for suite in _SUITES
]
