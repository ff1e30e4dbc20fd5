"""Ask the advisory database about everything that an installation of Fairway brings.

    make audit                  a known vulnerability is an error; no answer is said, and is none
    make audit ARGS=--strict    no answer is an error, too

What is asked about is what the package and all of its extras require, as they are installed here.
pip-audit does the asking, in an environment of its own: it is no part of what is audited.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

_NAME = "fairway"


def closure(root: str) -> dict[str, str]:
    """Every installed distribution that ``root`` and all its extras require, with its version."""
    found: dict[str, str] = {}
    extras = metadata.metadata(root).get_all("Provides-Extra") or []
    waiting = [(root, frozenset(extras))]
    seen = set(waiting)
    while waiting:
        name, wanted = waiting.pop()
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is not None and not any(
                marker.evaluate({"extra": extra}) for extra in ("", *wanted)
            ):
                continue
            key = re.sub(r"[-_.]+", "-", requirement.name).lower()
            try:
                found[key] = metadata.version(key)
            except metadata.PackageNotFoundError:
                continue  # of an extra that is not installed here
            entry = (key, frozenset(requirement.extras))
            if entry not in seen:
                seen.add(entry)
                waiting.append(entry)
    return found


def ask(tool: str, packages: dict[str, str]) -> list[dict[str, Any]] | None:
    """What pip-audit knows of these packages; None if it could not even start to ask."""
    with tempfile.TemporaryDirectory() as directory:
        listed = Path(directory) / "requirements.txt"
        listed.write_text("".join(f"{name}=={version}\n" for name, version in packages.items()))
        try:
            done = subprocess.run(
                [tool, "--requirement", listed, "--no-deps", "--disable-pip", "--format", "json"],
                check=False,
                capture_output=True,
                text=True,
                timeout=300,
            )
        except OSError as error:
            print(f"   {tool}: {error.strerror}")
            return None
    try:
        answer: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        print(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "No answer.")
        return None
    return answer


def report(answer: list[dict[str, Any]] | None, *, strict: bool) -> int:
    """Tell what was found; returns the exit code."""
    asked = [each for each in answer or () if "skip_reason" not in each]
    silent = [each["name"] for each in answer or () if "skip_reason" in each]
    found = [(each, known) for each in asked for known in each["vulns"]]
    for each, known in found:
        fixed = ", ".join(known["fix_versions"]) or "nothing yet"
        print(f"{each['name']} {each['version']}: {known['id']}, mended in {fixed}")
    if not asked:
        print("   no advisory database answered: nothing is known, good or bad")
    else:
        print(f"   {len(asked)} packages, {len(found)} known vulnerabilities")
        if silent:
            print(f"   no answer about: {', '.join(silent)}")
    return int(bool(found) or (strict and (bool(silent) or not asked)))


def main() -> int:
    """Ask and tell."""
    parser = argparse.ArgumentParser(description="Audit what Fairway requires.")
    parser.add_argument("tool", help="the program pip-audit")
    parser.add_argument("--strict", action="store_true", help="no answer is an error, too")
    arguments = parser.parse_args()
    return report(ask(arguments.tool, closure(_NAME)), strict=arguments.strict)


if __name__ == "__main__":
    sys.exit(main())
