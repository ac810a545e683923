"""Documentation is an assertion: generated pages are fresh, links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("rules/**/*.md")])


def _builder():
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BUILDER = _builder()


@pytest.mark.parametrize("page", list(BUILDER.PAGES), ids=lambda path: path.name)
def test_generated_page_is_fresh(page: Path) -> None:
    assert page.read_text() == BUILDER.PAGES[page](), f"{page.name} is stale: run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_the_security_page_names_files_that_exist() -> None:
    lines = (ROOT / "docs" / "security.md").read_text().splitlines()
    told = [
        (line, name)
        for line in lines
        for name in re.findall(r"`((?:tests|api_gateway|reportgen_dagster|deploy)/[\w/.]+)`", line)
    ]
    assert len(told) > 100
    assert [name for line, name in told if "(to come)" not in line and not (ROOT / name).exists()] == []
    rows = [line.split("|")[1].strip() for line in lines if re.match(r"\| [GWD]\d+ \|", line)]
    assert len(rows) == len(set(rows)) == 38


def test_the_readme_names_every_command() -> None:
    named = re.findall(r"^## `reportgen (\w+)", BUILDER.commands_page(), re.MULTILINE)
    assert len(set(named)) >= 12
    readme = (ROOT / "README.md").read_text()
    assert [name for name in named if f"`reportgen {name}" not in readme] == []


def test_the_readme_is_among_the_pages_checked() -> None:
    assert ROOT / "README.md" in PAGES
    assert len(PAGES) >= 6
