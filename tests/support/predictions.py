"""The auditor's service with the pages of predictions, over a prediction log, a registry and evidence of a test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cabc.record.database import DatabaseRecord
from cabc.service.app import create_app
from fastapi import FastAPI

from tests.support.service import NOW, Paper, make_home
from tests.support.trace import Past

__all__ = ["SETTINGS", "connections", "predictions_app"]

SETTINGS = {"predictionLog": "collector", "registry": "mlflow", "infrastructure": "infrastructure"}


def connections(folder: Path, past: Past, *, log: str, mlflow: str) -> dict[str, Any]:
    """Return the operator's connections; the evidence is a file, as `mlops` keeps it."""
    file = folder / "evidence.jsonl"
    file.write_text("".join(f"{document.text}\n" for document in past.evidence()))
    return {
        "collector": {"kind": "rest", "url": log, "network": "loopback", "paths": ["/v1/"]},
        "mlflow": {"kind": "mlflow", "url": mlflow, "network": "loopback"},
        "infrastructure": {"kind": "infrastructure", "file": str(file)},
    }


def predictions_app(
    folder: Path,
    record: DatabaseRecord,
    known: Mapping[str, Any],
    *,
    pages: Mapping[str, Any] | None = None,
    **others: Any,
) -> FastAPI:
    """Return the service of a home folder; nothing works in its background."""
    (folder / "connections.yaml").write_text(json.dumps({"connections": dict(known)}))
    settings = {"predictions": SETTINGS} if pages is None else dict(pages)
    return create_app(
        make_home(folder, pages=settings),
        record=record,
        now=lambda: NOW,
        steps=lambda _: Paper(record),
        work=False,
        **others,
    )
