"""The status as a signed statement about the model artefact, which anybody can check without this program.

An in-toto Statement with the predicate `test-result/v0.1`, in a DSSE envelope signed with the publisher's key.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Protocol

from cabc.record.keys import Signature
from cabc.record.types import Status, Verdict
from cabc.report.types import FAILING, ReportView

__all__ = ["PAYLOAD_TYPE", "Signer", "envelope", "pre_authentication", "statement"]

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_RESULTS = {Status.CONFORMANT: "PASSED", Status.CONDITIONAL: "WARNED"}


class Signer(Protocol):
    """Something that signs for the publisher; `cabc.record.keys.Keys` is one."""

    def sign(self, role: Any, data: bytes) -> Signature: ...


def statement(report: ReportView) -> dict[str, Any] | None:
    """Return the statement; None while there is no status or no digest of the artefact to bind it to."""
    subject = report.subject
    if report.status.status is Status.NONE or not (subject.digest or "").startswith("sha256:"):
        return None
    waived = [found for found in report.findings if found.waiver and found.verdict is not Verdict.SATISFIED]
    tests: dict[str, list[str]] = {"passedTests": [], "warnedTests": [], "failedTests": []}
    for found in report.findings:
        if found.verdict is Verdict.SATISFIED:
            tests["passedTests"].append(found.requirement)
        elif found in waived:
            tests["warnedTests"].append(found.requirement)
        elif found.verdict in FAILING:
            tests["failedTests"].append(found.requirement)
    about = {
        "mode": report.specification.mode,
        "status": report.status.status.value,
        "since": report.status.since,
        "validUntil": report.status.valid_until,
        "assessment": report.assessment.id,
        "assessed": report.assessment.ended,
    }
    configuration = {
        "name": f"{report.specification.id} version {report.specification.version}",
        "digest": _digest(report.specification.digest),
        "annotations": {
            key: value if isinstance(value, str) else f"{value:%Y-%m-%dT%H:%M:%SZ}"
            for key, value in about.items()
            if value
        },
    }
    name = subject.registered_model or subject.name
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": f"{name}@{subject.version}" if subject.version else name, "digest": _digest(subject.digest)}
        ],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": _RESULTS.get(report.status.status, "FAILED"),
            "configuration": [configuration],
            **{key: sorted(names) for key, names in tests.items()},
        },
    }


def envelope(payload: dict[str, Any], signer: Signer) -> dict[str, Any]:
    """Return a DSSE envelope around a statement, signed with the publisher's key."""
    body = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    signature = signer.sign("publish", pre_authentication(PAYLOAD_TYPE, body))
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(body).decode(),
        "signatures": [{"keyid": signature.key_id, "sig": base64.b64encode(signature.value).decode()}],
    }


def pre_authentication(payload_type: str, body: bytes) -> bytes:
    """Return the bytes that a DSSE signature covers."""
    kind = payload_type.encode()
    return b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(body)).encode(), body])


def _digest(text: str | None) -> dict[str, str]:
    algorithm, _, value = (text or "").partition(":")
    return {algorithm: value}
