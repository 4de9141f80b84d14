"""Reports in a real Chromium: accessible, styled under their own policy, legible on a phone, quiet on the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from cabc.report.badge import badge_svg
from cabc.report.formats import render
from cabc.report.tokens import tokens
from cabc.report.types import Reader
from playwright.sync_api import Browser, Page

from tests.auditor.report.conftest import View

READERS: list[Reader] = ["executive", "engineer", "auditor"]
SCHEMES: list[Literal["light", "dark"]] = ["light", "dark"]


@pytest.fixture(scope="module")
def files(seen: View, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    for reader in READERS:
        (folder / f"{reader}.html").write_bytes(render(seen(reader), "html"))
    return {reader: folder / f"{reader}.html" for reader in READERS}


def opened(browser: Browser, file: Path, **settings: Any) -> Page:
    page = browser.new_context(**settings).new_page()
    page.set_default_timeout(20_000)
    page.goto(file.as_uri())
    return page


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("reader", READERS)
def test_reports_are_accessible(browser: Browser, files: dict[str, Path], reader: Reader, scheme: Any) -> None:
    page = opened(browser, files[reader], color_scheme=scheme, bypass_csp=True)  # axe itself is a script
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
    page.context.close()

    assert found.violations_count == 0, found.generate_report()
    assert len(found.response["passes"]) > 5


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_policy_lets_the_reports_own_style_in_and_nothing_else(
    browser: Browser, files: dict[str, Path], scheme: Any
) -> None:
    page = opened(browser, files["auditor"], color_scheme=scheme)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.context.close()

    wanted = tokens(scheme)["paper"]
    assert paper == f"rgb({', '.join(str(int(wanted[place : place + 2], 16)) for place in (1, 3, 5))})"
    assert said == []
    assert asked == [files["auditor"].as_uri()]


def test_a_script_that_got_in_would_not_run(browser: Browser, files: dict[str, Path], tmp_path: Path) -> None:
    text = files["executive"].read_text(encoding="utf-8")
    changed = tmp_path / "changed.html"
    changed.write_text(text.replace("</h1>", "<script>document.title = 'ran'</script></h1>"), encoding="utf-8")
    page = opened(browser, changed)
    title = page.title()
    page.context.close()

    assert title.startswith("credit-scoring: suspended")


@pytest.mark.parametrize("reader", READERS)
def test_reports_fit_a_phone(browser: Browser, files: dict[str, Path], reader: Reader) -> None:
    page = opened(browser, files[reader], viewport={"width": 360, "height": 700})
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.context.close()

    assert wide <= 360


def test_the_badges_texts_fit_their_halves_in_the_font_that_is_there(
    browser: Browser, seen: View, tmp_path: Path
) -> None:
    file = tmp_path / "badge.html"
    file.write_bytes(b"<body>" + badge_svg(seen("executive")))
    page = opened(browser, file)
    free = page.evaluate(
        "[...document.querySelectorAll('text')].map(t => { t.removeAttribute('textLength'); return t.getBBox().width })"
    )
    page.context.close()
    text = file.read_text(encoding="utf-8")
    given = [float(part.partition('"')[0]) for part in text.split('textLength="')[1:]]

    assert len(free) == len(given) == 2
    for natural, wanted in zip(free, given, strict=True):
        assert abs(natural - wanted) < 0.1 * wanted
