"""Texts of users are texts on the pages, whatever they say: nothing runs, nothing is read, nobody is asked."""

from __future__ import annotations

import base64
import re
import socket
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pypdf import PdfReader
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from reportgen_dagster.engine.pages.texts import REPLACED, shown
from reportgen_dagster.engine.pages.values import LONGEST
from reportgen_dagster.engine.pages.wish import FileFacts, PagesWish
from tests.engine.pages.making import Pages, make, table, wish
from tests.engine.pages.payloads import payloads

ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "h1",
        "h2",
        "p",
        "dl",
        "div",
        "dt",
        "dd",
        "main",
        "ul",
    ),
    *(
        "li",
        "span",
        "strong",
        "section",
        "figure",
        "figcaption",
        "img",
        "table",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "th",
    ),
    *("td", "bdi", "footer"),
}
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "scope", "src", "alt"}
SVG = "{http://www.w3.org/2000/svg}"
SVG_TAGS = {"svg", "metadata", "defs", "style", "g", "path", "use", "clipPath", "rect", "text", "tspan"}


@pytest.fixture(scope="module")
def canary() -> Iterator[socket.socket]:
    """A server that must not be asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server


@pytest.fixture(scope="module")
def texts(canary: socket.socket) -> list[str]:
    return payloads(canary.getsockname()[1])


def _wish(texts: list[str]) -> PagesWish:
    """Return a wish in which users' texts stand wherever they can."""
    told = wish(
        {
            "charts": [
                {"kind": "bar", "x": "text", "y": "n", "by": "text", "title": texts[0]},
                {"kind": "pie", "x": "text", "y": "n", "title": texts[30]},
                {"kind": "line", "x": "few", "y": "n", "by": "few"},
            ],
            "totals": ["n", texts[2]],
            "sort": ["n"],
            "title": texts[3],
        },
        report=texts[4],
        run_id=texts[5],
        rules=texts[64],
        files=(FileFacts(texts[7], texts[65], 1),),
        reject_count=1,
        contracts={
            texts[9]: {
                "passed": False,
                "failures": [
                    {"column": text, "check": text, "message": text, "count": 1, "severity": "error"}
                    for text in texts[:10]
                ],
            }
        },
        broken=[dict.fromkeys(("step", "column", "rule"), text) | {"count": 1} for text in texts[80:90]],
        warnings=texts[10:20],
        reject_samples=[
            dict.fromkeys(("_line", "_column", "_rule", "_value", "_reason"), text) for text in texts[60:80]
        ],
    )
    return PagesWish(texts[11], texts[66], told.presentation, told.facts, texts[13])


def _table(texts: list[str]) -> Any:
    numbers = list(range(len(texts)))
    return table(
        {"text": texts, "n": numbers, texts[2]: numbers, "few": [texts[number % 7] for number in numbers]}
    )


@pytest.fixture(scope="module")
def made(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return make(tmp_path_factory.mktemp("pages"), _table(texts), _wish(texts))


def test_there_are_enough_of_them(texts: list[str]) -> None:
    assert len(set(texts)) == len(texts) >= 180


def test_html_has_no_other_elements_and_attributes_and_every_text_as_it_is(
    made: Pages, texts: list[str]
) -> None:
    page = made.page
    assert {element.tag for element in page.elements} == TAGS
    assert {name for element in page.elements for name in element.attributes} == ATTRIBUTES
    assert [row[0] for row in page.rows()] == [shown(text, LONGEST) for text in texts]
    assert page.names()[2] == texts[2]
    assert b"<script" not in made.html
    assert made.html.startswith(b"<!DOCTYPE html>")
    (policy,) = (one for one in page.elements if one.attributes.get("http-equiv"))
    assert policy.attributes["content"] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    sources = [element.attributes["src"] or "" for element in page.root.all("img")]
    assert len(sources) == 3
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)


def test_what_cannot_be_seen_is_shown_as_such(made: Pages) -> None:
    text = made.html.decode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert f"{REPLACED}gnp.exe" in text


def test_charts_hold_nothing_that_acts_or_loads(made: Pages) -> None:
    for image in made.page.root.all("img"):
        told = base64.b64decode((image.attributes["src"] or "").partition(",")[2])
        svg = ElementTree.fromstring(told)  # noqa: S314 - of our own making
        elements = [element for element in svg.iter() if str(element.tag).startswith(SVG)]
        assert {element.tag.removeprefix(SVG) for element in elements} <= SVG_TAGS
        for element in elements:
            for name, value in element.attrib.items():
                assert not name.startswith("on")
                assert not name.endswith("href") or value.startswith("#")
                assert "url(" not in value or value.startswith("url(#")


def test_a_browser_asks_nobody_and_runs_nothing(made: Pages, canary: socket.socket, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(made.html)
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in ARGUMENTS:
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        browser.get(path.as_uri())
        assert browser.find_elements(By.TAG_NAME, "script") == []
        pictures = browser.find_elements(By.TAG_NAME, "img")
        assert [picture.get_property("naturalWidth") > 100 for picture in pictures] == [True] * 3
        assert "owned" not in browser.title
        assert browser.get_log("browser") == []
    finally:
        browser.quit()
    with pytest.raises(BlockingIOError):
        canary.accept()


def _keys(reader: PdfReader) -> set[str]:
    """Return the keys of all objects of a PDF."""
    found: set[str] = set()
    waiting: list[Any] = [reader.trailer]
    seen: set[int] = set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, IndirectObject):
            if part.idnum in seen:
                continue
            seen.add(part.idnum)
            part = part.get_object()
        if isinstance(part, DictionaryObject):
            found |= set(part)
            waiting += part.values()
        elif isinstance(part, ArrayObject):
            waiting += part
    return found


def test_pdf_holds_every_text_and_nothing_that_acts(
    made: Pages, texts: list[str], canary: socket.socket
) -> None:
    assert not _keys(made.reader) & {
        "/Annots", "/AA", "/OpenAction", "/JavaScript", "/JS", "/URI", "/Launch", "/EmbeddedFiles", "/AcroForm", "/XFA",
        "/RichMedia", "/GoToR", "/SubmitForm",
    }  # fmt: skip
    words = _plain("".join(made.sheets))
    for text in texts:
        if text.isascii() and len(text) < 150:
            assert _plain(shown(text, LONGEST)) in words
    assert "root:" not in words
    with pytest.raises(BlockingIOError):
        canary.accept()


def _plain(text: str) -> str:
    """Return what is left of a text when it is set: without blanks, ligatures and invisible letters taken apart."""
    return "".join(
        letter
        for letter in unicodedata.normalize("NFKC", text)
        if letter.isprintable() and not letter.isspace()
    )
