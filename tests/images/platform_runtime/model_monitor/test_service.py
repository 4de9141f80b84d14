"""What the monitor answers over HTTP, and that it measures by itself."""

from __future__ import annotations

import datetime as dt
import threading
import time
import warnings
from dataclasses import replace

import pandas as pd
import pytest
from platform_runtime.model_monitor.log import Served
from platform_runtime.model_monitor.service import STUCK, application

from tests.support.model_monitor import NOON, SETTINGS, House

with warnings.catch_warnings():
    # It would rather have the successor of httpx, which nothing else here needs.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient


def test_answers_of_the_server(house: House, rows: pd.DataFrame) -> None:
    house.log.put("1", rows)
    # Not entered as a context: nothing measures but what is asked for.
    client = TestClient(application(house.monitor, house.clock))
    assert client.get("/v1/reports/loan/1").status_code == 404
    (told,) = client.post("/v1/run", json={"model": "loan"}).json()["reports"]
    assert told["rows"] == len(rows)
    assert client.get("/v1/reports/loan/1").json() == told
    assert len(house.runs.stored) == 1
    assert client.post("/v1/run").json()["reports"][0]["window"]["version"] == "1"
    assert client.post("/v1/run", json={"modle": "loan"}).status_code == 422
    assert "model_window_rows{" in client.get("/metrics").text
    assert client.get("/readyz").status_code == 200
    assert client.get("/healthz").status_code == 200
    house.clock.forward(seconds=(STUCK + dt.timedelta(minutes=2)).total_seconds())
    assert client.get("/healthz").status_code == 503


def test_the_server_measures_by_itself(house: House, rows: pd.DataFrame) -> None:
    house.log.put("1", rows)
    with TestClient(application(house.monitor, house.clock)) as client:
        while client.get("/v1/reports/loan/1").status_code == 404:
            pass
    assert house.monitor.last_success == NOON


def test_the_server_goes_on_measuring_after_a_mistake(house: House, rows: pd.DataFrame) -> None:
    house.log.put("1", rows)
    house.log.broken = True
    house.monitor.settings = replace(SETTINGS, interval=dt.timedelta(milliseconds=1))
    with TestClient(application(house.monitor, house.clock)) as client:
        while not house.monitor.failures["measure"] and measuring():
            pass
        house.log.broken = False
        while client.get("/v1/reports/loan/1").status_code == 404 and measuring():
            pass
    assert house.monitor.last_success == NOON


def test_the_server_ends_after_the_measurement_under_way(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()

    def served(_since: dt.datetime) -> list[Served]:
        begun.set()
        time.sleep(0.3)
        return []

    monkeypatch.setattr(house.log, "served", served)
    with TestClient(application(house.monitor, house.clock)):
        assert begun.wait(10)
    assert not measuring()


def measuring() -> bool:
    return any(thread.name == "measuring" for thread in threading.enumerate())
