"""Find the snippets of a Markdown page, and do what the page says with them.

A page is a story: its snippets, in order, act on one empty directory. What to do with a snippet is
said by an HTML comment on the line above its fence, which readers do not see::

    <!-- file: live/consumers.py -->     write this file (again, if it was there)
    <!-- append: mysite/settings.py -->  add to the end of this file
    <!-- run -->                         run each `$ ` line; the lines between are what it prints
    <!-- python -->                      run as a script of its own
    <!-- serve: NAME -->                 start this server, and check it with NAME of checks.py
    <!-- make -->                        each line is `$ make TARGET` and the target exists
    <!-- excerpt: examples/x.py -->      this stands, word for word, in that file of the repository
    <!-- unchecked: WHY -->              nobody runs it, for a good reason

A fence of language `text` is output and needs no comment. Every other fence needs one. What a page
takes for granted stands in a comment of its own: ``<!-- setup: COMMAND -->``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

VERBS = {"file", "append", "run", "python", "serve", "make", "excerpt", "unchecked"}
WITH_ARGUMENT = {"file", "append", "serve", "excerpt", "unchecked"}

_FENCE = re.compile(r"(?P<indent> *)(?P<marks>```+|~~~+)(?P<info>.*)")
_COMMENT = re.compile(r"<!-- (?P<verb>[a-z]+)(?:: (?P<argument>.+))? -->")


@dataclass(frozen=True)
class Snippet:
    """A fenced block of a page.

    Attributes:
        place: Page and line of the fence, as messages quote it: ``docs/tutorial.md:12``.
        language: The first word after the fence's backticks.
        verb: What to do with it, one of ``VERBS``, or "" where the page does not say.
        argument: What follows the verb: a path, a name, a reason.
        text: What stands between the fences.
    """

    place: str
    language: str
    verb: str
    argument: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The lines that begin with ``$ ``, without it."""
        return [line[2:] for line in self.text.splitlines() if line.startswith("$ ")]


def pages() -> list[Path]:
    """Every page that a reader may copy from."""
    top = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    return top + sorted(
        page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts
    )


def name_of(page: Path) -> str:
    """A page's path below the root of the repository."""
    return page.relative_to(ROOT).as_posix()


def snippets(page: Path) -> list[Snippet]:
    """The snippets of a page in the order of reading; MyST directives are not snippets."""
    found = []
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        opening = _FENCE.fullmatch(lines[number])
        if opening is None:
            verb, argument = _directive(lines[number])
            if verb == "setup":
                place = f"{name_of(page)}:{number + 1}"
                found.append(Snippet(place, "console", "run", "", f"$ {argument}\n"))
            number += 1
            continue
        end = number + 1
        while lines[end].strip() != opening["marks"]:
            end += 1
        info = opening["info"].strip()
        if not info.startswith("{"):
            place = f"{name_of(page)}:{number + 1}"
            assert not opening["indent"], f"{place}: an indented fence; put it at the margin"
            verb, argument = _directive(lines[number - 1] if number else "")
            text = "\n".join(lines[number + 1 : end]) + "\n"
            found.append(Snippet(place, info.split(" ")[0], verb, argument, text))
        number = end + 1
    return found


def _directive(line: str) -> tuple[str, str]:
    comment = _COMMENT.fullmatch(line.strip())
    return (comment["verb"], comment["argument"] or "") if comment else ("", "")


def complaint(snippet: Snippet) -> str:
    """What keeps a snippet from being checked; "" if nothing does."""
    if snippet.language == "text":
        return f"output takes no <!-- {snippet.verb} -->" if snippet.verb else ""
    if not snippet.verb:
        return "no <!-- comment --> above says how it is checked (see tests/docs/snippets.py)"
    if snippet.verb not in VERBS:
        return f"nobody knows what <!-- {snippet.verb} --> means"
    if (snippet.verb in WITH_ARGUMENT) is not bool(snippet.argument):
        wrong = "takes no" if snippet.argument else "lacks its"
        return f"<!-- {snippet.verb} --> {wrong} argument"
    if snippet.verb in {"run", "serve", "make"} and not snippet.commands:
        return "no line of it begins with `$ `"
    return ""
