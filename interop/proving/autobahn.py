"""Autobahn's test suite for WebSocket servers: running it, and reading its verdicts."""

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypedDict

from proving.environments import old_environment
from proving.processes import Command, ProofError, run

LIMIT = 600.0  #: seconds for one run

#: A message and what breaks a rule come with no pause between them. The connection is failed at
#: once, mostly before the application has had its turn to answer; the suite allows both.
RACES = frozenset(
    ("3.2", "3.3", "3.4", "4.1.3", "4.1.4", "4.1.5", "4.2.3", "4.2.4", "4.2.5", "5.15")
)
#: RFC 6455 does not say what is right: a Close behind messages that are not answered yet, and
#: the close codes 5000 and 65535.
UNDEFINED = frozenset(("7.1.6", "7.13.1", "7.13.2"))


class Verdict(TypedDict):
    """What the suite says of a case; its report has more."""

    behavior: str
    behaviorClose: str
    remoteCloseCode: int | None


#: The verdicts on each server by the number of the case.
Verdicts: TypeAlias = Mapping[str, Mapping[str, Verdict]]


@dataclass(frozen=True, kw_only=True)
class Cases:
    """Some of the suite's cases.

    Attributes:
        run: Their numbers; an asterisk stands for any.
        but: Those of them that are left out.
    """

    run: Sequence[str]
    but: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the suite has found.

    Attributes:
        version: Of the suite.
        verdicts: By the names of the servers.
    """

    version: str
    verdicts: Verdicts


def fuzz(servers: Mapping[str, str], cases: Cases, place: Path, log: Path) -> Report:
    """Run the suite as a client.

    Args:
        servers: Their URLs by name.
        cases: Those that each of them has to bear.
        place: A directory for its reports.
        log: Where its output goes.

    Raises:
        MakingError: The suite could not be installed.
        MissingError: There is no Python 2.7 to run it.
        ProofError: It did not come to its end, or not to all cases.
    """
    suite = old_environment("autobahn")
    specification = {
        "outdir": str(place),
        "servers": [{"agent": name, "url": url} for name, url in servers.items()],
        "cases": cases.run,
        "exclude-cases": cases.but,
        "exclude-agent-cases": {},
    }
    path = place / "specification.json"
    path.write_text(json.dumps(specification))
    module = "autobahntestsuite.wstest"
    command = Command(
        words=(str(suite.python), "-m", module, "-m", "fuzzingclient", "-s", str(path)),
        cwd=place,
        log=log,
        environ=suite.environ,
    )
    output = run(command, LIMIT)
    version = re.search(r"Testsuite Version ([\d.]+)", output)
    count = re.search(r"will run (\d+) test cases", output)
    if version is None or count is None:
        raise ProofError(f"the suite did not say what it runs, but:\n{output[-500:]}")
    verdicts: Verdicts = json.loads((place / "index.json").read_text())
    for name in servers:
        if len(verdicts.get(name, ())) != int(count[1]):
            raise ProofError(
                f"{len(verdicts.get(name, ()))} of {count[1]} cases were run against {name!r}:\n"
                f"{output[-500:]}"
            )
    return Report(version=version[1], verdicts=verdicts)


def judge(verdicts: Verdicts, refused: Collection[str] = ()) -> str:
    """Say how many cases are OK, non-strict, informational, and refused with 1009.

    Args:
        verdicts: Of the suite.
        refused: Cases with messages that are larger than the server takes.

    Raises:
        ProofError: There is a case of which the suite says anything but what is known to be right.
    """
    counts: Counter[str] = Counter()
    wrong = []
    for name, cases in verdicts.items():
        for case, verdict in cases.items():
            said = verdict["behavior"], verdict["behaviorClose"]
            code = verdict["remoteCloseCode"]
            if case in refused and (*said, code) == ("FAILED", "FAILED", 1009):
                counts["refused with 1009"] += 1
            elif case not in refused and said in _allowed(case):
                counts[said[0] if said[0] == "OK" else said[0].lower()] += 1
            else:
                wrong.append(f"{name}, case {case}: {' and '.join(said)}, close code {code}")
    if wrong:
        raise ProofError(f"{len(wrong)} cases are not as they should be:\n" + "\n".join(wrong))
    return ", ".join(f"{count} {said}" for said, count in sorted(counts.items()))


def _allowed(case: str) -> Collection[tuple[str, str]]:
    if case in UNDEFINED:
        return (("INFORMATIONAL", "INFORMATIONAL"),)
    if case in RACES:
        return (("OK", "OK"), ("NON-STRICT", "OK"))
    return (("OK", "OK"),)
