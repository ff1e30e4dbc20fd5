"""One Python file: everything that can be changed in it."""

from fairway.compat.migrate import names
from fairway.compat.migrate.edits import Note, Rewritten
from fairway.compat.migrate.imports import rewrite_imports
from fairway.compat.migrate.module import Module
from fairway.compat.migrate.settings import rewrite_apps, rewrite_daphne_settings
from fairway.compat.migrate.strings import rewrite_strings


def rewrite_python(source: str) -> Rewritten:
    """The text of a Python file with the names of Fairway; the same text if there is nothing to do.

    A second time changes nothing more.
    """
    if not any(root in source for root in (*names.ROOTS, "DAPHNE_", "get_asgi_application")):
        return Rewritten(source)
    try:
        module = Module(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        reason = f"The file was left: this Python cannot read it ({error})."
        return Rewritten(source, (Note(line, reason),))
    rewrite_imports(module)
    settled = rewrite_apps(module)
    rewrite_daphne_settings(module)
    rewrite_strings(module, settled)
    return Rewritten(module.text.apply(module.edits), tuple(sorted(module.notes)))
