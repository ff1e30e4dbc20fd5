"""What is made of Autobahn's verdicts, and where a Python for its suite is found."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from proving import environments
from proving.autobahn import RACES, UNDEFINED, Verdict, judge
from proving.environments import REQUIREMENTS, MissingError, old_environment
from proving.processes import ProofError
from proving.proofs.protocol import LARGE

Pythons = Callable[..., Path]


def verdict(behavior: str = "OK", close: str = "OK", code: int | None = 1000) -> Verdict:
    return {"behavior": behavior, "behaviorClose": close, "remoteCloseCode": code}


def test_counts() -> None:
    """Cases are counted by what was said of them, over all servers."""
    race, undefined = verdict("NON-STRICT"), verdict("INFORMATIONAL", "INFORMATIONAL")
    first = {"1.1.1": verdict(), "3.2": race, "7.13.1": undefined}
    second = {"1.1.1": verdict(), "3.2": verdict()}
    assert judge({"plain": first, "sync": second}) == "3 OK, 1 informational, 1 non-strict"


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("1.1.1", verdict("FAILED")),
        ("1.1.1", verdict("OK", "FAILED BY CLIENT", None)),
        ("1.1.1", verdict("UNIMPLEMENTED")),
        ("6.4.1", verdict("NON-STRICT")),
        ("1.1.1", verdict("INFORMATIONAL", "INFORMATIONAL")),
        ("3.2", verdict("NON-STRICT", "FAILED BY CLIENT")),
        ("7.1.6", verdict()),
    ],
)
def test_wrong(case: str, said: Verdict) -> None:
    """What is not known to be right is told with server, case and what was said."""
    with pytest.raises(ProofError) as caught:
        judge({"plain": {"2.1": verdict(), case: said}})
    assert str(caught.value) == (
        "1 cases are not as they should be:\n"
        f"plain, case {case}: {said['behavior']} and {said['behaviorClose']}, "
        f"close code {said['remoteCloseCode']}"
    )


def test_refused() -> None:
    """What is larger than the server takes has to be refused, with 1009 and nothing else."""
    refused = verdict("FAILED", "FAILED", 1009)
    assert judge({"plain": {"9.1.4": refused, "9.1.1": verdict()}}, ["9.1.4"]) == (
        "1 OK, 1 refused with 1009"
    )
    for wrong in (verdict(), verdict("FAILED", "FAILED", 1011)):
        with pytest.raises(ProofError, match=r"case 9\.1\.4"):
            judge({"plain": {"9.1.4": wrong}}, ["9.1.4"])
    with pytest.raises(ProofError, match=r"case 9\.1\.4"):
        judge({"plain": {"9.1.4": refused}})


def test_known_cases() -> None:
    """Each kind of exception is about cases of its own."""
    assert not RACES & UNDEFINED
    assert len(LARGE) == 24
    assert not LARGE & (RACES | UNDEFINED)


def test_pins() -> None:
    """The old environment is installed without dependencies: each line is one release."""
    lines = (REQUIREMENTS / "autobahn.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z.0-9_-]+==[\d.]+", pin) for pin in pins)
    assert len({pin.partition("==")[0] for pin in pins}) == len(pins)


@pytest.fixture
def pythons(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pythons:
    """Makes programs of that name, with an exit status; no others are found."""
    monkeypatch.setattr(environments, "BUILD", tmp_path / "build")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))

    def make(place: str, status: int) -> Path:
        python = tmp_path / place / "python2.7"
        python.parent.mkdir(parents=True)
        # What it is asked to do stands in a file beside it.
        python.write_text(f'#!/bin/sh\necho "$PYTHONUSERBASE $@" >> {python}.log\nexit {status}\n')
        python.chmod(0o755)
        return python

    return make


def test_no_old_python(pythons: Pythons) -> None:
    """Without a Python 2.7 that has pip, it is said where one was looked for."""
    pythons("path", 127)  # as pyenv's own, which only says that a version has to be chosen
    with pytest.raises(MissingError) as caught:
        old_environment("autobahn")
    assert str(caught.value) == (
        "a Python 2.7 with pip is neither on PATH nor among the versions of pyenv"
    )


def test_old_environment(pythons: Pythons, tmp_path: Path) -> None:
    """One on PATH comes before pyenv's; what it needs is installed once, in a place of its own."""
    pyenv = pythons("pyenv/versions/2.7.18/bin", 0)
    folder = tmp_path / "build" / "env-autobahn"
    assert old_environment("autobahn").python == pyenv
    path = pythons("path", 0)
    for _ in range(2):
        made = old_environment("autobahn")
        assert (made.python, made.environ) == (path, {"PYTHONUSERBASE": str(folder)})
    install, *more = [
        line for line in Path(f"{path}.log").read_text().splitlines() if "install" in line
    ]
    assert install == (
        f"{folder} -m pip install --quiet --user --ignore-installed --no-deps"
        f" -r {REQUIREMENTS / 'autobahn.txt'}"
    )
    assert not more
