"""What Sphinx does for the page on interoperation: tables of what ``make interop`` found and runs.

``{fairway-interop}``
    the results of the last run, from ``interop/results.json``
``{fairway-servers}``
    the commands for the servers of others, as that run uses them
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from proving import report, servers


class InteropDirective(SphinxDirective):
    """Put the results where the directive stands."""

    def run(self) -> list[nodes.Node]:
        """Parse the tables as a part of the page, anew when the results have changed."""
        for path in (__file__, report.__file__, str(report.RESULTS)):
            self.env.note_dependency(path)
        text = report.markdown(report.load())
        return self.parse_text_to_nodes(text, allow_section_headings=True)


class ServersDirective(SphinxDirective):
    """Put the commands where the directive stands."""

    def run(self) -> list[nodes.Node]:
        """Parse the table as a part of the page, anew when the commands have changed."""
        for path in (__file__, servers.__file__):
            self.env.note_dependency(path)
        return self.parse_text_to_nodes(servers.markdown())


def setup(app: Sphinx) -> ExtensionMetadata:
    """Tell Sphinx what this module offers."""
    app.add_directive("fairway-interop", InteropDirective)
    app.add_directive("fairway-servers", ServersDirective)
    return {"parallel_read_safe": True}
