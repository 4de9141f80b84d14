"""The status for programs: JSON, badge, feed, and a signed statement that needs none of our code to be checked."""

from __future__ import annotations

import base64
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from cabc.record.keys import Keys
from cabc.record.types import Status
from cabc.report.badge import badge_json, badge_svg
from cabc.report.statement import envelope, statement
from cabc.report.status import feed, status_json
from cabc.report.view import view
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.auditor.report.conftest import View
from tests.support import cabc as sample
from tests.support import cabc_report as past

ATOM = "{http://www.w3.org/2005/Atom}"


def check(pem: bytes, signed: dict[str, Any]) -> dict[str, Any]:
    """Verify an envelope as the DSSE specification says, and as docs/reference/cabc-status.md shows it."""
    payload = base64.b64decode(signed["payload"])
    kind = signed["payloadType"]
    covered = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    key = load_pem_public_key(pem)
    assert isinstance(key, Ed25519PublicKey)
    key.verify(base64.b64decode(signed["signatures"][0]["sig"]), covered)
    found: dict[str, Any] = json.loads(payload)
    return found


def test_the_statement_is_signed_by_the_publisher_and_bound_to_the_model(seen: View, tmp_path: Path) -> None:
    report = seen("executive")
    claim = statement(report)
    assert claim is not None
    signed = envelope(claim, Keys(tmp_path))

    found = check((tmp_path / "publish.pub").read_bytes(), signed)

    assert found == claim
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    digest = sample.digest(b"model 4").removeprefix("sha256:")
    assert found["subject"] == [{"name": "credit-scoring@4", "digest": {"sha256": digest}}]
    predicate = found["predicate"]
    assert predicate["result"] == "FAILED"
    assert predicate["configuration"][0]["digest"] == {
        "sha256": report.specification.digest.removeprefix("sha256:"),
    }
    assert past.BIAS in predicate["failedTests"]
    assert "accuracy-robustness-security/accuracy" in predicate["passedTests"]


@pytest.mark.parametrize("place", ["payload", "payloadType"])
def test_a_changed_statement_does_not_verify(seen: View, tmp_path: Path, place: str) -> None:
    claim = statement(seen("executive"))
    assert claim is not None
    signed = envelope(claim, Keys(tmp_path))
    text = base64.b64decode(signed["payload"]).decode().replace("FAILED", "PASSED")
    signed[place] = base64.b64encode(text.encode()).decode() if place == "payload" else "application/json"

    with pytest.raises(InvalidSignature):
        check((tmp_path / "publish.pub").read_bytes(), signed)


def test_a_waived_failure_is_a_warning(seen: View) -> None:
    claim = statement(seen("executive", 7))

    assert claim is not None
    assert claim["predicate"]["result"] == "WARNED"
    assert claim["predicate"]["warnedTests"] == ["accuracy-robustness-security/operation"]
    assert claim["predicate"]["failedTests"] == []


def test_without_a_digest_of_the_model_nothing_is_claimed(seen: View) -> None:
    report = seen("executive")
    unknown = report.model_copy(update={"subject": report.subject.model_copy(update={"digest": None})})

    assert statement(unknown) is None


def test_status_says_what_a_gate_needs(seen: View) -> None:
    body = status_json(seen("executive"))

    assert (body["status"], body["mode"], body["since"]) == ("suspended", "third-party", "2026-11-20T06:00:04Z")
    assert body["openRisks"] == ["R1", "R2", "R5"]
    assert body["requirements"][past.SUPPLY] == "not-satisfied"
    assert "Contoso" not in json.dumps(body)


def test_a_status_says_until_when_it_may_be_relied_upon(tmp_path: Path) -> None:
    text = past.SPECIFICATION.replace("  risks:\n", "  statusPolicy: {staleAfter: P8D}\n  risks:\n")
    with sample.record(tmp_path) as record:
        (name,) = past.record_history(record, [past.Run()], text=text)
        body = status_json(view(record, name, reader="executive"))

    assert body["validUntil"] == "2026-11-18T06:00:04Z"


def test_badge_for_shields(seen: View) -> None:
    body = badge_json(seen("executive"))

    assert body == {
        "schemaVersion": 1,
        "label": "third-party audit",
        "message": "suspended",
        "color": "#a81c1c",
        "cacheSeconds": 300,
    }


@pytest.mark.parametrize("status", list(Status))
def test_badge_gives_each_text_its_room(seen: View, status: Status) -> None:
    report = seen("executive")
    changed = report.model_copy(update={"status": report.status.model_copy(update={"status": status})})
    root = ET.fromstring(badge_svg(changed))  # noqa: S314 (our own picture)
    texts = [part for part in root if part.tag.endswith("text")]
    whole = float(root.attrib["width"])

    assert [text.text for text in texts] == ["third-party audit", status.value]
    edge = 0.0
    for text in texts:
        middle, length = float(text.attrib["x"]), float(text.attrib["textLength"])
        assert middle - length / 2 >= edge + 4.5
        assert middle + length / 2 <= whole - 4.5
        edge = middle + length / 2
        assert 4.5 < length / len(text.text or "") < 8


def test_feed_has_one_entry_for_each_change_with_ids_that_stay(seen: View) -> None:
    root = ET.fromstring(feed(seen("executive")))  # noqa: S314 (our own feed)
    entries = root.findall(f"{ATOM}entry")
    ids = [entry.findtext(f"{ATOM}id") for entry in entries]

    assert [entry.findtext(f"{ATOM}title") for entry in entries] == [
        "credit-scoring version 4: suspended",
        "credit-scoring version 3: conformant",
        "credit-scoring version 3: conditional",
        "credit-scoring version 3: conformant",
    ]
    assert root.findtext(f"{ATOM}updated") == entries[0].findtext(f"{ATOM}updated") == "2026-11-20T06:00:04Z"
    assert len(set(ids)) == 4
    earlier = ET.fromstring(feed(seen("executive", 7)))  # noqa: S314 (our own feed)
    assert [entry.findtext(f"{ATOM}id") for entry in earlier.findall(f"{ATOM}entry")] == ids[2:]
    assert all(re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", id_ or "") for id_ in ids)


def test_the_documented_check_works_without_our_code(seen: View, tmp_path: Path) -> None:
    import subprocess
    import sys

    page = (Path(__file__).parents[3] / "docs/reference/cabc-status.md").read_text(encoding="utf-8")
    script = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert script is not None
    assert "cabc" not in script[1]
    claim = statement(seen("executive"))
    assert claim is not None
    (tmp_path / "statement.dsse.json").write_text(json.dumps(envelope(claim, Keys(tmp_path))), encoding="utf-8")
    (tmp_path / "check.py").write_text(script[1], encoding="utf-8")
    command = [sys.executable, "-I", "check.py", "statement.dsse.json", "publish.pub"]

    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[0] == f"{sample.digest(b'model 4').removeprefix('sha256:')} FAILED"
    assert answer.stdout.splitlines()[1].endswith("third-party suspended")

    Keys(tmp_path / "other").sign("publish", b"")
    forged = [*command[:-1], "other/publish.pub"]
    assert (
        "InvalidSignature" in subprocess.run(forged, cwd=tmp_path, capture_output=True, text=True, check=False).stderr
    )
