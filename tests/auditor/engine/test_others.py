"""What other parties answer for: nested documents, values, signed results."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cabc.document.loaded import LoadedDocument
from cabc.engine.assess import Assessed
from cabc.engine.auditor import Auditor
from cabc.home import Home, Settings
from cabc.interfaces.base import Connection, SubjectFacts
from cabc.interfaces.connections import AssessorConnection
from cabc.interfaces.dsse import seal
from cabc.record.chain import draft
from cabc.record.database import DatabaseRecord
from cabc.record.types import Status, Verdict, Waiver
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.cabc_engine import Backend, Clock, auditor, connections, document, leaf, record, requirement, trigger

KEY, STRANGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
PINNED = "sha256:" + "b" * 64
MODEL = "sha256:" + "a" * 64


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(tmp_path: Path, clock: Clock) -> Iterator[DatabaseRecord]:
    with record(tmp_path, clock) as opened:
        yield opened


def run(engine: Auditor, spec: LoadedDocument, clock: Clock, *due: str) -> Assessed:
    clock.pass_(minutes=1)
    return asyncio.run(engine.run(spec, trigger(clock, *due))).assessed[0]


def vendor_document(target: float = 0.5) -> bytes:
    body = {
        "id": "vendor",
        "version": 1,
        "mode": "self-assessment",
        "subject": {"name": "vendor-part"},
        "frequency": "PT1H",
        "parties": [{"id": "us", "role": "auditee"}],
        "dimensions": [{"id": "v", "requirements": [requirement("x", leaf("vx", target), severity="critical")]}],
    }
    return json.dumps({"conformitySpecification": body}).encode()


def holding(text: bytes) -> LoadedDocument:
    held = {"path": "vendor.json", "digest": f"sha256:{hashlib.sha256(text).hexdigest()}"}
    part = {"id": "part", "severity": "critical", "document": held}
    return document(requirement("own", leaf("o")), part, nested={"vendor.json": text})


def test_nested_document_decides_what_holds_it(tmp_path: Path, book: DatabaseRecord, clock: Clock) -> None:
    spec = holding(vendor_document())
    backend = Backend({"/o": 1, "/vx": 0.1})
    engine = auditor(tmp_path, book, backend, clock=clock)

    bad = run(engine, spec, clock)
    verdicts = {each.requirement: each.verdict.value for each in bad.findings}
    assert verdicts == {"d/own": "satisfied", "d/part": "not-satisfied", "d/part/v/x": "not-satisfied"}
    assert bad.findings[1].failing == bad.findings[2].failing == ["d/part/v/x/m/vx"]
    assert [each.requirement for each in bad.observations] == ["d/own", "d/part/v/x"]
    kinds = [entry.kind for entry in book.entries("collect:scoring")]
    assert kinds == ["trigger", "document", "document", "collection"]
    later = clock() + dt.timedelta(hours=1)
    waiver = Waiver(
        id="w", subject="scoring", requirement="d/part", reason="r", approver="a", created=clock(), expires=later
    )
    book.append([draft(waiver)])
    waived = run(engine, spec, clock)
    assert [each.waiver for each in waived.findings] == [None, "w", "w"]
    assert waived.statuses[-1].status is Status.CONDITIONAL

    backend.values["/vx"] = 1
    backend.asked.clear()
    part = run(engine, spec, clock, "d/part")
    assert backend.asked == ["/vx", "/o", "/vx"], "what is held is due with what holds it; a pass is then confirmed"
    assert part.assessment.trigger.requirements == ["d/part", "d/part/v/x"]


def signed(clock: Clock, key: Ed25519PrivateKey = KEY, *, result: str = "PASSED", sequence: int = 1) -> bytes:
    notes = {"assessed": clock().isoformat(), "sequence": sequence}
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "scoring", "digest": {"sha256": MODEL[7:]}}],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": result,
            "configuration": [{"digest": {"sha256": PINNED[7:]}, "annotations": notes}],
            "failedTests": ["v/x"] if result == "FAILED" else [],
        },
    }
    return seal(json.dumps(statement).encode(), key, key_id="vendor")


def assessed_by_vendor() -> LoadedDocument:
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    interface = {
        "kind": "assessor",
        "connection": "vendor",
        "path": "/r.json",
        "returns": "result",
        "specDigest": PINNED,
    }
    return document(
        {"id": "part", "severity": "critical", "assessor": "vendor", "interface": interface},
        parties=[
            {"id": "us", "role": "auditee"},
            {"id": "them", "role": "auditing-party"},
            {"id": "vendor", "role": "assessor", "publicKeys": [pem]},
        ],
        subject={"name": "scoring"},
    )


def test_signed_result_is_taken_over_only_when_it_holds(tmp_path: Path, book: DatabaseRecord, clock: Clock) -> None:
    have: dict[str, Connection] = {**connections(), "vendor": AssessorConnection(kind="assessor", root=str(tmp_path))}

    async def known(*_: Any) -> SubjectFacts:
        return SubjectFacts(name="scoring", version="1", digest=MODEL)

    engine = Auditor(Home(tmp_path, Settings()), book, have, now=clock, resolve=known)
    spec, file = assessed_by_vendor(), tmp_path / "r.json"

    def judged(body: bytes) -> tuple[Verdict, str]:
        file.write_bytes(body)
        found = run(engine, spec, clock).observations[0]
        assert found.source == "external"
        return found.verdict, found.reason

    verdict, reason = judged(signed(clock, sequence=5))
    assert (verdict, reason) == (Verdict.SATISFIED, f"vendor says satisfied (assessed {clock.now:%Y-%m-%d} 12:00 UTC)")
    assert book.status("scoring").status is Status.CONFORMANT  # type: ignore[union-attr]
    verdict, reason = judged(signed(clock, result="FAILED", sequence=6))
    assert (verdict, reason.split(" (")[0]) == (Verdict.NOT_SATISFIED, "vendor says not-satisfied: v/x")
    verdict, reason = judged(signed(clock, sequence=5))
    assert verdict is Verdict.ERROR
    assert "an older one is replayed" in reason
    verdict, reason = judged(signed(clock, STRANGER, sequence=7))
    assert verdict is Verdict.ERROR
    assert "no signature" in reason
    assert judged(signed(clock, sequence=8))[0] is Verdict.SATISFIED


def test_confidential_leaf_keeps_its_value_out_of_findings(tmp_path: Path, book: DatabaseRecord, clock: Clock) -> None:
    spec = document(requirement("a", leaf("x", confidential=True)))

    found = run(auditor(tmp_path, book, Backend({"/x": 0.123}), clock=clock), spec, clock)

    assert "0.123" in found.observations[0].reason
    assert found.findings[0].reason == "d/a/m/x is not-satisfied"
    assert "0.123" not in found.statuses[0].cause
