"""The demo: train a model, audit it, replace it by an unfair one, audit that, and check the record."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from cabc.demo.environment import environment, mlflow_server
from cabc.document.loaded import LoadedDocument
from cabc.engine import statements
from cabc.engine.auditor import Auditor, new_id
from cabc.engine.rollup import FAILING
from cabc.errors import CabcError
from cabc.home import Home, Settings
from cabc.loading import load
from cabc.record.database import DatabaseRecord
from cabc.record.types import Assessment, Finding, Status, StatusRecord, Trigger
from cabc.report.publish import publish

__all__ = ["Audited", "Demo", "DemoResult", "run"]

ASSETS = resources.files("cabc.demo") / "assets"
AUDITEE = resources.files("cabc.demo") / "auditee.py"
OVERSIGHT = "human-oversight/second-look/oversight/procedure"

Say = Callable[[str], None]


@dataclass
class Audited:
    """One model version and what the audit said of it."""

    version: str
    inputs: str
    metrics: dict[str, float]
    assessment: Assessment
    status: StatusRecord
    findings: list[Finding]
    """Those that are not satisfied."""


@dataclass
class DemoResult:
    """What the demo did."""

    folder: Path
    document: LoadedDocument
    audited: list[Audited] = field(default_factory=list)
    seconds: float = 0.0
    verified: bool = False
    verification: str = ""

    @property
    def page(self) -> Path:
        """The public status page."""
        return self.folder / "published" / self.document.specification.subject.name / "report.html"


class Demo:
    """A folder in which a real MLflow server, a provider's documents and an auditor meet."""

    def __init__(self, folder: Path, say: Say) -> None:
        self.home = Home(folder, Settings())
        self.say = say
        self.auditee = folder / "auditee"

    def prepare(self, mlflow: str) -> LoadedDocument:
        """Write specification and connections, as `cabc init` would."""
        self.auditee.mkdir(parents=True, exist_ok=True)
        specification = self.home.path("specification.yaml")
        specification.write_text((ASSETS / "specification.yaml").read_text())
        template = Environment(undefined=StrictUndefined, autoescape=False).from_string(  # noqa: S701 (YAML, own values)
            (ASSETS / "connections.yaml.j2").read_text()
        )
        self.home.connections.write_text(
            template.render(mlflow=mlflow, features=self.auditee.resolve() / "features.db")
        )
        return load(specification)

    def train(self, python: Path, mlflow: str, inputs: str) -> dict[str, Any]:
        """Let the audited side train and register a version; return what it printed."""
        with resources.as_file(AUDITEE) as script:
            ran = subprocess.run(
                [str(python), str(script), mlflow, str(self.auditee), inputs],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "PYTHONWARNINGS": "ignore", "DO_NOT_TRACK": "true"},
            )
        if ran.returncode:
            reason = ran.stderr.strip().splitlines()[-1:]
            message = f"training ended with {ran.returncode}: {' '.join(reason)}"
            raise CabcError(message, fix=f"read {self.auditee.parent / 'mlflow' / 'mlflow.log'}")
        answer: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
        return answer

    def attest(self, record: DatabaseRecord, document: LoadedDocument) -> None:
        """Answer the one question that no machine can answer, as `cabc attest` would."""
        now = dt.datetime.now(dt.UTC)
        statement = "The credit office looks at every refusal before it is sent (made up for the demo)."
        until = now + dt.timedelta(days=90)
        statements.say(
            record,
            document.specification.subject.name,
            lambda: statements.attest(
                document, path=OVERSIGHT, value=True, statement=statement, party="bank", until=until, now=now
            ),
        )

    def audit(self, record: DatabaseRecord, document: LoadedDocument, trained: dict[str, Any], inputs: str) -> Audited:
        """Assess and publish the version that is champion now."""
        now = dt.datetime.now(dt.UTC)
        subject = document.specification.subject.name
        trigger = Trigger(id=new_id("t", now), kind="manual", source="cabc demo", subject=subject, received=now)
        auditor = Auditor(self.home, record, self.home.read_connections())
        result = asyncio.run(auditor.run(document, trigger))
        publish(record, subject, self.home.published, record.keys, now=dt.datetime.now(dt.UTC), document=document)
        assessed = result.assessed[-1]
        if result.status is None:
            raise CabcError("the demo's assessment led to no status", fix="run `cabc status` on its folder")
        failing = [each for each in assessed.findings if each.verdict in FAILING]
        return Audited(trained["version"], inputs, trained["metrics"], assessed.assessment, result.status, failing)


def run(folder: Path, say: Say, *, fair_only: bool = False) -> DemoResult:
    """Run the demo in a folder, which becomes an auditor's home. Again in the same folder continues its history."""
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    demo = Demo(folder.resolve(), say)
    python = environment(say)
    say("starting an MLflow server")
    with mlflow_server(demo.home.path("mlflow"), python) as server:
        document = demo.prepare(server.url)
        result = DemoResult(demo.home.folder, document)
        record = demo.home.record()
        try:
            demo.attest(record, document)
            for inputs in ("without-group",) if fair_only else ("without-group", "with-group"):
                say(f"training a model {inputs.replace('-', ' the protected ')} among its inputs")
                trained = demo.train(python, server.url, inputs)
                say(f"auditing version {trained['version']}")
                result.audited.append(demo.audit(record, document, trained, inputs))
        finally:
            record.close()
    say("checking the record")
    result.verified, result.verification = _verify(demo.home.folder)
    result.seconds = time.monotonic() - started
    return result


def _verify(folder: Path) -> tuple[bool, str]:
    """Run `cabc verify` as a reader would, in a process of its own."""
    command = [sys.executable, "-m", "cabc", "verify", "--home", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return ran.returncode == 0, (ran.stdout + ran.stderr).strip()


def expected(result: DemoResult) -> bool:
    """Say whether the fair version conforms, the unfair one is suspended and the record holds."""
    statuses = [each.status.status for each in result.audited]
    return statuses == [Status.CONFORMANT, Status.SUSPENDED] and result.verified
