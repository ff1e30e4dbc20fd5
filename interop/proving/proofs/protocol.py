"""Fairway's server against the suite that others are measured by."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from proving.autobahn import Cases, fuzz, judge
from proving.environments import CHECKOUT
from proving.processes import ProofError
from proving.rows import Row, Stage

GROUP = "The WebSocket protocol, by Autobahn's test suite"

#: With its key. The suite's client does not verify it.
CERTIFICATE = CHECKOUT / "tests" / "server" / "certificates" / "whole.pem"

#: Applications of the project ``echoes``, by their paths.
PLAIN, ASYNC, SYNC = "plain", "async", "sync"

#: 1 framing, 2 Pings, 3 reserved bits, 4 opcodes, 5 fragments, 6 UTF-8, 7 closing, 10 one of each.
RULES = Cases(run=("*",), but=("9.*", "12.*", "13.*"))
#: Messages of up to 16 MiB, in up to 65,536 fragments, and many small ones.
AMOUNTS = Cases(run=("9.*",))
#: 1,000 messages each. Those of more than 16 KiB are left out, as they take most of ten minutes.
COMPRESSION = Cases(
    run=("12.*", "13.*"),
    but=tuple(f"{group}.*.{size}" for group in (12, 13) for size in (8, 9, 10, *range(13, 19))),
)
#: Those of :data:`AMOUNTS` with messages of 4 MiB and more.
LARGE = frozenset(
    [f"9.{group}.{case}" for group in (1, 2) for case in range(4, 7)]
    + [f"9.{group}.{case}" for group in (3, 4) for case in range(1, 10)]
)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A server that the suite is let loose on.

    Attributes:
        name: Of the row.
        options: Of the command ``fairway``.
        paths: Which applications answer.
        cases: Which cases they get.
        refused: Which of these the server has to refuse.
        limits: For the documentation.
    """

    name: str
    options: str
    paths: Sequence[str]
    cases: Cases
    refused: Collection[str] = ()
    limits: str = ""

    def prove(self, stage: Stage) -> str:
        """Every case has the verdict that it should have, and the server has no complaint."""
        scheme = "wss" if "--tls" in self.options else "ws"
        words = f"fairway -b 127.0.0.1 -p {{port}} {self.options} echoes.asgi:application"
        with stage.server(words, {}) as (server, port):
            urls = {path: f"{scheme}://127.0.0.1:{port}/{path}" for path in self.paths}
            report = fuzz(urls, self.cases, stage.place, stage.log("wstest"))
            status = server.stop()
        if status or "Traceback" in server.output:
            raise ProofError(f"the server ended with {status} and said:\n{server.tail()}")
        count = sum(map(len, report.verdicts.values()))
        told = judge(report.verdicts, self.refused)
        return f"{count} cases of version {report.version}: {told}"


_RACES = (
    "Non-strict by design: where a message and what breaks a rule come at once, the connection is"
    " failed at once, mostly before the application has answered the message (cases 3.2 to 3.4,"
    " 4.1.3 to 4.1.5, 4.2.3 to 4.2.5, 5.15). Informational are cases for which RFC 6455 has no rule"
    " (7.1.6, 7.13)."
)

_TRIALS = (
    Trial(
        name="the rules, as installed",
        options="",
        paths=(PLAIN, ASYNC, SYNC),
        cases=RULES,
        limits=_RACES,
    ),
    Trial(
        name="the rules, over TLS on asyncio's loop",
        options=f"--loop asyncio --tls-certificate {CERTIFICATE}",
        paths=(ASYNC,),
        cases=RULES,
        limits="See above.",
    ),
    Trial(
        name="the rules, in two processes, without compression",
        options="--workers 2 --no-websocket-compression",
        paths=(ASYNC,),
        cases=RULES,
        limits="See above.",
    ),
    Trial(
        name="amounts, with room for 16 MiB",
        options="--websocket-max-message-size 16777216 --websocket-max-frame-size 16777216",
        paths=(PLAIN, ASYNC, SYNC),
        cases=AMOUNTS,
    ),
    Trial(
        name="amounts, as installed",
        options="",
        paths=(ASYNC,),
        cases=AMOUNTS,
        refused=LARGE,
        limits="Messages of 4 MiB and more, as `websocket_max_message_size` is 1 MiB.",
    ),
    Trial(
        name="compression",
        options="",
        paths=(ASYNC,),
        cases=COMPRESSION,
        limits="Messages of more than 16 KiB (sizes 8 to 10, 13 to 18) are left out, for time.",
    ),
)

ROWS = [
    Row(
        group=GROUP,
        name=trial.name,
        packages=("django",),
        environment="servers",
        prove=trial.prove,
        limits=trial.limits,
    )
    for trial in _TRIALS
]
