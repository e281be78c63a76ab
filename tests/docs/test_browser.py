"""The site that `make docs` has built, in Chromium."""

import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

SITE = Path(__file__).parents[2] / "build" / "site"
# Answered by the test itself, without a network. Here pages may use the clipboard.
ADDRESS = "http://localhost/"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
PAGES = ("", "speed/", "export/", "api/layers/NAMTM/", "api/ops/memory_scan/")
# The contrast of every text with what is behind it, by the definition of WCAG.
CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d");
  const color = text => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map(x => x / 255);
  };
  const luminance = rgb => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => sum
    + weight * (rgb[i] <= 0.03928 ? rgb[i] / 12.92
                                  : ((rgb[i] + 0.055) / 1.055) ** 2.4), 0);
  const over = (top, bottom) =>
    bottom.map((x, i) => i == 3 ? 1 : top[i] * top[3] + x * (1 - top[3]));
  return [...document.querySelectorAll("article :is(p, li, td, code, mi, h1)")].map(
    element => {
      const chain = [];
      for (let e = element; e; e = e.parentElement) chain.unshift(e);
      const behind = chain.reduce(
        (under, e) => over(color(getComputedStyle(e).backgroundColor), under),
        [1, 1, 1, 1]);
      const front = over(color(getComputedStyle(element).color), behind);
      const [a, b] = [luminance(front), luminance(behind)].sort((x, y) => y - x);
      return (a + 0.05) / (b + 0.05);
    });
}"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture
def show(browser):
    """Opens a page. Whatever it asks of another server or complains of is an error."""
    faults = []

    def answer(route):
        url = route.request.url
        path = SITE / urlsplit(url).path[1:]
        path = path / "index.html" if path.is_dir() else path
        if url.startswith(ADDRESS) and path.is_file():
            route.fulfill(path=path)
        else:
            faults.append(url)
            route.abort()

    def show(path, width=1280, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.route("**/*", answer)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(error))
        page.goto(ADDRESS + path)
        return page

    yield show
    for context in browser.contexts:
        context.close()
    assert not faults


@pytest.mark.parametrize(
    ("query", "title"),
    [("NAMAttention", "NAMAttention"), ("LiteRT", "Exporting and serving")],
)
def test_search(show, query, title):
    page = show("")
    page.fill("input.md-search__input", query)
    page.click(f".md-search-result__item a:has-text('{title}')")
    page.wait_for_selector(f"h1:has-text('{title}')")


def test_code_can_be_copied(show):
    page = show("")
    block = page.locator(".highlight:has-text('import keras_nam')").first
    block.hover()
    block.locator("[data-md-type=copy], .md-clipboard").first.click()
    page.wait_for_selector(".md-dialog--active")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("import keras\nimport keras_nam\n\ntokens =")
    assert copied.strip() == block.locator("code").inner_text().strip()


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_shows_all_of_a_page(show, path):
    page = show(path, width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("article p").first.is_visible()
    size = page.evaluate("getComputedStyle(document.querySelector('p')).fontSize")
    assert float(size.removesuffix("px")) >= 14


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(show, path, scheme):
    page = show(path, scheme=scheme)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 384) == (scheme == "dark")
    assert min(page.evaluate(CONTRASTS)) >= 4.5
