"""A backend in memory, a document about it and an auditor that audits it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from cabc.document.interfaces import RestInterface
from cabc.document.loaded import LoadedDocument
from cabc.document.model import NestedDocument
from cabc.engine.auditor import Auditor, new_id
from cabc.home import Home, Settings
from cabc.interfaces.base import Connection, Retrieved, RetrieveError, SubjectFacts
from cabc.interfaces.connections import RestConnection
from cabc.interfaces.extraction import extract
from cabc.loading import load_text
from cabc.record.database import DatabaseRecord
from cabc.record.store import Record
from cabc.record.types import Trigger

NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self, now: dt.datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> dt.datetime:
        return self.now

    def pass_(self, **span: float) -> None:
        """Let time pass."""
        self.now += dt.timedelta(**span)


class Backend:
    """Answers by path; a value that is an exception is raised; each question takes `delay` seconds."""

    def __init__(self, values: Mapping[str, Any], *, delay: float = 0.0) -> None:
        self.values = dict(values)
        self.delay = delay
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.hook: Callable[[str], None] = lambda _: None

    async def ask(self, path: str) -> bytes:
        """Return the body for a path."""
        self.asked.append(path)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.hook(path)
            await asyncio.sleep(self.delay)
            answer = self.values.get(path, RetrieveError(f"404 for {path}"))
            if isinstance(answer, Exception):
                raise answer
            return answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        finally:
            self.at_once -= 1

    def plugin(self, kind: str) -> Any:
        """Return the plugin class of a kind: this backend for `rest`, the real one for all others."""
        from cabc.interfaces.registry import plugin

        backend = self

        class Plugin:
            """The `rest` interface over the backend."""

            kind: ClassVar[str] = "rest"
            spec: ClassVar[type[Any]] = RestInterface
            connection: ClassVar[type[Any]] = RestConnection

            async def retrieve(self, spec: RestInterface, connection: Connection, subject: SubjectFacts) -> Retrieved:
                del connection, subject
                return Retrieved(await backend.ask(spec.path), "application/json", f"GET {spec.path}")

            def extract(self, spec: RestInterface, body: bytes, media_type: str, details: Mapping[str, str]) -> Any:
                del details
                return extract(spec, body, media_type)

            async def close(self) -> None:
                """Hold nothing."""

        return Plugin if kind == "rest" else plugin(kind)


def connections(**limits: Any) -> dict[str, Connection]:
    """One connection, `api`."""
    return {"api": RestConnection(kind="rest", url="https://api.example", **limits)}


def leaf(id_: str, target: Any = 0.8, comparison: str = "GreaterThanOrEqual", **more: Any) -> dict[str, Any]:
    """A measurement whose value the backend has at `/<id>`."""
    return {
        "id": id_,
        "interface": {"kind": "rest", "connection": "api", "path": f"/{id_}"},
        "dataType": "numeric",
        "comparison": comparison,
        "target": target,
        **more,
    }


def requirement(id_: str, *leaves: dict[str, Any], severity: str = "critical", **more: Any) -> dict[str, Any]:
    """A requirement with one metric, `m`."""
    return {"id": id_, "severity": severity, "metrics": [{"id": "m", "measurements": list(leaves)}], **more}


def model(version: str) -> dict[str, str]:
    """The subject at a version."""
    return {"name": "scoring", "connection": "mlflow", "registeredModel": "scoring", "version": version}


def document(*requirements: dict[str, Any], nested: Mapping[str, bytes] | None = None, **more: Any) -> LoadedDocument:
    """A document with one dimension, `d`, about the subject `scoring`."""
    specification = {
        "id": "spec",
        "version": 1,
        "mode": "self-assessment",
        "subject": model("1"),
        "frequency": "PT1H",
        "parties": [{"id": "us", "role": "auditee"}, {"id": "them", "role": "auditing-party"}],
        "dimensions": [{"id": "d", "requirements": list(requirements)}],
        **more,
    }
    files = nested or {}

    def below(held: NestedDocument) -> bytes:
        return files[held.path]

    return load_text(json.dumps({"conformitySpecification": specification}).encode(), "spec.json", below)


def auditor(
    folder: Path, record: Record, backend: Backend, *, clock: Clock | None = None, limits: Any = None, **more: Any
) -> Auditor:
    """An auditor of the backend."""
    home = Home(folder, Settings(**more.pop("settings", {})))
    ticking = {"now": clock} if clock else {}
    return Auditor(home, record, connections(**(limits or {})), plugins=backend.plugin, **ticking, **more)


def trigger(clock: Callable[[], dt.datetime], *requirements: str, kind: Any = "manual") -> Trigger:
    """A trigger for the subject."""
    now = clock()
    return Trigger(
        id=new_id("t", now), kind=kind, source="alice", subject="scoring", received=now, requirements=list(requirements)
    )


def record(folder: Path, clock: Clock | None = None) -> DatabaseRecord:
    """A record in a folder with the same clock."""
    from cabc.record.database import open_record

    ticking = {"clock": clock} if clock else {}
    return open_record(
        f"sqlite:///{folder / 'record.db'}", keys=folder / "keys", anchors=[folder / "anchors"], **ticking
    )
