"""Settings: ``INSTALLED_APPS`` and what Daphne was told."""

import ast
from typing import Final

from fairway.compat.migrate.module import Module

_APPS: Final = frozenset(
    {"channels", "daphne", "channels.apps.ChannelsConfig", "daphne.apps.DaphneConfig"}
)
_OPTIONS: Final = {
    "DAPHNE_WEBSOCKET_MAX_MESSAGE_SIZE": "websocket_max_message_size",
    "DAPHNE_WEBSOCKET_MAX_FRAME_SIZE": "websocket_max_frame_size",
}


def rewrite_apps(module: Module) -> set[ast.expr]:
    """Note how to put ``"fairway"`` in the place of ``"daphne"`` and ``"channels"``, once.

    Returns:
        The strings that were dealt with.
    """
    settled: set[ast.expr] = set()
    literals = _app_lists(module)
    present = any(_is_app(item, {"fairway"}) for _, literal in literals for item in literal.elts)
    for name, literal in literals:
        old = [item for item in literal.elts if _is_app(item, _APPS)]
        if not old:
            continue
        settled.update(old)
        _rewrite_list(module, literal, old, add=not present)
        if not present and not name and not _comes_first(literal, old):
            module.note(
                literal,
                '"fairway" stands where the old apps stood: see that it comes before '
                '"django.contrib.staticfiles" in INSTALLED_APPS, as its runserver has to win.',
            )
        present = True
    return settled


def _comes_first(literal: ast.List | ast.Tuple, old: list[ast.expr]) -> bool:
    return _value(old[0]).startswith("daphne") and literal.elts[0] is old[0]


def _app_lists(module: Module) -> list[tuple[bool, ast.List | ast.Tuple]]:
    """Every list that may hold apps, those of ``INSTALLED_APPS = […]`` first and marked."""
    found: list[tuple[bool, ast.List | ast.Tuple]] = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assign):
            targets: list[ast.expr] = node.targets
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign)):
            targets = [node.target]
        else:
            continue
        named = {target.id for target in targets if isinstance(target, ast.Name)}
        if node.value is None or not any("APPS" in name.upper() for name in named):
            continue
        whole = "INSTALLED_APPS" in named and not isinstance(node, ast.AugAssign)
        found += [
            (whole and literal is node.value, literal)
            for literal in ast.walk(node.value)
            if isinstance(literal, (ast.List, ast.Tuple))
        ]
    return sorted(found, key=lambda pair: not pair[0])


def _is_app(item: ast.expr, names: frozenset[str] | set[str]) -> bool:
    return isinstance(item, ast.Constant) and item.value in names


def _value(item: ast.expr) -> str:
    assert isinstance(item, ast.Constant)
    return str(item.value)


def _rewrite_list(
    module: Module, literal: ast.List | ast.Tuple, old: list[ast.expr], *, add: bool
) -> None:
    """Take the old apps out; put ours first, or where the list is a part, in their place."""
    removed = list(old)
    if add:
        quote = module.source(old[0])[0]
        ours = f"{quote}fairway{quote}" if quote in "'\"" else '"fairway"'
        if literal.elts[0] is old[0]:
            module.replace(*module.span(removed.pop(0)), ours)
        else:
            _insert_first(module, literal, ours)
    kept = [item for item in literal.elts if item not in removed]
    for item in removed:
        _remove(module, literal, item, kept)


def _insert_first(module: Module, literal: ast.List | ast.Tuple, ours: str) -> None:
    start, _ = module.span(literal.elts[0])
    line = module.text.line_start(start)
    before = module.text.piece(line, start)
    if before.strip():
        module.replace(start, start, f"{ours}, ")
        return
    ending = module.text.piece(start, module.text.line_end(start))
    line_break = "\r\n" if ending.endswith("\r\n") else "\n"
    module.replace(start, start, f"{ours},{line_break}{before}")


def _remove(
    module: Module, literal: ast.List | ast.Tuple, item: ast.expr, kept: list[ast.expr]
) -> None:
    start, end = module.span(item)
    line, line_end = module.text.line_start(start), module.text.line_end(end)
    before, behind = module.text.piece(line, start), module.text.piece(end, line_end)
    rest = behind.strip().removeprefix(",").strip()
    if not before.strip() and (not rest or rest.startswith("#")):
        if rest:  # a comment of its own stays, as it may explain more than the line
            module.replace(start, end + behind.index("#"), "")
        else:
            module.replace(line, line_end, "")
        return
    following = [other for other in literal.elts if module.span(other)[0] > start]
    if following:
        module.replace(start, module.span(following[0])[0], "")
    elif kept:  # at the end: with the comma in front of it, which may go twice
        module.replace(module.span(kept[-1])[1], end, "")
    else:
        module.replace(start, end, "")


def rewrite_daphne_settings(module: Module) -> None:
    """Note how to make entries of ``FAIRWAY`` of the settings that Daphne read."""
    found: dict[str, ast.Assign] = {}
    for node in module.nodes(ast.Assign):
        target = node.targets[0]
        if isinstance(target, ast.Name) and target.id in _OPTIONS:
            if len(node.targets) > 1 or target.id in found or node not in module.tree.body:
                _leave(module, node, target.id)
                return
            found[target.id] = node
    if not found:
        return
    if any(isinstance(node.ctx, ast.Store) for node in _named(module, "FAIRWAY")):
        for name, node in found.items():
            _leave(module, node, name)
        return
    *others, last = found.values()
    entries = "".join(
        f'    "{_OPTIONS[name]}": {module.source(node.value)},\n' for name, node in found.items()
    )
    text = f"FAIRWAY = {{\n{entries}}}"
    start, end = module.span(last)
    if "\r\n" in module.text.piece(0, module.text.line_end(0)):
        text = text.replace("\n", "\r\n")
    module.replace(start, end, text)
    for node in others:
        start, end = module.span(node)
        line, line_end = module.text.line_start(start), module.text.line_end(end)
        behind = module.text.piece(end, line_end).strip()
        if line == start and not behind:
            module.replace(start, line_end, "")
        else:  # something has to stay between semicolons
            module.replace(start, end, "" if behind.startswith("#") and line == start else "pass")


def _leave(module: Module, node: ast.stmt, name: str) -> None:
    module.note(
        node,
        f"{name} was left: write it as FAIRWAY = {{{_OPTIONS[name]!r}: …}}, where runserver and "
        "the server in production read it.",
    )


def _named(module: Module, name: str) -> list[ast.Name]:
    return [node for node in module.nodes(ast.Name) if node.id == name]
