"""What Sphinx does for these pages beyond its own: reference from the code, and links that find it.

``{fairway-options}``
    every option of the server, read from :func:`fairway.server.config.options`
``{fairway-checks}``
    every system check, read from :data:`fairway.checks.CHECKS`
``{fairway-limits}``
    every option that is a limit, with what is answered beyond it and how that is counted
``{fairway-figures}``
    every figure that a server shows, read from a server that serves nobody

A class is documented under the name that people import it by, ``fairway.layers.ChannelLayer`` say;
signatures name the module that defines it. Such a reference is led to the same object.

Signatures say ``ASGIApplication``, ``Receive`` and ``Send``: what is behind these names would
fill lines.
"""

import asyncio
import pkgutil
import re
from functools import cache
from itertools import groupby
from types import ModuleType

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata, stringify_annotation

from fairway import _types, checks
from fairway.checks import CHECKS
from fairway.metrics import layer_families
from fairway.server import config
from fairway.server.config import Option, options
from fairway.server.context import Context
from fairway.server.listening.acceptor import DESCRIPTORS
from fairway.server.observing import collecting
from fairway.server.observing.collecting import collect, label_gauges
from fairway.server.observing.figures import Family
from fairway.server.workers.figures import WorkerFigures

_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_DURATIONS = ((86400, "day"), (3600, "hour"), (60, "minute"))

#: ASGI's types by name, the one that contains the others first.
_ALIASES = ("ASGIApplication", "Receive", "Send")


def default_of(option: Option) -> str:
    """An option's default as a person says it, in Markdown."""
    value = option.default
    if value is None and option.unit == "seconds":
        return "no limit"
    if value is None or value in ("", ()):
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    if isinstance(value, str):
        return f"`{value}`"
    if (option.answer or option.unit in {"bytes", "seconds"}) and value <= 0:
        return "no limit"
    number = str(int(value)) if value == int(value) else str(value)
    return " ".join(filter(None, (number, option.unit, _rounded(value, option.unit))))


def _rounded(value: float, unit: str) -> str:
    """The same in a larger unit, in parentheses, where that is a whole number."""
    if unit == "bytes":
        for factor, name in _SIZES:
            if value >= factor and value % factor == 0:
                return f"({value / factor:g} {name})"
    if unit == "seconds":
        for factor, name in _DURATIONS:
            if value >= factor and value % factor == 0:
                count = value / factor
                return f"({count:g} {name}{'s' if count != 1 else ''})"
    return ""


def option_entry(option: Option) -> str:
    """One option as an entry of a definition list, in Markdown."""
    value = "|".join(option.choices) or option.metavar or option.unit.upper()
    flags = ", ".join(f"`{flag} {value}`" if value else f"`{flag}`" for flag in option.flags)
    return f"`{option.name}` · {flags}\n: {option.help}\n  Default: {default_of(option)}.\n"


def options_text() -> str:
    """The whole reference of options, in Markdown: a heading and a definition list per group."""
    parts = []
    for group, members in groupby(options(), key=lambda option: option.group):
        parts.append(f"## {group}\n")
        parts += [option_entry(option) for option in members]
    return "\n".join(parts)


def checks_text() -> str:
    """The whole reference of system checks, in Markdown: a definition list."""
    return "\n".join(f"`{identifier}`\n: {finding}\n" for identifier, finding in CHECKS.items())


def limits_text() -> str:
    """The table of limits, in Markdown: a table for each group of options."""
    parts = []
    limits = [option for option in options() if option.answer]
    for group, members in groupby(limits, key=lambda option: option.group):
        parts.append(f"### {group}\n\n| Limit | Flag | Default | Answer | Counted as |")
        parts.append("|---|---|---|---|---|")
        parts += [limit_row(option) for option in members]
        parts.append("")
    parts.append("### The system\n\n| Limit | Flag | Default | Answer | Counted as |")
    parts.append("|---|---|---|---|---|")
    parts.append(
        f"| `{DESCRIPTORS}` | none | the system's | 503; with TLS the connection is closed "
        f'| `limit="{DESCRIPTORS}"` |'
    )
    return "\n".join(parts)


def limit_row(option: Option) -> str:
    """One limit as a row of its table."""
    flag = next(flag for flag in option.flags if flag.startswith("--"))
    return (
        f"| `{option.name}` | `{flag}` | {default_of(option)} | {option.answer} "
        f'| `limit="{option.name}"` |'
    )


def figures_text() -> str:
    """Every figure as a table, in Markdown."""
    rows = ["| Figure | Kind | Labels | What it is |", "|---|---|---|---|"]
    for family in all_figures():
        name = f"{family.name}_total" if family.kind == "counter" else family.name
        labels = {label: None for _, labels in family.samples for label, _ in labels}
        labels |= dict.fromkeys(_EMPTY_FAMILIES.get(family.name, ()))
        shown = ", ".join(f"`{label}`" for label in labels if label != "le")
        rows.append(f"| `{name}` | {family.kind} | {shown} | {family.help} |")
    return "\n".join([*rows, ""])


#: The labels of families that are empty at first.
_EMPTY_FAMILIES = {
    "fairway_requests": ("method", "status"),
    "fairway_websockets_closed": ("code",),
    "fairway_layer_messages": ("layer", "event"),
    "fairway_layer": ("layer", "figure"),
}


def all_figures() -> list[Family]:
    """What a supervisor shows of its workers, and what those show."""

    async def collected() -> list[Family]:
        async def nothing(*_: object) -> None:
            return

        settings = config.Config(metrics="127.0.0.1:0")
        context = Context(nothing, settings, asyncio.get_running_loop(), None)
        try:
            shown = label_gauges(collect(context), "0")
        finally:
            context.close()
        extra = [*layer_families()]
        names = {family.name for family in extra}
        ours = [family for family in shown if family.name not in names]
        return [*await WorkerFigures().collect(), *ours, *extra]

    return asyncio.run(collected())


class LimitsDirective(SphinxDirective):
    """Put the table of limits where the directive stands."""

    def run(self) -> list[nodes.Node]:
        """Parse the generated text as a part of the page, anew when its source has changed."""
        _note_sources(self.env, config)
        return self.parse_text_to_nodes(limits_text(), allow_section_headings=True)


class FiguresDirective(SphinxDirective):
    """Put the table of figures where the directive stands."""

    def run(self) -> list[nodes.Node]:
        """Parse the generated text as a part of the page, anew when its source has changed."""
        _note_sources(self.env, collecting)
        return self.parse_text_to_nodes(figures_text())


class OptionsDirective(SphinxDirective):
    """Put the reference of options where the directive stands."""

    def run(self) -> list[nodes.Node]:
        """Parse the generated text as a part of the page, anew when its source has changed."""
        _note_sources(self.env, config)
        return self.parse_text_to_nodes(options_text(), allow_section_headings=True)


class ChecksDirective(SphinxDirective):
    """Put the reference of system checks where the directive stands."""

    def run(self) -> list[nodes.Node]:
        """Parse the generated text as a part of the page, anew when its source has changed."""
        _note_sources(self.env, checks)
        return self.parse_text_to_nodes(checks_text())


def _note_sources(env: BuildEnvironment, module: ModuleType) -> None:
    for path in (__file__, module.__file__):
        env.note_dependency(str(path))


def find_same_object(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.Node | None:
    """Resolve a reference to one of our objects by another of its names."""
    thing = _import(node.get("reftarget", ""))
    if node.get("refdomain") != "py" or thing is None:
        return None
    domain = env.domains.python_domain
    for name in domain.objects:
        if name.startswith("fairway.") and _import(name) is thing:
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, content)
    return None


@cache
def _import(name: str) -> object:
    """The object of a dotted name; None if it is not ours or not there."""
    if not name.startswith("fairway."):
        return None
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError):
        return None


def shorten_signature(
    app: Sphinx,
    what: str,
    name: str,
    thing: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Write the names of ASGI's types again, which Python has resolved."""
    return _with_names(signature), _with_names(returns)


def _with_names(text: str | None) -> str | None:
    for alias in _ALIASES:
        text = _resolved(alias).sub(alias, text) if text else text
    return text


@cache
def _resolved(alias: str) -> re.Pattern[str]:
    """What Sphinx writes for a type, with or without the modules of its parts."""
    words = stringify_annotation(getattr(_types, alias), "fully-qualified-except-typing")
    pattern = re.escape(words).replace(r"collections\.abc\.", r"~?(?:collections\.abc\.)?")
    return re.compile(pattern.replace("Any", r"~?(?:typing\.)?Any"))


def keep_first_colon(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Keep napoleon from taking what stands before an attribute's first colon for its type."""
    if what in {"attribute", "data", "property"} and lines:
        lines[0] = f": {lines[0]}"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives."""
    app.add_directive("fairway-options", OptionsDirective)
    app.add_directive("fairway-checks", ChecksDirective)
    app.add_directive("fairway-limits", LimitsDirective)
    app.add_directive("fairway-figures", FiguresDirective)
    app.connect("missing-reference", find_same_object)
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("autodoc-process-docstring", keep_first_colon, priority=400)  # napoleon's is 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
