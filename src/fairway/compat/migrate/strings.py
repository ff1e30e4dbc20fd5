"""Dotted names in strings: backends in settings, targets of patches, modules to import."""

import ast
import re
from typing import Final

from fairway.compat.migrate import names
from fairway.compat.migrate.module import Module

_DOTTED: Final = re.compile(r"(?:channels|daphne|channels_redis)(?:\.[A-Za-z_]\w*)+")

#: Strings that are no dotted names of modules: models, permissions and URLs of an app that somebody
#: has called "channels" look alike. Only these are worth a note.
_KNOWN_MODULES: Final = re.compile(
    r"channels\.(?:http|staticfiles|signals)\b"
    r"|channels_redis\.(?:core|pubsub|utils|serializers)\b"
    r"|daphne\.(?:access|cli|endpoints|http_protocol|server|testing|utils|ws_protocol)\b"
)

_LOGGERS: Final = re.compile(
    r"daphne(?:\.(?:server|http_protocol|ws_protocol|cli))?|channels_redis\.(?:core|pubsub)"
)


def rewrite_strings(module: Module, settled: set[ast.expr]) -> None:
    """Note how to change the strings of a file.

    Args:
        module: The file.
        settled: Strings that something else has dealt with.
    """
    for node in module.nodes(ast.Constant):
        if isinstance(node.value, str) and node not in settled:
            _rewrite(module, node, node.value)


def _rewrite(module: Module, node: ast.Constant, value: str) -> None:
    if isinstance(module.parent(node), (ast.JoinedStr, ast.Expr)):
        return  # a part of an f-string, or a docstring
    if _LOGGERS.fullmatch(value):
        app = " If it names an app, that is 'fairway' now." if value == "daphne" else ""
        module.note(
            node,
            f"{value!r} was left: if it names a logger, Fairway's are 'fairway.server' and "
            f"'fairway.layers', and 'django.channels.server' for runserver.{app}",
        )
        return
    if not _DOTTED.fullmatch(value):
        return
    found = names.rename(value)
    if found is None:
        if _KNOWN_MODULES.match(value):
            module.note(node, names.why_not(value))
        return
    start, end = module.span(node)
    text = module.text.piece(start, end)
    if text.count(value) != 1:
        module.note(node, f"{value!r} was left: it is written in an unusual way.")
        return
    at = start + len(text[: text.index(value)].encode())
    module.replace(at, at + len(found.old), found.new)
