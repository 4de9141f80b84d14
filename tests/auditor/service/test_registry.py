"""A real MLflow registry tells that an alias moved; what is audited then is read anew."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cabc.demo.environment import environment, mlflow_server
from cryptography.fernet import Fernet

from tests.support.server import backend, serve, wait_for, write_home

pytestmark = pytest.mark.backend

MOVE = """
import sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
if sys.argv[2] == "prepare":
    client.create_registered_model("slow-model")
    for _ in range(2):
        run = client.create_run("0")
        client.log_text(run.info.run_id, "artifact_path: model\\n", "model/MLmodel")
        client.create_model_version("slow-model", f"{run.info.artifact_uri}/model", run.info.run_id)
    client.set_registered_model_alias("slow-model", "champion", "1")
elif sys.argv[2] == "webhook":
    client.create_webhook(name="cabc", url=sys.argv[3], events=["model_version_alias.created"], secret="secret")
else:
    client.set_registered_model_alias("slow-model", "champion", sys.argv[3])
"""


def test_moving_an_alias_assesses_the_new_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # MLflow itself refuses receivers that are not https or not public; an operator has to allow a local one.
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http,https")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    monkeypatch.setenv("MLFLOW_WEBHOOK_CACHE_TTL", "1")  # else a webhook is known after a minute
    monkeypatch.setenv("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", Fernet.generate_key().decode())
    python = environment()
    with mlflow_server(tmp_path / "mlflow", python) as registry, backend() as slow:

        def registry_does(*arguments: str) -> None:
            command = [str(python), "-c", MOVE, registry.url, *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
            assert done.returncode == 0, done.stderr[-2000:]

        registry_does("prepare")
        home = tmp_path / "home"
        write_home(home, slow, mlflow=registry.url)
        with serve(home) as server, server.client() as client:

            def versions() -> list[str]:
                found = client.get("/api/v1/subjects/slow/assessments").json()["items"]
                return [item["subject"]["version"] for item in found]

            wait_for(versions, 40, server.log.read_text)
            assert versions() == ["1"]
            registry_does("webhook", f"{server.url}/hooks/registry")
            registry_does("move", "2")
            wait_for(lambda: versions() == ["2", "1"], 30, server.log.read_text)
            latest = client.get("/api/v1/subjects/slow/assessments").json()["items"][0]
    assert (latest["trigger"]["kind"], latest["trigger"]["source"]) == ("webhook", "registry")
