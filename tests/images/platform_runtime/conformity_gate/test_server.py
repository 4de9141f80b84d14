"""The gate's own server and its settings."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from platform_runtime.conformity_gate.plan import Mode, Policy
from platform_runtime.conformity_gate.server import Watch, application
from platform_runtime.conformity_gate.settings import Settings, SettingsError

from components._core import paths
from tests.support.conformity_gate import MODEL, Trial
from tests.support.server import wait_for

VARIABLES = {
    "MLFLOW_TRACKING_URI": "http://mlflow:5000",
    "REGISTRY_ARTEFACT_ROOT": "s3://mlflow/artifacts",
    "SERVING_NAMESPACE": "models",
    "AUDITOR_URL": "http://auditor:8440",
    "AUDITOR_TOKEN": "reader-token",
    "AUDITOR_HOOK_URL": "http://auditor:8440/hooks/platform",
    "AUDITOR_HOOK_SECRET": "hook-secret",
    "GATE_MODE": "enforce",
    "GATE_ALLOW_CONDITIONAL": "false",
    "GATE_INTERVAL_SECONDS": "10",
    "GATE_HOLD_SECONDS": "120",
    "GATE_WITHOUT_ALLOWED": "stop",
}


@contextmanager
def serving(trial: Trial, watch: Watch) -> Iterator[httpx.Client]:
    """Run the server as the process does, on a port that the system chose."""
    server = uvicorn.Server(uvicorn.Config(application(trial.gate, watch), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started, 20)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        yield client
    server.should_exit = True
    thread.join(timeout=20)


def suspended() -> Trial:
    """Return a world in which version 2 is served and suspended, and version 1 passed."""
    trial = Trial(Policy(mode=Mode.ENFORCE))
    trial.deploy(trial.register())
    trial.assess()
    trial.settle()
    trial.deploy(trial.register("grave"))
    trial.assess()
    return trial


def test_it_looks_by_itself_and_answers_what_it_knows() -> None:
    trial = suspended()
    watch = Watch(trial.gate, 0.01)
    with serving(trial, watch) as client:
        wait_for(lambda: [each["served"] for each in client.get("/v1/models").json()["models"]] == ["1"], 20)
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").status_code == 200
        told = client.get("/v1/models").json()
        assert (told["mode"], told["models"][0]["champion"]) == ("enforce", "1")
        latest, *_ = client.get("/v1/decisions", params={"model": MODEL}).json()["decisions"]
        assert (latest["kind"], latest["source"], latest["target"], latest["end"]) == ("rollback", "2", "1", "done")
        assert latest["cause"]["requirements"] == ["fairness/bias"]
        assert client.get("/v1/decisions", params={"model": "another"}).json() == {"decisions": []}
        assert 'conformity_gate_decisions_total{decision="rollback"} 1.0' in client.get("/metrics").text
    assert not watch.alive


def test_a_look_that_fails_unexpectedly_is_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    trial = suspended()
    looks: list[int] = []

    def subjects() -> list[str]:
        looks.append(1)
        if len(looks) == 1:
            reason = "nobody thought of this"
            raise RuntimeError(reason)
        return [MODEL]

    trial.subjects = subjects  # type: ignore[method-assign]
    with serving(trial, Watch(trial.gate, 0.01)):
        wait_for(lambda: trial.served == "1", 20)
    assert "nobody thought of this" in caplog.text


def test_settings_are_read() -> None:
    settings = Settings.of(VARIABLES)
    assert settings.policy == Policy(
        Mode.ENFORCE, allow_conditional=False, hold=dt.timedelta(minutes=2), without="stop"
    )
    assert settings.interval == dt.timedelta(seconds=10)
    assert "reader-token" not in repr(settings)
    assert "hook-secret" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"AUDITOR_URL": ""}, "AUDITOR_URL is not set"),
        ({"GATE_MODE": "strict"}, "GATE_MODE: found 'strict', wanted one of report, warn, enforce"),
        ({"GATE_HOLD_SECONDS": "2m"}, "GATE_HOLD_SECONDS: found '2m', wanted a number of seconds"),
        ({"GATE_WITHOUT_ALLOWED": "no"}, "GATE_WITHOUT_ALLOWED: found 'no', wanted one of keep, stop"),
    ],
)
def test_a_setting_that_says_nothing_known_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.of({**VARIABLES, **changes})
    assert str(caught.value) == reason


def test_without_settings_it_says_what_is_missing_and_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "platform_runtime.conformity_gate"],
        env={"PYTHONPATH": str(paths.CHECKOUT / "images" / "python")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, "GATE_WITHOUT_ALLOWED is not set\n")
