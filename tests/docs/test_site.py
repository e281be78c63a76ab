"""The site that `make docs` has built: all names, links that lead somewhere, no net."""

import inspect
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from urllib.parse import urljoin
from urllib.parse import urlsplit

import pytest

import keras_nam

SITE = Path(__file__).parents[2] / "build" / "site"
NAMES = [
    f"{package}.{name}"
    for package in sorted(set(keras_nam.__all__) - {"__version__"})
    for name in sorted(getattr(keras_nam, package).__all__)
]
# What tutorials say of their outputs.
CLAIMS = {
    "export": r"6 2 9 5 1 4 1 3.*6 2 9 5 1 4 1 3.*_ 3 1 4 _ 4 1 3 E",
    "language-model": r"with decay: 0\.\d+ bits at first, 0\.\d+ at last\s+"
    r"without: 0\.\d+ bits at first, [1-9]\.\d+ at last",
    "lstm-to-memory": r"20 \{'LSTM': 0, 'NAM-TM': (9\d|100)\}",
    "masked-words": r"'masked_perplexity': [3-6]\.",
    "own-layer": r"\sTrue\s.*(0\.9\d|1\.0)\].*\sTrue\s",
    "presets": r"right: True.*200 digits: 100 %.*200 digits: 0 %",
    "search": r"3 of 3 trials are complete",
    "teach": r"the five others: 0\.0 %.*the five others: [7-9]\d\.\d %",
}


class Page(HTMLParser):
    """What a page links to, what it loads, and the places that links may lead to."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.text = path.read_text()
        self.links, self.loaded, self.anchors, self.words = [], [], {""}, ""
        self.feed(self.text)

    def handle_data(self, data):
        self.words += data

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.add(attributes.get("id"))
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        elif tag == "link":
            self.loaded.append(attributes["href"])
        elif source := attributes.get("src"):
            self.loaded.append(source)


@pytest.fixture(scope="module")
def pages():
    pages = [Page(path) for path in SITE.glob("**/*.html") if path.name != "404.html"]
    assert len(pages) > len(NAMES)
    return {"/" + str(page.path.relative_to(SITE)): page for page in pages}


def test_links_lead_somewhere(pages):
    lost = []
    for here, page in pages.items():
        for link in page.links + page.loaded:
            target = urlsplit(urljoin(f"//site{here}", link))
            if target.netloc != "site":
                continue
            path = unquote(target.path)
            path += "index.html" if path.endswith("/") else ""
            there = pages.get(path)
            anchor = unquote(target.fragment)
            if not (SITE / path[1:]).is_file() or (
                there and anchor not in there.anchors
            ):
                lost.append(f"{here}: {link}")
    assert not lost


def test_nothing_is_loaded_from_the_net(pages):
    for page in pages.values():
        assert not [url for url in page.loaded if urlsplit(url).netloc]
    for path in SITE.glob("**/*.css"):
        assert not re.search(r"(url\(|@import) *['\"]?(https?:)?//", path.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_a_page(pages, name):
    package, member = name.split(".")
    page = pages[f"/api/{package}/{member}/index.html"]
    assert f"keras_nam.{name}" in page.anchors
    thing = getattr(getattr(keras_nam, package), member)
    if callable(thing):
        assert "Source code in" in page.text
        for heading in ("Args", "Call arguments", "Returns", "Raises"):
            if f"\n{heading}:\n" in (inspect.getdoc(thing) or ""):
                assert f"<strong>{heading}</strong>" in page.text


def test_equations_are_rendered(pages):
    for page in pages.values():
        assert 'class="arithmatex"' not in page.text
    assert "<math" in pages["/api/layers/NAMTM/index.html"].text


@pytest.mark.parametrize("tutorial", CLAIMS)
def test_tutorials_give_what_they_say(pages, tutorial):
    words = pages[f"/tutorials/{tutorial}/index.html"].words
    assert re.search(CLAIMS[tutorial], words, re.DOTALL)


def test_figures_of_tutorials_are_made(pages):
    tutorials = [path for path in pages if path.startswith("/tutorials/")]
    assert any(".png" in link for path in tutorials for link in pages[path].loaded)
