"""Figures as text that Prometheus reads.

See https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format.
"""

from collections.abc import Iterable
from typing import Final

from fairway.server.observing.figures import Family, Labels

#: The type of what :func:`render` returns.
CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"


def render(families: Iterable[Family]) -> bytes:
    """All figures, a line for each."""
    lines: list[str] = []
    for family in families:
        name = f"{family.name}_total" if family.kind == "counter" else family.name
        text = family.help.replace("\\", "\\\\").replace("\n", "\\n")
        lines.append(f"# HELP {name} {text}")
        lines.append(f"# TYPE {name} {family.kind}")
        for (suffix, labels), value in family.samples.items():
            lines.append(f"{name}{suffix}{_braces(labels)} {_number(value)}")
    return "\n".join([*lines, ""]).encode()


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels) + "}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
