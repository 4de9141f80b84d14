"""The pages in a real Chromium: accessible in light and dark, usable without JavaScript, no script allowed to run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from cabc.service.app import create_app
from cabc.service.limits import RateLimit
from playwright.sync_api import Browser, Page

from tests.support.cabc import record as open_sample
from tests.support.chromium import WCAG, served
from tests.support.service import HIDDEN_VALUE, NOW, SUBJECT, make_home, seed, token

PICTURES = Path(__file__).parents[3] / "docs/pictures"
PAGES = {
    "board": "/subjects",
    "specification": f"/subjects/{SUBJECT}",
    "history": f"/subjects/{SUBJECT}/history",
    "finding": f"/subjects/{SUBJECT}/findings/data-governance/bias",
    "waiver": f"/subjects/{SUBJECT}/waive?requirement=data-governance/bias",
    "attestation": f"/subjects/{SUBJECT}/attest",
    "published": "/status",
    "status": f"/status/{SUBJECT}",
    "report": f"/subjects/{SUBJECT}/assessments/a-credit-scoring-12/report?reader=auditor",
    "missing": "/subjects/none",
}
PICTURED = {
    "light": ["board", "specification", "history", "finding", "status"],
    "dark": ["specification", "finding"],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service with the engine's own steps for publishing, over the recorded past."""
    from cabc.report.publish import publish

    folder = tmp_path_factory.mktemp("site")
    home = make_home(folder)
    with open_sample(folder) as record:
        seed(record, folder)
        for subject in record.subjects():
            publish(record, subject, home.published, record.keys, now=NOW)
        app = create_app(home, record=record, now=lambda: NOW, work=False)
        app.state.cabc.login_limit = RateLimit(1000, 0.01)  # many people at one address
        with served(app) as address:
            yield address


def opened(browser: Browser, site: str, role: str = "auditing-party", **settings: Any) -> Page:
    """Return a page of somebody who logged in through the form."""
    context = browser.new_context(base_url=site, viewport={"width": 1180, "height": 800}, **settings)
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto("/login?next=/subjects")
    page.get_by_label("Token").fill(token(role))
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/subjects")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible(browser: Browser, site: str, scheme: Any) -> None:
    page = opened(browser, site, color_scheme=scheme, bypass_csp=True)  # axe itself is a script
    for name, path in PAGES.items():
        page.goto(path)
        found = Axe().run(page, options=WCAG)
        assert found.violations_count == 0, f"{name}, {scheme}: {found.generate_report()}"
        assert len(found.response["passes"]) > 5, name
    page.context.close()


def test_login_is_accessible_and_says_what_is_wrong(browser: Browser, site: str) -> None:
    page = browser.new_context(base_url=site, bypass_csp=True).new_page()
    page.goto("/login")
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    assert "not known" in page.get_by_role("alert").inner_text()
    assert Axe().run(page).violations_count == 0
    page.context.close()


def test_everything_works_without_javascript(browser: Browser, site: str) -> None:
    page = opened(browser, site, java_script_enabled=False)
    assert page.get_by_role("link", name=SUBJECT).is_visible()
    page.get_by_label("Name contains").fill("chu")
    page.get_by_role("button", name="Show").click()
    assert not page.get_by_role("link", name=SUBJECT).is_visible()
    page.goto("/subjects")
    page.get_by_label("Failing only").check()
    page.get_by_role("button", name="Show").click()
    assert "1 of 2 subjects" in page.locator("caption").inner_text()
    page.get_by_role("link", name=SUBJECT).click()
    closed = page.locator("details:not([open]) > summary").first
    text = closed.inner_text()
    closed.click()
    assert page.locator("details[open] > summary", has_text=text.split("\n")[0]).count() == 1
    page.get_by_role("link", name="Finding and evidence of data-governance/bias").click()
    assert "Applicants of one group are refused more often" in page.inner_text("main")
    with page.expect_download() as download:
        page.get_by_role("link", name="sha256:").first.click()
    assert b'"leaf"' in Path(download.value.path()).read_bytes()
    page.context.close()


@pytest.mark.parametrize(("scheme", "names"), PICTURED.items())
def test_pictures(  # noqa: PLR0917 (pytest gives them by name)
    browser: Browser, site: str, scheme: Any, names: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Take pictures; with `--update-test-data` they go into the documentation."""
    folder = PICTURES if request.config.getoption("--update-test-data", default=False) else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    page = opened(browser, site, color_scheme=scheme, device_scale_factor=1)
    for name in names:
        page.goto(PAGES[name])
        file = folder / f"auditor-{name}-{scheme}.png"
        page.screenshot(path=file, clip={"x": 0, "y": 0, "width": 1180, "height": 1000}, full_page=True)
        assert 10_000 < file.stat().st_size < 150_000, name
    page.context.close()


def test_a_waiver_is_given_through_the_form(browser: Browser, site: str) -> None:
    page = opened(browser, site, java_script_enabled=False)
    page.goto(f"/subjects/{SUBJECT}/findings/data-governance/bias")
    page.get_by_role("link", name="Waive this requirement").click()
    assert page.get_by_label("Requirement").input_value() == "data-governance/bias"
    page.get_by_label("Reason").fill("Retraining is under way; the product owner accepts the risk for an hour.")
    page.get_by_label("Expires").fill("2020-01-01T00:00")
    page.get_by_role("button", name="Waive").click()
    assert "in the future" in page.inner_text(".wrong")
    assert "product owner" in page.get_by_label("Reason").input_value()  # what was written is not lost
    page.get_by_label("Expires").fill("2026-11-24T13:00")
    page.get_by_role("button", name="Waive").click()
    row = page.locator("#waivers ~ div tbody tr").first.inner_text()
    assert "in force" in row
    assert "auditing-party-person" in row
    page.context.close()


def test_a_reader_sees_neither_secrets_nor_forms(browser: Browser, site: str) -> None:
    page = opened(browser, site, "reader")
    for name in ("specification", "history", "finding"):
        page.goto(PAGES[name])
        assert HIDDEN_VALUE not in page.content()
        assert "Internal scanner" not in page.content()
    page.goto(PAGES["specification"])
    assert page.get_by_role("button", name="Assess now").count() == 0
    answer = page.goto(PAGES["waiver"])
    assert answer is not None
    assert answer.status == 403
    page.context.close()


def test_no_script_runs_and_nothing_is_loaded_from_elsewhere(browser: Browser, site: str) -> None:
    page = opened(browser, site)
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    for path in PAGES.values():
        page.goto(path)
    assert all(url.startswith(site) for url in asked)
    assert [text for text in complaints if "404" not in text] == []
    page.goto("/subjects")
    blocked = page.evaluate(
        "() => new Promise(done => {"
        " document.addEventListener('securitypolicyviolation', e => done(e.effectiveDirective));"
        " const s = document.createElement('script'); s.textContent = '1'; document.body.append(s);"
        " setTimeout(() => done('ran'), 2000) })"
    )
    assert blocked.startswith("script-src")
    cookies = {cookie["name"]: cookie for cookie in page.context.cookies()}
    session = cookies["cabc_session"]
    assert session["httpOnly"]
    assert session["sameSite"] == "Strict"
    assert page.evaluate("() => document.cookie") == ""
    page.context.close()


def test_narrow_and_printed_pages_do_not_scroll_sideways(browser: Browser, site: str) -> None:
    page = opened(browser, site)
    page.set_viewport_size({"width": 360, "height": 740})
    for name, path in PAGES.items():
        page.goto(path)
        width = page.evaluate("() => document.documentElement.scrollWidth")
        assert width <= 360, f"{name} is {width} wide"
    page.context.close()
