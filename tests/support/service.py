"""A home with documents, tokens of every role and a recorded past; what the service's tests and pictures show."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cabc.document.loaded import LoadedDocument
from cabc.home import AccessToken, Home, Service, Settings, Webhook
from cabc.interfaces.base import SubjectFacts
from cabc.loading import load
from cabc.record.canonical import digest
from cabc.record.chain import draft
from cabc.record.database import DatabaseRecord
from cabc.record.types import (
    Assessment,
    Collection,
    Evidence,
    Finding,
    LeafEvidence,
    MetricOutcome,
    Observation,
    Publication,
    Status,
    StatusRecord,
    Trigger,
    Verdict,
)
from cabc.report.pages import shown

NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
HOOK_SECRET = b"hook-secret-of-the-tests"
ROLES = ("auditee", "auditing-party", "publisher", "reader")
HIDDEN_VALUE = "s3cr3t-image-tag"
SUBJECT = "credit-scoring"
OTHER = "churn"

DOCUMENTS = Path(__file__).parents[1] / "auditor/service/data"


def token(role: str) -> str:
    """Return the token of a role."""
    return f"token-of-{role}-0123456789abcdef"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def settings(**service: Any) -> Settings:
    """Settings with a token for each role, one that sees only `churn`, and three webhooks."""
    tokens = [AccessToken(name=f"{role}-person", sha256=sha256(token(role)), roles=[role]) for role in ROLES]
    tokens.append(
        AccessToken(name="only-churn", sha256=sha256(token("churn")), roles=["auditing-party"], subjects=[OTHER])
    )
    tokens.append(AccessToken(name="nothing", sha256=sha256(token("nothing")), roles=["admin"]))
    where = "env:CABC_TEST_HOOK"
    hooks = {
        "ci": Webhook(secret=where),
        "registry": Webhook(format="mlflow", secret=where),
        "alerts": Webhook(format="alertmanager", secret=where),
        "shop": Webhook(secret=where, subjects=[OTHER]),
    }
    return Settings(
        documents=["credit.yaml", "churn.yaml"],
        service=Service(**{"tokens": tokens, "webhooks": hooks, "poll": "PT1S", **service}),
    )


def make_home(folder: Path, **service: Any) -> Home:
    """Write the documents and return the home."""
    for file in DOCUMENTS.glob("*.yaml"):
        shutil.copy(file, folder)
    return Home(folder, settings(**service))


@dataclass
class Seeder:
    """Records cycles as the engine does, with chosen values."""

    record: DatabaseRecord
    document: LoadedDocument
    numbers: int = 0

    def cycle(self, at: dt.datetime, status: Status, values: dict[str, tuple[Any, Verdict]], *, version: str) -> str:
        """Record one run; leaves that are not given are satisfied."""
        self.numbers += 1
        subject = self.document.specification.subject.name
        facts = SubjectFacts(name=subject, registered_model=subject, version=version, digest=digest(version.encode()))
        ask = Trigger(id=f"t-{subject}-{self.numbers}", kind="manual", source="alice", subject=subject, received=at)
        name = f"a-{subject}-{self.numbers}"
        self.record.put_document(subject, self.document.text, "spec.yaml")
        leaves, observations = [], []
        for leaf in self.document.leaves():
            value, verdict = values.get(leaf.path, (0.93, Verdict.SATISFIED))
            body = f'{{"value": "{value}", "run": {self.numbers}, "leaf": "{leaf.path}"}}'.encode()
            kept = Evidence(
                digest=digest(body), media_type="application/json", size=len(body), collected=at, origin="GET /value"
            )
            self.record.put_evidence(kept, body)
            leaves.append(LeafEvidence(path=leaf.path, value=kept, duration_ms=12.0))
            element: Any = leaf.element
            observations.append(
                Observation(
                    assessment=name,
                    path=leaf.path,
                    requirement=leaf.path.rsplit("/", 2)[0],
                    verdict=verdict,
                    reason="the answer expired"
                    if value is None
                    else f"found {shown(value)}, wanted {_wanted(element)}",
                    value=value,
                    target=element.target,
                    comparison=element.comparison,
                    critical=element.critical,
                    confidential=leaf.confidential,
                    evidence=[kept.digest],
                    collected=at,
                    duration_ms=12.0,
                )
            )
        collected = Collection(
            id=f"c-{subject}-{self.numbers}",
            subject=facts,
            specification=self.document.digest,
            trigger=ask,
            started=at,
            ended=at + dt.timedelta(seconds=1),
            leaves=leaves,
            engine_version="0.1.0",
        )
        self.record.append([draft(ask)])
        self.record.append([draft(collected)])
        findings = self._findings(name, observations)
        worst = next((f.verdict for f in findings if f.verdict is not Verdict.SATISFIED), Verdict.SATISFIED)
        counts: dict[Verdict, int] = {}
        for item in observations:
            counts[item.verdict] = counts.get(item.verdict, 0) + 1
        before = self.record.status(subject)
        drafts = [draft(item, subject=subject) for item in (*observations, *findings)]
        drafts.append(
            draft(
                Assessment(
                    id=name,
                    collection=collected.id,
                    subject=facts,
                    specification=self.document.digest,
                    specification_id=self.document.specification.id,
                    specification_version=self.document.specification.version,
                    mode=self.document.specification.mode,
                    trigger=ask,
                    started=at,
                    ended=at + dt.timedelta(seconds=2),
                    verdict=worst,
                    complete=True,
                    dimensions={each.id: worst for each in self.document.specification.dimensions},
                    counts=counts,
                    engine_version="0.1.0",
                )
            )
        )
        failing = [f.requirement for f in findings if f.verdict is not Verdict.SATISFIED]
        if before is None or before.status is not status:
            drafts.append(
                draft(
                    StatusRecord(
                        subject=subject,
                        status=status,
                        previous=before.status if before else Status.NONE,
                        since=at + dt.timedelta(seconds=2),
                        cause=f"not satisfied: {', '.join(failing)}" if failing else "all requirements satisfied",
                        assessment=name,
                        findings=failing,
                        mode=self.document.specification.mode,
                        version=version,
                    )
                )
            )
        self.record.append(drafts)
        return name

    def _findings(self, name: str, observations: list[Observation]) -> list[Finding]:
        found = []
        for node in self.document.requirements:
            mine = [item for item in observations if item.requirement == node.path]
            failing = [item for item in mine if item.verdict is not Verdict.SATISFIED]
            verdict = failing[0].verdict if failing else Verdict.SATISFIED
            found.append(
                Finding(
                    assessment=name,
                    requirement=node.path,
                    dimension=node.dimension.id,
                    severity=node.requirement.severity,
                    verdict=verdict,
                    metrics=[
                        MetricOutcome(
                            path=f"{node.path}/{metric.id}", verdict=verdict, leaves=[item.path for item in mine]
                        )
                        for metric in node.requirement.metrics
                    ],
                    reason="; ".join(item.reason for item in failing) or "all metrics satisfied",
                    risks=node.requirement.mitigates,
                    failing=[item.path for item in failing],
                    confidential=node.confidential,
                    remediation=node.requirement.remediation,
                )
            )
        return found


def _wanted(element: Any) -> str:
    target = element.target
    plain = target.model_dump() if hasattr(target, "model_dump") else target
    return f"{element.comparison} {shown(plain)}"


def seed(record: DatabaseRecord, folder: Path) -> None:
    """Record two weeks of two subjects: one conformant, one that an unfair model suspended."""
    bias, auc = "data-governance/bias/disparity/fpr-ratio", "security/accuracy/auc/auc-test"
    tag, answer = "security/supply-chain/image/tag", "data-governance/data-card/reviewed/answer"
    rows = {"data-governance/bias/disparity/sample-size": (4200, Verdict.SATISFIED)}
    seeder = Seeder(record, load(folder / "credit.yaml"))
    for day in range(12):
        unfair, waiting = day >= 9, day >= 7
        status = Status.SUSPENDED if unfair else Status.CONDITIONAL if waiting else Status.CONFORMANT
        ratio = 0.61 + day / 200 if unfair else 0.95 - day / 100
        seeder.cycle(
            NOW - dt.timedelta(days=12 - day),
            status,
            {
                bias: (round(ratio, 3), Verdict.NOT_SATISFIED if unfair else Verdict.SATISFIED),
                auc: (0.86 + day % 3 / 100, Verdict.SATISFIED),
                tag: (HIDDEN_VALUE, Verdict.SATISFIED),
                answer: (None, Verdict.NEEDS_REVIEW) if waiting else (True, Verdict.SATISFIED),
                **rows,
            },
            version="2" if unfair else "1",
        )
    other = Seeder(record, load(folder / "churn.yaml"))
    for day in range(3):
        other.cycle(NOW - dt.timedelta(days=3 - day), Status.CONFORMANT, {}, version="7")


@dataclass
class Paper:
    """Steps on paper: remembers what was asked of it, and answers triggers as the engine would."""

    record: DatabaseRecord
    names: Sequence[str] = ("collect", "assess", "publish")
    calls: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    error: Exception | None = None

    async def step(self, name: str, subject: str) -> bool:
        self.calls.append((name, subject))
        if self.seconds:
            await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return False

    def publish(self, subject: str) -> Publication:
        found = self.record.status(subject)
        made = Publication(
            subject=subject,
            status=found.status if found else Status.NONE,
            assessment=found.assessment if found else None,
            published=NOW,
            files={},
        )
        self.record.append([draft(made)])
        return made
