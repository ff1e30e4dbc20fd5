"""What the tests of the rewriting share."""

import textwrap

from fairway.compat.migrate.python import rewrite_python


def rewritten(source: str) -> str:
    """A file that is understood whole: no notes, and the same again the second time."""
    result = rewrite_python(textwrap.dedent(source))
    assert result.notes == ()
    assert rewrite_python(result.text) == result
    return result.text


def left(source: str) -> list[tuple[int, str]]:
    """The notes of a file in which nothing is changed."""
    source = textwrap.dedent(source)
    result = rewrite_python(source)
    assert result.text == source
    return [(note.line, note.reason) for note in result.notes]
