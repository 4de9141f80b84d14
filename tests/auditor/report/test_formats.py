"""HTML, Markdown, PDF, CSV, JSON: whole, legible, the same each time."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import jsonschema_rs
import pytest
from cabc.record.types import Status
from cabc.report.formats import FORMATS, render, schema
from cabc.report.html import figures, html
from cabc.report.markdown import markdown
from cabc.report.pdf import pages, pdf
from cabc.report.table import table
from cabc.report.tokens import tokens
from cabc.report.types import Reader
from cabc.report.view import view
from markdown_it import MarkdownIt

from tests.auditor.report.conftest import View
from tests.support import cabc as sample
from tests.support import cabc_report as past

READERS: list[Reader] = ["executive", "engineer", "auditor"]


class Tags(HTMLParser):
    """Collects what a browser would see; fails on elements that are closed in the wrong order."""

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("reader", READERS)
def test_html_stands_alone(seen: View, reader: Reader) -> None:
    text = html(seen(reader)).decode()
    page = Tags(text)
    names = [tag for tag, _ in page.tags]
    policy = next(attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert policy is not None

    assert not {"script", "img", "link", "iframe", "form", "object", "base"} & set(names)
    assert names.count("h1") == 1
    assert "default-src 'none'" in policy
    assert base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode() in policy
    for _, attrs in page.tags:
        assert not any(name.startswith("on") or name == "style" for name in attrs)
        assert (attrs.get("href") or "#").startswith(("#", "https://"))


@pytest.mark.parametrize("reader", READERS)
def test_links_inside_a_page_lead_somewhere(seen: View, reader: Reader) -> None:
    page = Tags(html(seen(reader)).decode())
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    inner = [attrs["href"] for tag, attrs in page.tags if tag == "a" and (attrs["href"] or "").startswith("#")]

    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in inner if link} <= set(ids)


@pytest.mark.parametrize("reader", READERS)
def test_every_table_has_heads_and_every_plot_says_what_it_shows(seen: View, reader: Reader) -> None:
    page = Tags(html(seen(reader)).decode())

    assert all(attrs.get("scope") in {"col", "row"} for tag, attrs in page.tags if tag == "th")
    plots = [attrs for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"]
    assert len(plots) >= 2
    assert all(attrs.get("aria-label") for attrs in plots)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_have_the_contrast_that_wcag_aa_asks_for(theme: str) -> None:
    ink = tokens("dark" if theme == "dark" else "light")
    texts = product(["ink", "soft", "link"], ["paper", "panel"])
    marks = [(tone, ground) for tone in ("good", "warn", "bad", "gone", "mute") for ground in (f"{tone}-soft", "paper")]

    for text, ground in [*texts, *marks, *(("ink", f"{tone}-soft") for tone in ("good", "warn", "bad", "gone"))]:
        assert contrast(ink[text], ink[ground]) >= 4.5, (text, ground)


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_an_executive_report_is_one_page(seen: View) -> None:
    assert len(pages(seen("executive"), ppi=30)) == 1


@pytest.mark.parametrize("reader", READERS)
def test_pdf_is_tagged_archivable_and_the_same_each_time(seen: View, reader: Reader) -> None:
    report = seen(reader)
    body = pdf(report)

    assert body == pdf(report)
    assert body.startswith(b"%PDF-1.7")
    assert b"/MarkInfo" in body
    assert b"/StructTreeRoot" in body
    for part in (b"<pdfaid:part>2</pdfaid:part>", b"<pdfaid:conformance>A</pdfaid:conformance>", b"<pdfuaid:part>1<"):
        assert part in body


def test_markdown_tables_are_whole(seen: View) -> None:
    for reader in READERS:
        tokens_ = MarkdownIt("commonmark").enable("table").parse(markdown(seen(reader)).decode())
        rows: list[int] = []
        for token in tokens_:
            if token.type == "tr_open":
                rows.append(0)
            elif token.type in {"td_open", "th_open"}:
                rows[-1] += 1
        assert rows
        assert not any(token.type == "paragraph_open" and "|" in (token.content or "") for token in tokens_)
        assert markdown(seen(reader)).decode().count("| confidential |") == (1 if reader == "engineer" else 0)


def test_csv_has_one_line_for_each_leaf(seen: View) -> None:
    body = table(seen("auditor"))
    rows = list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"))))

    assert len(rows) == 7
    ratio = next(row for row in rows if row["path"] == past.RATIO)
    assert (ratio["found"], ratio["verdict"], ratio["age_seconds"]) == ("0.61", "not-satisfied", "94")


def test_json_is_what_the_committed_schema_says(seen: View) -> None:
    wanted = json.loads(schema())
    for reader in READERS:
        jsonschema_rs.validate(wanted, json.loads(render(seen(reader), "json")))


def test_the_committed_schema_is_the_one_of_the_program(*, update_test_data: bool) -> None:
    file = Path(__file__).parents[3] / "docs/reference/cabc-report.schema.json"
    if update_test_data:
        file.write_text(schema(), encoding="utf-8")

    assert file.read_text(encoding="utf-8") == schema(), "pytest --update-test-data tests/auditor/report"


def test_an_assessment_may_end_within_a_second(seen: View) -> None:
    report = seen("executive")
    ended = report.assessment.ended.replace(microsecond=123456)
    report = report.model_copy(update={"assessment": report.assessment.model_copy(update={"ended": ended})})

    for format_ in FORMATS:
        assert render(report, format_)


@pytest.mark.parametrize("mode", ["self-assessment", "third-party", "certification"])
@pytest.mark.parametrize("status", list(Status))
def test_only_certification_says_certified(tmp_path: Path, mode: str, status: Status) -> None:
    from cabc.report.badge import badge_json, badge_svg
    from cabc.report.oscal import assessment_results
    from cabc.report.statement import statement
    from cabc.report.status import feed, status_json

    text = past.SPECIFICATION.replace("mode: third-party", f"mode: {mode}")
    if mode == "certification":
        text = text.replace("{id: registry,", "{id: body, role: certification-body}\n    - {id: registry,")
    with sample.record(tmp_path) as record:
        (name,) = past.record_history(record, [past.Run(status=status)], text=text)
        said = ""
        for reader in READERS:
            report = view(record, name, reader=reader)
            said += "".join(render(report, format_).decode("utf-8-sig") for format_ in FORMATS if format_ != "pdf")
            said += json.dumps([badge_json(report), statement(report), status_json(report), assessment_results(report)])
            said += badge_svg(report).decode() + feed(report).decode()

    if mode == "certification":
        assert ("certified" in said.lower()) is True
        assert ("Certified: all" in said) is (status is Status.CONFORMANT)
    else:
        assert "certif" not in said.lower()


def test_plots_follow_the_theme_on_screen_and_have_fixed_colours_in_print(seen: View) -> None:
    from cabc.report.plots import PRINT

    report = seen("engineer")
    screen, printed = figures(report), figures(report, PRINT)

    assert "var(--bad)" in screen.status
    assert "var(" not in printed.status
    assert tokens()["bad"] in printed.status
    assert "suspended from 2026-11-20 06:00" in screen.status
    assert "allowed from 0.8 to 1.25" in screen.leaves[past.RATIO]


def test_a_pdf_of_many_leaves_shows_the_failing_ones_and_says_how_many_it_leaves_out(seen: View) -> None:
    from cabc.report.pdf import _data

    report = seen("auditor")
    satisfied = next(leaf for leaf in report.leaves if leaf.path == past.LATENCY)
    many = [satisfied.model_copy(update={"path": f"{satisfied.path}-{number}"}) for number in range(400)]
    report = report.model_copy(update={"leaves": [*report.leaves, *many]})
    data = _data(report)

    assert data["omitted"] == 107
    assert past.RATIO in {leaf["path"] for leaf in data["report"]["leaves"]}
    assert pages(report, ppi=20)


def test_the_word_certified_stands_in_one_module_only() -> None:
    folder = Path(__file__).parents[3] / "auditor/src/cabc/report"
    said = {file.name for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc"
            and "certified" in file.read_text(encoding="utf-8").lower()}  # fmt: skip

    assert said == {"wording.py"}


def test_an_auditors_page_leads_from_a_risk_to_its_requirement_and_back(seen: View) -> None:
    text = html(seen("auditor")).decode()

    assert f'href="#finding-{past.BIAS}"' in text
    assert f'id="finding-{past.BIAS}"' in text
    assert 'href="#risk-R1"' in text
    assert 'id="risk-R1"' in text
