"""The pages of predictions in a real Chromium: accessible in light and dark, usable without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from cabc.service.limits import RateLimit
from cabc_platform.trace.collected import Collected
from cabc_platform.trace.page import page as alone
from playwright.sync_api import Browser, Page

from tests.support.chromium import WCAG, chromium, served
from tests.support.predictions import connections, predictions_app
from tests.support.service import token
from tests.support.trace import MODEL, REQUEST, Past, log_server, prediction, registered, registry_server, truth

pytestmark = pytest.mark.backend

PICTURES = Path(__file__).parents[3] / "docs/pictures"

WRONG = "of-a-changed-model"

LONG = "n" * 200
"""An id as long as one can be, without a place to break it."""

PAGES = {
    "form": "/predictions",
    "prediction": f"/predictions/{REQUEST}",
    "row": f"/predictions/{REQUEST}?row=1",
    "wrong": f"/predictions/{WRONG}",
    "long": f"/predictions/{LONG}",
    "missing": "/predictions/nowhere",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    past = Past(folder, registered())
    known = [
        prediction(registered(), truths=(truth(1, 0, superseded=True), truth(2, 1))),
        prediction(registered(), request_id=WRONG, digest="sha256:" + "0" * 64),
        prediction(registered(), request_id=LONG),
    ]
    with (
        past.record(folder) as record,
        log_server(*known) as log,
        registry_server(registered()) as registry,
    ):
        app = predictions_app(folder, record, connections(folder, past, log=log.url, mlflow=registry.url))
        app.state.cabc.login_limit = RateLimit(1000, 0.01)  # many people at one address
        with served(app) as address:
            yield address


def opened(browser: Browser, site: str, **settings: Any) -> Page:
    """Return a page of somebody who logged in through the form."""
    page = browser.new_context(base_url=site, viewport={"width": 1180, "height": 800}, **settings).new_page()
    page.set_default_timeout(30_000)
    page.goto("/login?next=/predictions")
    page.get_by_label("Token").fill(token("auditing-party"))
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/predictions")
    return page


def unfold(page: Page) -> None:
    for folded in page.locator("details").all():
        if folded.get_attribute("open") is None:
            folded.locator("summary").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible(browser: Browser, site: str, scheme: Any) -> None:
    page = opened(browser, site, color_scheme=scheme, bypass_csp=True)  # axe itself is a script
    for name, path in PAGES.items():
        page.goto(path)
        unfold(page)
        found = Axe().run(page, options=WCAG)
        assert found.violations_count == 0, f"{name}, {scheme}: {found.generate_report()}"
        assert len(found.response["passes"]) > 5, name
    page.context.close()


def test_an_inspector_needs_no_javascript(browser: Browser, site: str) -> None:
    page = opened(browser, site, java_script_enabled=False)
    page.get_by_label("Request id").fill(REQUEST)
    page.get_by_label("Row").fill("1")
    page.get_by_role("button", name="Follow").click()
    assert page.get_by_role("heading", name="Life of one prediction").is_visible()
    assert "Every hop is verified" in page.inner_text("main")
    hops = page.locator("article h3").all_inner_texts()
    assert hops[0] == "Logged input and output"
    assert hops[-1] == "What turned out to be true"
    assert "1e-07" in page.inner_text("#prediction")
    assert "81.5" not in page.inner_text("#prediction"), "the other row is somebody else's"
    page.get_by_role("link", name="all rows").click()
    assert "81.5" in page.inner_text("#prediction")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download for verification").click()
    found, _, _ = Collected.read(Path(download.value.path()))
    assert found.about["request"] == REQUEST
    page.locator("#status").get_by_role("link", name="Look at it").click()
    assert page.url.endswith(f"/subjects/{MODEL}/assessments/a12/report")
    page.context.close()


def test_narrow_pages_do_not_scroll_sideways(browser: Browser, site: str) -> None:
    page = opened(browser, site)
    page.set_viewport_size({"width": 360, "height": 740})
    for name, path in PAGES.items():
        page.goto(path)
        unfold(page)
        width = page.evaluate("() => document.documentElement.scrollWidth")
        assert width <= 360, f"{name} is {width} wide"
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_file_that_stands_alone_looks_the_same(browser: Browser, site: str, tmp_path: Path, scheme: Any) -> None:
    from cabc_platform.trace.judging import judge

    page = opened(browser, site)
    with page.expect_download() as download:
        page.goto(f"/predictions/{REQUEST}")
        page.get_by_role("link", name="Download for verification").click()
    found, _, _ = Collected.read(Path(download.value.path()))
    page.context.close()
    file = tmp_path / "decision.html"
    file.write_text(alone(judge(found)))
    context = browser.new_context(color_scheme=scheme, bypass_csp=True, viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.goto(file.as_uri())
    unfold(page)
    assert Axe().run(page, options=WCAG).violations_count == 0
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures(browser: Browser, site: str, scheme: Any, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Take pictures; with `--update-test-data` one goes into the documentation."""
    update = request.config.getoption("--update-test-data", default=False) and scheme == "light"
    folder = PICTURES if update else tmp_path
    page = opened(browser, site, color_scheme=scheme, device_scale_factor=1)
    page.goto(PAGES["prediction"])
    file = folder / f"auditor-prediction-{scheme}.png"
    page.screenshot(path=file, clip={"x": 0, "y": 0, "width": 1180, "height": 1000}, full_page=True)
    assert 10_000 < file.stat().st_size < 150_000
    page.context.close()
