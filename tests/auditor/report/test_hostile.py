"""Reports from a specification, a record and evidence that want to do harm: all of it stays text."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cabc.record.database import DatabaseRecord
from cabc.record.types import Status, Verdict
from cabc.report.badge import badge_svg
from cabc.report.formats import render
from cabc.report.markdown import escaped, markdown
from cabc.report.oscal import assessment_results, plan_of_action
from cabc.report.pages import weblink
from cabc.report.pdf import pages
from cabc.report.publish import publish
from cabc.report.status import feed, status_json
from cabc.report.table import neutral
from cabc.report.types import Reader, ReportView
from cabc.report.view import view
from markdown_it import MarkdownIt

from tests.auditor.report.test_formats import Tags
from tests.support import cabc as sample
from tests.support import cabc_report as past

READERS: list[Reader] = ["executive", "engineer", "auditor"]
ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</style></head><body onload=alert(1)>",
    "{{ 7*7 }}{% raw %}",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/pixel.png)",
    "<https://evil.example>",
    "https://evil.example/auto www.evil.example",
    "| cell | more |",
    "# heading\n- [ ] done\n```\ncode",
    '#read("/etc/passwd")',
    '#import "@preview/x:1.0.0": *',
    '$ sum_(i=1) $ #eval("1+1") *bold* _it_ @ref <label> \\',
    "\x1b[31mred\x1b[0m\x1b]8;;https://evil.example\x07link\x1b]8;;\x07",
    "abc\u202etxt.exe\u202c\u2066x\u2069\u200b",
    "\x00\x08\x7f\ufeff\U000e0041",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd",
    "%0a=1+1",
    "]]></summary><script>",
    "&lt;b&gt; &#x3c;i&#x3e;",
]
SEEDED = {
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow",
    "bearer token": "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "cloud key": "AKIAIOSFODNN7EXAMPLE",
    "password in an address": "postgresql://audit:hunter2@db.internal/scores",
    "long hex": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
}
SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|eyJ[\w-]{8,}\.[\w-]{8,}\.|AKIA[0-9A-Z]{16}|://[^/\s:]+:[^@\s]+@|gh[pousr]_\w{20,}"
)


FREE = {"comment", "name", "owner", "question", "remediation", "statement", "title"}
"""Keys of a specification whose text its author chooses."""


def hostile(attack: str) -> str:
    """Return the specification with an attack in every text that its author may write freely."""

    def changed(part: Any, key: str = "", above: str = "") -> Any:
        if isinstance(part, dict):
            return {name: changed(value, name, key) for name, value in part.items()}
        if isinstance(part, list):
            return [changed(value, key, above) for value in part]
        if key == "url":
            return "javascript:alert(document.domain)"
        return attack if key in FREE and above != "subject" else part

    return json.dumps(changed(yaml.safe_load(past.SPECIFICATION)))


def attack_record(folder: Path, attack: str) -> DatabaseRecord:
    """Return a record whose specification, values, reasons and causes are an attack."""
    bad = dict.fromkeys((past.RATIO, past.CVE, past.REVIEW), (Verdict.NOT_SATISFIED, f"found {attack}"))
    values = {past.REVIEW: attack, past.CVE: attack}
    text = hostile("".join(letter for letter in attack if letter.isprintable()) or "x")
    record = sample.record(folder)
    past.record_history(record, [past.Run(), past.Run(values, bad, Status.SUSPENDED, f"because {attack}")], text=text)
    return record


@pytest.fixture(params=ATTACKS, ids=range(len(ATTACKS)))
def attacked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, DatabaseRecord]]:
    with attack_record(tmp_path, request.param) as record:
        yield request.param, record


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """The elements of each reader's page when the text is a plain word."""
    with attack_record(tmp_path_factory.mktemp("harmless"), "word") as record:
        return [elements(report) for report in reports(record)]


def elements(report: ReportView) -> list[str]:
    return [tag for tag, _ in Tags(render(report, "html").decode()).tags]


def reports(record: DatabaseRecord) -> list[ReportView]:
    return [view(record, "a00002", reader=reader) for reader in READERS]


def test_no_text_becomes_markup(attacked: tuple[str, DatabaseRecord], harmless: list[list[str]]) -> None:
    _, record = attacked
    assert [elements(report) for report in reports(record)] == harmless
    for report in reports(record):
        page = Tags(render(report, "html").decode())
        for _, attrs in page.tags:
            assert not any(name.startswith("on") for name in attrs)
            assert re.match(r"#|https?://", attrs.get("href") or "#")
            assert "evil" not in (attrs.get("href") or "")

        parsed = MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(markdown(report).decode())
        inline = [child for token in parsed for child in token.children or []]
        assert not [part for part in inline if part.type in {"link_open", "image", "html_inline", "code_inline"}]
        assert not [token for token in parsed if token.type in {"html_block", "fence", "code_block"}]
        assert len([token for token in parsed if token.type == "heading_open" and token.tag == "h1"]) == 1


def test_no_text_reaches_a_terminal_or_reorders_a_line(attacked: tuple[str, DatabaseRecord]) -> None:
    _, record = attacked
    for report in reports(record):
        bodies = [render(report, format_) for format_ in ("html", "md", "json", "csv")]
        bodies += [json.dumps(status_json(report), ensure_ascii=False).encode(), feed(report), badge_svg(report)]
        bodies += [json.dumps([assessment_results(report), plan_of_action(report)], ensure_ascii=False).encode()]
        for body in bodies:
            text = body.decode("utf-8-sig")
            assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b\ufeff]", text)
            assert not re.search(r"\\u00(0[0-8]|1b|7f)|\\u202e|\\u2066", text)


def test_feed_and_badge_stay_well_formed(attacked: tuple[str, DatabaseRecord]) -> None:
    import xml.etree.ElementTree as ET

    _, record = attacked
    for report in reports(record):
        root = ET.fromstring(feed(report))  # noqa: S314 (our own feed)
        assert len([part for part in root.iter() if part.tag.endswith("entry")]) == 2
        assert {part.tag.rpartition("}")[2] for part in ET.fromstring(badge_svg(report)).iter()} == {  # noqa: S314 (our own picture)
            "svg", "title", "rect", "path", "text",
        }  # fmt: skip


def test_no_cell_is_a_formula(attacked: tuple[str, DatabaseRecord]) -> None:
    _, record = attacked
    for report in reports(record):
        rows = list(csv.reader(io.StringIO(render(report, "csv").decode("utf-8-sig"))))
        assert len({len(row) for row in rows}) == 1
        for cell in (cell for row in rows[1:] for cell in row):
            assert not re.match(r"\s*[=+@|%\t\r]", cell), cell


def test_typst_shows_text_and_runs_none_of_it(attacked: tuple[str, DatabaseRecord]) -> None:
    attack, record = attacked
    if "\x1b" in attack or not attack.isprintable():
        attack = "x"
    report = view(record, "a00002", reader="engineer")

    assert pages(report, ppi=20)


def test_what_typst_is_given_is_laid_out_letter_by_letter(tmp_path: Path) -> None:
    import typst

    attack = '#read("/etc/passwd") *b* $x$ <l> @r `c`'
    source = b"#let data = json(bytes(sys.inputs.data))\n#context measure(data.t).width.pt()\n#metadata(data.t)<t>"
    compiler = typst.Compiler(source, sys_inputs={"data": json.dumps({"t": attack})}, root=tmp_path)

    assert json.loads(compiler.query("<t>", field="value", one=True)) == attack


def test_references_of_typst_lead_nowhere_outside_its_folder() -> None:
    source = Path("auditor/src/cabc/report/assets/report.typ").read_text(encoding="utf-8")

    assert not re.search(r"#(import|include|read|eval|plugin)\b|\beval\(", source)


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "data:text/html,x", "vbscript:x", " javascript:x", "//evil.example", "ftp://x/y", "https://",
     "https://user:secret@host/x", "java\nscript:x", "https://[::1", None, ""],
)  # fmt: skip
def test_only_plain_web_addresses_become_links(url: str | None) -> None:
    assert weblink(url) is None


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-1+1", "@x", "\t=1", " =1", "|calc", "%x", "\r=1"])
def test_a_formula_gets_an_apostrophe(text: str) -> None:
    assert neutral(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-0.5", "1e-9", "0.93", "a=b", "ok"])
def test_numbers_and_words_stay_as_they_are(text: str) -> None:
    assert neutral(text) == text


@pytest.mark.parametrize("attack", ATTACKS)
def test_escaped_markdown_says_what_was_written(attack: str) -> None:
    from cabc.text import one_line

    html = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(f"Text: {escaped(attack)}")
    shown = re.sub(r"</?p>\n?", "", html)

    import html as entities

    assert entities.unescape(shown) == f"Text: {one_line(attack, limit=4000)}".rstrip()


@pytest.mark.parametrize("kind", SEEDED)
def test_no_published_file_holds_a_secret_that_evidence_or_a_confidential_leaf_holds(tmp_path: Path, kind: str) -> None:
    from cabc.record.keys import Keys

    secret = SEEDED[kind]
    bad = {past.CVE: (Verdict.NOT_SATISFIED, f"found {secret}")}
    with sample.record(tmp_path) as record:
        past.record_history(record, [past.Run({past.CVE: secret}, bad, Status.CONDITIONAL, f"found {secret}")])
        done = publish(record, past.SUBJECT, tmp_path / "out", Keys(tmp_path / "keys"), now=sample.NOW)
    for name in done.files:
        body = (tmp_path / "out" / past.SUBJECT / name).read_bytes()
        if name.startswith("restricted/auditor") or "plan-of" in name or "assessment-results" in name:
            continue  # an auditor may see what a confidential measurement found
        text = body.decode("utf-8", errors="ignore")
        assert secret not in text, name
        assert not SECRETS.search(text), name
