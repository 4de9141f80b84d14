"""plan, assess, status, waive, attest, revoke, baseline, diff: what people see and how the commands end."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cabc.cli import assess, diff, status
from cabc.engine.statements import parse_until
from cabc.errors import CabcError
from click.testing import Result
from typer import Typer
from typer.testing import CliRunner

NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
SPEC = """
conformitySpecification:
  id: s
  version: 1
  mode: self-assessment
  frequency: P1D
  subject: {name: scoring}
  parties: [{id: bank, role: auditee}]
  risks: [{id: R1, statement: unequal, likelihood: low, impact: high}]
  dimensions:
    - id: d
      requirements:
        - id: equal
          severity: critical
          mitigates: [R1]
          metrics:
            - id: m
              measurements:
                - id: ratio
                  interface: {kind: file, connection: docs, path: m.json, pointer: /ratio}
                  dataType: numeric
                  comparison: GreaterThanOrEqual
                  target: 0.8
        - id: secret
          severity: high
          confidential: true
          metrics:
            - id: m
              measurements:
                - id: key
                  interface: {kind: file, connection: docs, path: m.json, pointer: /secret}
                  dataType: numeric
                  comparison: LessThan
                  target: 77
        - id: oversight
          severity: high
          metrics:
            - id: m
              measurements:
                - id: look
                  interface: {kind: manual, question: Does a person look?}
                  dataType: boolean
                  comparison: EqualTo
                  target: true
"""

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give the commands in a folder with a specification and a backend of one file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "m.json").write_text('{"ratio": 0.9, "secret": -8675309.25}')
    (tmp_path / ".cabc").mkdir()
    (tmp_path / ".cabc" / "connections.yaml").write_text("connections: {docs: {kind: file, root: ..}}\n")
    app = Typer()
    for module in (assess, diff, status):
        module.register(app)
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments])


def body(result: Result) -> Any:
    return json.loads(result.stdout)


ATTEST = ("attest", "scoring", "d/oversight/m/look", "--value", "true", "--statement", "they look", "--until", "P30D")


def test_plan_says_what_is_asked_and_what_cannot_be_had(run: Run, tmp_path: Path) -> None:
    result = run("plan", "spec.yaml")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "3 requirements due, 3 leaves, 1 queries (1 leaves share one), at most 4 s",
        "  docs: 1 queries",
        "  d/oversight/m/look: a person answers (cabc attest)",
    ]

    (tmp_path / ".cabc" / "connections.yaml").unlink()
    missing = run("plan", "spec.yaml", "--json")
    assert missing.exit_code == 1
    assert [each["leaf"] for each in body(missing)["missing"]] == ["d/equal/m/ratio", "d/secret/m/key"]
    assert not (tmp_path / ".cabc" / "record.db").exists(), "a plan records nothing"


def test_from_first_run_to_conformant_and_back(run: Run, tmp_path: Path) -> None:
    first = run("assess", "spec.yaml")
    assert first.exit_code == 1
    assert "scoring: conditional" in first.stdout
    assert "nobody has attested: Does a person look?" in " ".join(first.stdout.split())
    assert "8675309" not in first.stdout
    assert "confidential" in first.stdout

    assert run(*ATTEST, "--by", "carol").exit_code == 0
    good = run("assess", "spec.yaml", "--json")
    assert (good.exit_code, body(good)["status"]["status"]) == (0, "conformant")
    hidden = next(each for each in body(good)["findings"] if each["requirement"] == "d/secret")
    assert "reason" not in hidden
    assert hidden["verdict"] == "satisfied"
    shown = run("status", "scoring")
    assert shown.exit_code == 0
    assert "conformant (was conditional)" in shown.stdout

    (tmp_path / "m.json").write_text('{"ratio": 0.5, "secret": -8675309.25}')
    bad = run("assess", "spec.yaml")
    assert bad.exit_code == 1
    assert "found 0.5, wanted at least 0.8 [risks R1]" in " ".join(bad.stdout.split())

    waived = run("waive", "scoring", "d/equal", "--reason", "retraining", "--until", "PT1H", "--approver", "bob")
    assert waived.exit_code == 0
    assert "d/equal until" in waived.stdout
    assert body(run("assess", "spec.yaml", "--json"))["status"]["status"] == "conditional"
    revoked = run("revoke", "scoring", "--reason", "incident 7", "--by", "authority")
    assert "revoked (was conditional); revoked by authority: incident 7" in revoked.stdout
    history = [each["status"] for each in body(run("status", "scoring", "--json"))["history"]]
    assert history == ["revoked", "conditional", "suspended", "conformant", "conditional"]

    ids = [body(run("assess", "spec.yaml", "--json"))["assessment"]["id"] for _ in range(2)]
    assert run("diff", *ids).stdout == "no difference\n"


def test_diff_counts_from_the_pinned_baseline(run: Run, tmp_path: Path) -> None:
    assessment = body(run("assess", "spec.yaml", "--json"))["assessment"]["id"]
    assert run("baseline", "pin", "scoring", assessment).exit_code == 0
    assert body(run("baseline", "show", "scoring", "--json"))["assessment"] == assessment
    (tmp_path / "new.yaml").write_text(SPEC.replace("target: 0.8", "target: 0.95").replace("target: 77", "target: 99"))

    result = run("diff", "spec.yaml", "new.yaml")

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "~ d/equal/m/ratio target: at least 0.8 → at least 0.95 (tightened)",
        "~ d/secret/m/key target: confidential (loosened)",
        "on the pinned baseline: d/equal/m/ratio verdict: satisfied → not-satisfied",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("waive", "scoring", "d/nothing", "--reason", "x", "--until", "P1D"), "there is no requirement 'd/nothing'"),
        (("waive", "scoring", "d/equal", "--reason", " ", "--until", "P1D"), "reason says nothing"),
        (("waive", "scoring", "d/equal", "--reason", "x", "--until", "2020-01-01T00:00Z"), "is not in the future"),
        (("waive", "scoring", "d/equal", "--reason", "x", "--until", "P999D"), "more than 366 days away"),
        (("waive", "nobody", "d/equal", "--reason", "x", "--until", "P1D"), "'nobody' has not been assessed"),
        (("attest", "scoring", "d/equal/m/ratio", *ATTEST[3:]), "there is no manual measurement"),
        ((*ATTEST[:4], "3", *ATTEST[5:]), "wanted true or false"),
        (("baseline", "pin", "scoring", "a1"), "scoring has no assessment 'a1'"),
        (("baseline", "show", "scoring"), "scoring has no baseline"),
        (("status", "nobody"), "there is no subject 'nobody'"),
        (("assess", "spec.yaml", "-r", "d/nothing"), "there is no requirement d/nothing"),
        (("diff", "a1", "a2"), "'a1' is neither a file nor an assessment"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_with_a_remedy(run: Run, arguments: tuple[str, ...], said: str) -> None:
    run("assess", "spec.yaml")

    result = run(*arguments)

    assert isinstance(result.exception, CabcError)
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("P1D", NOW + dt.timedelta(days=1)),
        ("PT90M", NOW + dt.timedelta(minutes=90)),
        ("2026-12-01T10:00Z", dt.datetime(2026, 12, 1, 10, tzinfo=dt.UTC)),
        ("2026-12-01T10:00:00+02:00", dt.datetime(2026, 12, 1, 8, tzinfo=dt.UTC)),
    ],
)
def test_end_is_an_instant_with_its_zone_or_a_duration(text: str, expected: dt.datetime) -> None:
    assert parse_until(text, NOW) == expected


@pytest.mark.parametrize("text", ["2026-12-01", "2026-12-01T10:00", "2026", "tomorrow", "2026-13-01T10:00Z", "P1M", ""])
def test_local_times_and_years_alone_are_refused(text: str) -> None:
    with pytest.raises(CabcError):
        parse_until(text, NOW)
