"""Which namespaces the service watches, by its settings and by what the process is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cabc.record.database import DatabaseRecord
from cabc.service.app import create_app
from cabc.service.state import ProcessRole
from cabc.triggers.watch import InferenceServiceWatch, KubernetesEvents

from tests.support.service import NOW, Paper, make_home


@pytest.mark.parametrize(
    ("told", "role", "wanted"),
    [
        (False, "all", []),
        ([], "all", []),
        (True, "all", [None]),
        (["models", "credit"], "collect", ["models", "credit"]),
        (["models", "models"], "all", ["models"]),
        (["models"], "assess", []),
    ],
)
def test_what_is_watched(
    folder: Path, record: DatabaseRecord, told: Any, role: ProcessRole, wanted: list[str | None]
) -> None:
    app = create_app(
        make_home(folder, watch_inference_services=told),
        record=record,
        role=role,
        now=lambda: NOW,
        steps=lambda _: Paper(record),
        work=False,
    )
    watched = []
    for watcher in app.state.cabc.worker.watchers:
        assert isinstance(watcher, InferenceServiceWatch)
        assert isinstance(watcher.events, KubernetesEvents)
        watched.append(watcher.events.namespace)
    assert watched == wanted
