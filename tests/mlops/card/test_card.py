"""A card says what people declared, what was measured and what the auditor says, and what of it is not there."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from components._core import paths
from mlops.card import Card, Gathered, build, cli, gather, render
from mlops.errors import OperationError
from mlops.loop import places
from mlops.loop.cluster import Cluster
from tests.support.watching import Watched

DECLARED = yaml.safe_load((paths.CHECKOUT / "examples" / "loan_approval" / "card.yaml").read_text())

FACTS = {
    "schema": "model-card-facts/1",
    "model": {"name": "loan-approval", "version": "2", "runId": "run-2", "codeVersion": "abc"},
    "declared": {key: value for key, value in DECLARED.items() if key != "data"},
    "data": {
        **DECLARED["data"],
        "sha256": "d" * 64,
        "rows": {"training": 1491, "evaluation": 498},
        "features": ["appinc", "loanamt"],
        "attributes": ["black", "male"],
    },
    "metrics": {
        "accuracy": 0.8996,
        "auc": 0.8525,
        "disparate_impact_ratio_black": 0.962,
        "equalized_odds_difference_black": 0.084,
        "smallest_group_black": 51.0,
    },
}


@pytest.fixture
def platform() -> Watched:
    platform = Watched()
    platform.watching = []
    platform.artefacts = {"card/facts.json": FACTS}
    return platform


def collect(platform: Watched, version: str | None = None) -> Gathered:
    cluster = cast("Cluster", platform)
    return gather(cluster, places.find(cluster), "loan-approval", version)


@pytest.fixture
def found(platform: Watched) -> Gathered:
    return collect(platform)


def table(card: Card, title: str) -> dict[str, Any]:
    (section,) = [section for section in card.sections if section.title == title]
    return {row[0]: row[1:] for row in section.rows}


def test_declared_and_measured_stand_beside_each_other(found: Gathered) -> None:
    card = build(found)
    assert card.title == "Loan approval, version 2"
    assert table(card, "Performance on held-out rows") == {"accuracy": ("0.8996",), "auc": ("0.8525",)}
    assert table(card, "Fairness on held-out rows") == {
        "black": ("0.9620", "0.0840", "51"),
        "male": ("(nothing)", "(nothing)", "(nothing)"),
    }
    assert table(card, "Model")["digest of the artefact"] == ("sha256:2",)
    (limits,) = [section.points for section in card.sections if section.title == "Limitations"]
    assert limits == DECLARED["limitations"]


def test_a_platform_that_neither_watches_nor_audits_is_told_so(found: Gathered) -> None:
    texts = {section.title: section.text for section in build(found).sections}
    assert texts["In operation"] == "This platform has no model monitor."
    assert texts["Conformity"] == "This platform has no auditor."


def test_a_status_of_another_version_is_not_taken_for_this_ones(found: Gathered) -> None:
    status = {"status": "suspended", "version": "1", "failingRequirements": ["data-governance/fair-at-training"]}
    told = Gathered(found.version, found.run, found.facts, conformity=status)
    (section,) = [section for section in build(told).sections if section.title == "Conformity"]
    assert section.text == "What follows is about version 1: version 2 is not audited now."
    assert section.points == ["Not satisfied: data-governance/fair-at-training"]


def test_a_report_is_shown_by_its_figures(found: Gathered) -> None:
    report = {"rows": 1200, "performance": {"accuracy": 0.91}, "features": [{"name": "a"}], "drift_share": None}
    told = Gathered(found.version, found.run, found.facts, monitoring=report)
    shown = table(build(told), "In operation")
    assert shown == {"rows": ("1200",), "performance.accuracy": ("0.9100",), "drift_share": ("(nothing)",)}


def test_a_version_without_facts_is_told_what_to_do(platform: Watched) -> None:
    platform.artefacts = {}
    with pytest.raises(OperationError, match=r"run run-2 of model loan-approval version 2 has no artefact card/facts"):
        collect(platform)


def test_a_version_that_is_not_there(platform: Watched) -> None:
    with pytest.raises(OperationError, match="model loan-approval has no version 9"):
        collect(platform, "9")


def test_a_monitor_that_does_not_answer_leaves_its_part_out(platform: Watched) -> None:
    platform.watching = [platform.monitor]
    platform.monitor.replicas = 0
    found = collect(platform)
    assert found.monitoring is None
    assert found.unmonitored.startswith("The model monitor could not be asked: does not answer: Deployment")


class Reader(HTMLParser):
    """Checks nesting and collects what a person reads, and what a browser would fetch."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value for name, value in attrs if name in {"src", "href"} and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def test_html_needs_nothing_else_and_suits_dark_screens(found: Gathered) -> None:
    text = render.html(build(found))
    read = Reader(text)
    assert not read.fetched
    assert "script" not in text
    assert "prefers-color-scheme: dark" in text
    assert "Loan approval, version 2" in read.words


def test_what_people_wrote_is_text_in_every_form(found: Gathered) -> None:
    hostile = "<script>alert(1)</script> | `code` [link](javascript:x) *bold*"
    facts = {**FACTS, "declared": {**FACTS["declared"], "overview": hostile}}  # type: ignore[dict-item]
    card = build(Gathered(found.version, found.run, facts))
    assert hostile in Reader(render.html(card)).words
    shown = MarkdownIt().enable("table").render(render.markdown(card))
    assert hostile in Reader(shown).words


def test_markdown_has_every_section_and_cell(found: Gathered) -> None:
    card = build(found)
    shown = MarkdownIt().enable("table").render(render.markdown(card))
    assert re.findall(r"<h2>(.*?)</h2>", shown) == [section.title for section in card.sections]
    cells = sum(len(row) for section in card.sections for row in section.rows)
    assert shown.count("<td>") == cells


def test_json_has_the_facts_and_the_card(found: Gathered) -> None:
    told = json.loads(render.plain(build(found), found))
    assert told["schema"] == "model-card/1"
    assert told["model"]["run_id"] == "run-2"
    assert told["metrics"] == FACTS["metrics"]
    assert told["card"]["title"] == "Loan approval, version 2"


def test_the_command_keeps_all_three_forms_under_the_run(
    platform: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "Cluster", lambda _text: platform)
    monkeypatch.setattr(cli, "kubeconfig_text", lambda _stack, _file: "")
    file = tmp_path / "card.html"
    done = CliRunner().invoke(cli.app, ["loan-approval", "--html", str(file)])
    assert done.exit_code == 0, done.output
    assert "# Loan approval, version 2" in done.output
    assert platform.stored.keys() == set(cli.FILES.values())
    assert platform.stored["card/model-card.html"] == file.read_bytes()


def test_the_command_stores_nothing_when_told_so(platform: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "Cluster", lambda _text: platform)
    monkeypatch.setattr(cli, "kubeconfig_text", lambda _stack, _file: "")
    done = CliRunner().invoke(cli.app, ["loan-approval", "--no-store", "--json"])
    assert json.loads(done.stdout)["model"]["version"] == "2"
    assert not platform.stored
