"""`prometheus` against a real Prometheus, and its traps."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from cabc.document.interfaces import PrometheusInterface
from cabc.interfaces.base import ExtractError, RetrieveError, Value
from cabc.interfaces.connections import PrometheusConnection
from cabc.interfaces.prometheus import PrometheusPlugin

from tests.support.http_backend import HttpBackend, Reply
from tests.support.retrieval import SUBJECT, retrieve, spec, value

METRICS = b"""\
# TYPE scoring_auc gauge
scoring_auc{version="3"} 0.91
scoring_auc{version="2"} 0.85
# TYPE scoring_nan gauge
scoring_nan NaN
scoring_inf +Inf
scoring_zero 0
"""


def ask(query: str, **keys: Any) -> PrometheusInterface:
    asked: PrometheusInterface = spec(PrometheusInterface, kind="prometheus", connection="p", query=query, **keys)
    return asked


def connect(url: str, **keys: Any) -> PrometheusConnection:
    made: PrometheusConnection = spec(PrometheusConnection, kind="prometheus", url=url, network="loopback", **keys)
    return made


def answer(result: object, kind: str = "vector", **keys: object) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}, **keys}).encode()


def extract(body: bytes, **keys: Any) -> Value:
    return PrometheusPlugin().extract(ask("x", **keys), body, "application/json", {})


def sample(number: str) -> dict[str, object]:
    return {"metric": {}, "value": [1.5, number]}


def test_one_sample_is_a_number() -> None:
    assert extract(answer([sample("0.91")])) == 0.91
    assert extract(answer([sample("7")])) == 7
    assert extract(answer([1.5, "3"], "scalar")) == 3


def test_an_empty_answer_is_never_zero() -> None:
    for keys in ({}, {"reduce": "count"}, {"reduce": "sum"}):
        with pytest.raises(ExtractError, match="empty"):
            extract(answer([]), **keys)


@pytest.mark.parametrize("number", ["NaN", "+Inf", "-Inf", "nan", "", "x"])
def test_what_is_no_finite_number_is_an_error(number: str) -> None:
    with pytest.raises(ExtractError, match="number"):
        extract(answer([sample(number)]))
    with pytest.raises(ExtractError, match="number"):
        extract(answer([sample("1"), sample(number)]), reduce="max")


def test_several_samples_need_reduce() -> None:
    two = answer([sample("1"), sample("4")])
    with pytest.raises(ExtractError, match="2 samples"):
        extract(two)
    assert [extract(two, reduce=how) for how in ("min", "max", "sum", "mean", "count")] == [1, 4, 5, 2.5, 2]


@pytest.mark.parametrize(
    "body",
    [
        answer([{"metric": {}, "values": [[1, "1"]]}], "matrix"),
        answer([{"metric": {}, "histogram": [1, {}]}]),
        answer([sample("1")], warnings=["partial response: store x is down"]),
        b'{"status": "error", "error": "query timed out"}',
        b'{"status": "success"}',
        b'{"status": "success", "data": {"resultType": "vector", "result": [{"value": [1]}]}}',
        b"[]",
        b"null",
        b"<html>",
    ],
)
def test_other_answers_are_errors(body: bytes) -> None:
    with pytest.raises(ExtractError):
        extract(body)


def test_the_query_is_bounded_and_filled() -> None:
    with HttpBackend({"/prom/api/v1/query": Reply(answer([sample("1")]))}) as server:
        asked = ask('scoring_auc{version="${subject.version}"}')
        found = retrieve(PrometheusPlugin(), asked, connect(f"{server.url}/prom", query_timeout=4.5))
        assert server.requests[0].query == {"query": 'scoring_auc{version="3"}', "timeout": "4500ms", "limit": "1000"}
        assert found.origin == 'query scoring_auc{version="3"} of connection p'


def test_a_greedy_query_is_not_sent() -> None:
    with HttpBackend({}) as server:
        for query in ('{__name__=~".+"}', "max_over_time(x[7d:1s])", "rate(x[52w])"):
            with pytest.raises(RetrieveError, match="refused"):
                retrieve(PrometheusPlugin(), ask(query), connect(server.url))
        assert server.requests == []


def test_a_fact_cannot_change_the_query() -> None:
    subject = SUBJECT.model_copy(update={"version": '3"} or vector(1) #'})
    with HttpBackend({}) as server:
        with pytest.raises(RetrieveError, match="characters"):
            retrieve(PrometheusPlugin(), ask('x{v="${subject.version}"}'), connect(server.url), subject)
        assert server.requests == []


@pytest.fixture(scope="module")
def prometheus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a real Prometheus that scrapes a real exporter."""
    from mlops import toolchain

    program = toolchain.binary("prometheus")
    if not program.is_file():
        pytest.skip("the prometheus of the toolchain is not built")
    folder = tmp_path_factory.mktemp("prometheus")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    text = {"Content-Type": "text/plain; version=0.0.4"}
    with HttpBackend({"/metrics": Reply(METRICS, headers=text)}) as exporter:
        config = folder / "prometheus.yml"
        target = exporter.url.removeprefix("http://")
        job = {"job_name": "x", "scrape_interval": "200ms", "scrape_timeout": "200ms"}
        config.write_text(json.dumps({"scrape_configs": [{**job, "static_configs": [{"targets": [target]}]}]}))
        with (folder / "log").open("wb") as log:
            flags = [
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ]
            process = subprocess.Popen([program, *flags], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            _wait(f"http://{address}/api/v1/query?query=scoring_auc")
            yield f"http://{address}"
        finally:
            process.kill()
            process.wait(timeout=10)


def _wait(url: str) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310 (our own server)
                if json.load(reply)["data"]["result"]:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.1)
    raise TimeoutError(url)


@pytest.mark.engine
def test_a_real_server_answers(prometheus_server: str) -> None:
    connection = connect(prometheus_server)

    def read(query: str, **keys: Any) -> Value:
        return value(PrometheusPlugin(), ask(query, **keys), connection)

    assert read('scoring_auc{version="${subject.version}"}') == 0.91
    assert read('scoring_auc{version=~"${subject.version}"}') == 0.91
    assert read("scoring_zero") == 0
    assert read("scoring_auc", reduce="min") == 0.85
    assert read("count(scoring_auc)") == 2
    assert read("scalar(scoring_zero) + 1") == 1
    for query, why in (
        ("scoring_auc", "2 samples"),
        ("scoring_nothing", "empty"),
        ("scoring_nan", "number"),
        ("scoring_inf", "number"),
        ("scoring_zero / scoring_zero", "number"),
        ("scoring_auc[1m]", "matrix"),
    ):
        with pytest.raises(ExtractError, match=why):
            read(query)


@pytest.mark.engine
def test_a_real_server_says_what_is_wrong_with_a_query(prometheus_server: str) -> None:
    with pytest.raises(RetrieveError, match=r"status 400: .*parse error"):
        retrieve(PrometheusPlugin(), ask("sum(("), connect(prometheus_server))
