"""What h2load says is believed only where it proves that every request was answered."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.build import BuildError
from harness.contenders import Contender
from harness.generator import Generator, LoadError
from harness.processes import Processors
from harness.scenarios import Lane, Work
from harness.scenarios.http2 import SCENARIOS, _h2load

SAID = """\
starting benchmark...
Application protocol: h2c
progress: 100% done

finished in 598.00ms, 3344.49 req/s, 148.01KB/s
requests: 2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 88.51KB (90635) total, 10.09KB (10335) headers (space savings 94.78%), 25.39KB (26000) data
                     min         max         mean         sd        +/- sd
time for request:     7.40ms     35.49ms     14.73ms      4.64ms    80.70%
time for connect:      137us       456us       260us       121us    60.00%
"""


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Puts an h2load on the path that says just that."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def install(text: str) -> None:
        program = tmp_path / "h2load"
        program.write_text(
            f"#!/bin/sh\nwhile read -r line; do echo \"$line\"; done <<'.'\n{text}.\n"
        )
        program.chmod(0o755)

    return install


@pytest.fixture
def work() -> Work:
    processor = min(os.sched_getaffinity(0))
    (scenario,) = SCENARIOS
    return Work(
        scenario=scenario,
        lane=Lane(contender="a peer", path="/"),
        effort=replace(scenario.quick, seconds=1),
        contender=Contender(name="a peer", words=("serve",)),
        generator=Generator(Path("load"), processor),
        processors=Processors(server=processor, generator=processor),
    )


def test_figures(says: Callable[[str], None], work: Work) -> None:
    """The rate and the mean are read, whatever unit the mean has."""
    says(SAID)
    assert _h2load(work, 8000, 2000) == {"per_second": 3344.49, "mean_ms": 14.73}
    says(SAID.replace("14.73ms", " 993us"))
    assert _h2load(work, 8000, 2000) == {"per_second": 3344.49, "mean_ms": 0.993}


@pytest.mark.parametrize(
    ("right", "wrong", "missing"),
    [
        ("2000 succeeded, 0 failed", "1999 succeeded, 1 failed", "2000 succeeded"),
        ("2000 2xx, 0 3xx", "1999 2xx, 1 3xx", "2000 2xx"),
        ("(26000) data", "(25987) data", "(26000) data"),
        ("protocol: h2c", "protocol: http/1.1", "h2c"),
    ],
)
def test_proof(
    says: Callable[[str], None], work: Work, right: str, wrong: str, missing: str
) -> None:
    """A request that failed, another answer or another protocol: then there is no figure."""
    says(SAID.replace(right, wrong))
    with pytest.raises(LoadError) as caught:
        _h2load(work, 8000, 2000)
    assert missing in str(caught.value)
    assert wrong in str(caught.value)


def test_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, work: Work) -> None:
    """Without h2load there is a sentence that says where it comes from."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"^h2load is needed \(Debian: nghttp2-client\)$"):
        _h2load(work, 8000, 2000)
