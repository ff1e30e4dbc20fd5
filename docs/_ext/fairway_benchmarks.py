"""What Sphinx does for the page of benchmarks, from the stored results in ``benchmarks/results``.

``{fairway-targets}``
    every target beside what was measured
``{fairway-plots}``
    a picture for each scenario
``{fairway-remarks}``
    what was tried, for each target that is missed, from ``benchmarks/remarks.toml``
``{fairway-runs}``
    where the figures come from: dates, machines, versions
"""

from collections.abc import Callable
from typing import ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from harness import pictures, published, scenarios, targets


def plots(results: list[published.Result]) -> str:
    """The pictures under their titles, as Markdown."""
    return "\n\n".join(
        f"### {title}\n\n```{{raw}} html\n{picture}\n```"
        for title, picture in published.plots(results)
    )


class BenchmarksDirective(SphinxDirective):
    """Put what was measured where the directive stands."""

    #: What makes the text, as Markdown, by the directive's name.
    texts: ClassVar[dict[str, Callable[[list[published.Result]], str]]] = {
        "fairway-targets": published.table,
        "fairway-plots": plots,
        "fairway-remarks": published.remarks,
        "fairway-runs": published.runs,
    }

    def run(self) -> list[nodes.Node]:
        """Parse the text as a part of the page, anew when anything that it is made of changes."""
        made_by = (__file__, *(each.__file__ for each in (pictures, published, scenarios, targets)))
        stored = published.RESULTS.glob("*.json")
        for path in (*made_by, published.REMARKS, published.RESULTS, *stored):
            self.env.note_dependency(str(path))
        text = self.texts[self.name](published.load())
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Tell Sphinx what this module offers."""
    for name in BenchmarksDirective.texts:
        app.add_directive(name, BenchmarksDirective)
    return {"parallel_read_safe": True}
