"""Imports of every style, and what is reached through the names that they bind."""

import ast
import re

from fairway.compat.migrate import names
from fairway.compat.migrate.module import Module

_ASGI = "django.core.asgi", "get_asgi_application"


def rewrite_imports(module: Module) -> None:
    """Note how to change the imports of a file."""
    for node in module.nodes(ast.ImportFrom):
        if node.level == 0 and node.module is not None:
            _rewrite_from(module, node, node.module)
    roots: set[str] = set()
    for statement in module.nodes(ast.Import):
        for alias in statement.names:
            if not names.is_old(alias.name):
                continue
            if alias.asname is None:
                roots.add(alias.name.partition(".")[0])
            else:
                _rewrite_dotted(module, alias, alias.name)
    for root in sorted(roots):
        _rewrite_root(module, root)


def _rewrite_from(module: Module, node: ast.ImportFrom, source: str) -> None:
    if (source, node.names[0].name) == _ASGI and len(node.names) == 1:
        _replace_source(module, node, source, "fairway.http")
        return
    if not names.is_old(source):
        return
    if node.names[0].name == "*":
        found = names.rename(source)
        if found is not None and found.old == source:
            _replace_source(module, node, source, found.new)
        else:
            module.note(node, names.why_not(source))
        return
    targets: dict[ast.alias, tuple[str, str]] = {}
    for alias in node.names:
        dotted = f"{source}.{alias.name}"
        found = names.rename(dotted)
        if found is None or found.old not in (source, dotted):
            module.note(alias, names.why_not(dotted))
            return
        target, _, name = f"{found.new}{dotted.removeprefix(found.old)}".rpartition(".")
        targets[alias] = target, name
    sources = {target for target, _ in targets.values()}
    if len(sources) > 1:
        module.note(
            node,
            f"This import from {source} was left: its names come from "
            f"{', '.join(sorted(sources))} now. Write one import for each.",
        )
        return
    if _replace_source(module, node, source, sources.pop()):
        for alias, (_, name) in targets.items():
            if name != alias.name:
                module.replace(*module.span(alias), f"{name} as {alias.asname or alias.name}")


def _replace_source(module: Module, node: ast.ImportFrom, old: str, new: str) -> bool:
    start, end = module.span(node)
    found = re.match(rf"from[ \t]+({re.escape(old)})(?![\w.])", module.text.piece(start, end))
    if found is None:
        module.note(node, f"This import of {old} was left: it is written in an unusual way.")
        return False
    module.replace(start + found.start(1), start + found.end(1), new)
    return True


def _rewrite_dotted(module: Module, alias: ast.alias, name: str) -> bool:
    """Replace the name behind ``import``; says whether it could be."""
    found = names.rename(name)
    if found is None or found.old != name:
        module.note(alias, names.why_not(name))
        return False
    start, end = module.span(alias)
    if not module.text.piece(start, end).startswith(name):
        module.note(alias, f"This import of {name} was left: it is written in an unusual way.")
        return False
    module.replace(start, start + len(name), found.new)
    return True


def _rewrite_root(module: Module, root: str) -> None:
    """Replace ``import channels…`` and everything that is reached through ``channels``.

    Either all of it or nothing: an import that binds another name leaves the rest unbound.
    """
    aliases = [
        alias
        for statement in module.nodes(ast.Import)
        for alias in statement.names
        if alias.asname is None and alias.name.partition(".")[0] == root
    ]
    if problem := _why_not_root(module, root, aliases):
        for alias in aliases:
            module.note(alias, problem)
        return
    for alias in aliases:
        start, _ = module.span(alias)
        found = names.rename(alias.name)
        module.replace(start, start + len(alias.name), found.new if found else "fairway")
    for chain in _chains(module, root):
        dotted = ast.unparse(chain)
        found = names.rename(dotted)
        assert found is not None
        start, _ = module.span(chain)
        module.replace(start, start + len(found.old), found.new)


def _why_not_root(module: Module, root: str, aliases: list[ast.alias]) -> str | None:
    for alias in aliases:
        found = names.rename(alias.name)
        if alias.name != root and (found is None or found.old != alias.name):
            return names.why_not(alias.name)
    if root in _bound_otherwise(module):
        return f"The imports of {root} were left: the file uses {root!r} for something else, too."
    if "fairway" in _bound_otherwise(module):
        return f"The imports of {root} were left: the file uses 'fairway' for something else."
    for chain in _chains(module, root):
        dotted = ast.unparse(chain)
        found = names.rename(dotted)
        if found is None:
            return f"In line {chain.lineno}: {names.why_not(dotted)}"
        if not module.source(chain).startswith(found.old):
            return f"The imports of {root} were left: see line {chain.lineno}, which is unusual."
    return None


def _chains(module: Module, root: str) -> list[ast.expr]:
    """Every ``root.a.b`` of a file, as long as it goes."""
    chains: list[ast.expr] = []
    for name in module.nodes(ast.Name):
        if name.id != root:
            continue
        chain: ast.expr = name
        while isinstance(parent := module.parent(chain), ast.Attribute):
            chain = parent
        chains.append(chain)
    return chains


def _bound_otherwise(module: Module) -> set[str]:
    """The names that a file binds by anything but ``import a.b``."""
    bound = {node.id for node in module.nodes(ast.Name) if not isinstance(node.ctx, ast.Load)}
    bound |= {node.arg for node in module.nodes(ast.arg)}
    bound |= {node.name for node in module.nodes(ast.FunctionDef)}
    bound |= {node.name for node in module.nodes(ast.AsyncFunctionDef)}
    bound |= {node.name for node in module.nodes(ast.ClassDef)}
    bound |= {node.name for node in module.nodes(ast.ExceptHandler) if node.name}
    bound |= {node.name for node in module.nodes(ast.MatchAs) if node.name}
    bound |= {node.name for node in module.nodes(ast.MatchStar) if node.name}
    bound |= {node.rest for node in module.nodes(ast.MatchMapping) if node.rest}
    for statement in module.nodes(ast.ImportFrom):
        bound |= {alias.asname or alias.name for alias in statement.names}
    for imported in module.nodes(ast.Import):
        bound |= {alias.asname for alias in imported.names if alias.asname}
    return bound
