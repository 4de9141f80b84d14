"""`cabc demo` from an empty directory, as a newcomer types it: real training, a real MLflow server, a real record."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.backend, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    empty = tmp_path_factory.mktemp("empty")
    ran = cabc(empty, "demo", "--json")
    assert ran.returncode == 0, ran.stderr
    (empty / "told.json").write_text(ran.stdout)
    return empty / "cabc-demo"


def cabc(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cabc", *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=800)


def test_the_fair_version_conforms_and_the_unfair_one_is_suspended(home: Path) -> None:
    fair, unfair = json.loads((home.parent / "told.json").read_text())["audited"]
    assert fair["status"] == "conformant"
    assert fair["metrics"]["approval_ratio"] >= 0.8
    assert unfair["status"] == "suspended"
    assert unfair["metrics"]["approval_ratio"] < 0.8
    (finding,) = unfair["findings"]
    assert finding["requirement"] == "fairness/equal-treatment"
    assert finding["risks"] == ["R1"]
    assert str(unfair["metrics"]["approval_ratio"])[:6] in finding["reason"]


def test_report_and_status_page_are_written(home: Path) -> None:
    published = home / "published" / "loan-approval"
    status = json.loads((published / "status.json").read_text())
    assert "suspended" in json.dumps(status)
    assert "certified" not in (published / "report.html").read_text().lower()
    assert (published / "report.pdf").read_bytes().startswith(b"%PDF")


def test_the_record_verifies_and_a_changed_byte_does_not(home: Path) -> None:
    assert cabc(home, "verify", "--home", ".").returncode == 0
    report = home / "published" / "loan-approval" / "report.md"
    whole = report.read_bytes()
    report.write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
    faulty = cabc(home, "verify", "--home", ".")
    report.write_bytes(whole)
    assert faulty.returncode == 1
    assert "report.md" in faulty.stdout + faulty.stderr


def test_the_finding_is_traced_to_its_risk(home: Path) -> None:
    traced = cabc(home, "trace", "loan-approval", "R1", "--home", ".").stdout
    assert "Applicants of one group" in traced
    assert "approval-ratio" in traced
    assert "sha256:" in traced


def test_another_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "cabc-demo").mkdir()
    (tmp_path / "cabc-demo" / "mine.txt").write_text("mine")
    refused = cabc(tmp_path, "demo")
    assert refused.returncode == 2
    assert "not empty" in refused.stderr
