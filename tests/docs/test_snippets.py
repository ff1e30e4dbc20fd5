"""Every page of the documentation does what it says."""

import asyncio
import re
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.commands import PATIENCE
from tests.docs import checks
from tests.docs.snippets import ROOT, complaint, name_of, pages, snippets
from tests.docs.story import Story


def page_parameter(page: Path) -> ParameterSet:
    """A page, marked if trying it takes a browser."""
    served = {s.argument for s in snippets(page) if s.verb == "serve"}
    marks = [pytest.mark.browser] if served & checks.IN_A_BROWSER else []
    return pytest.param(page, id=name_of(page), marks=marks)


by_page = pytest.mark.parametrize("page", pages(), ids=name_of)


@by_page
def test_every_snippet_is_checked(page: Path) -> None:
    """Each fenced block says how it is checked, or why not, or is output."""
    complaints = {s.place: complaint(s) for s in snippets(page) if complaint(s)}
    assert complaints == {}


@pytest.mark.parametrize("page", [page_parameter(page) for page in pages()])
async def test_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    """The snippets of a page, played in order, give what the page promises."""
    story = Story(tmp_path)
    for snippet in snippets(page):
        if snippet.verb == "serve":
            with story.serve(snippet) as address:
                async with asyncio.timeout(PATIENCE):
                    await getattr(checks, snippet.argument)(address)
        else:
            story.play(snippet)


@by_page
def test_links_lead_somewhere(page: Path) -> None:
    """A relative link or picture of a page is a file of the repository."""
    prose = re.sub(r"^(```+).*?^\1$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", prose)
    broken = [link for link in links if not (page.parent / link).exists()]
    assert broken == [], f"{name_of(page)} links to what is not there"


def test_every_check_is_used() -> None:
    """A check that no page names is a check that nobody makes."""
    used = {s.argument for page in pages() for s in snippets(page) if s.verb == "serve"}
    assert set(checks.__all__) == used


def test_changelog_names_the_version() -> None:
    """The changelog has an entry for the version that the package says it is."""
    from fairway import __version__

    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
