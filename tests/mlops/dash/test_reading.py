"""What becomes of Prometheus' answers."""

from __future__ import annotations

import pytest

from components.grafana.dashboards.definition import Kind, Level, Query, above
from mlops.dash.prometheus import Prometheus, at, in_cluster
from mlops.dash.reading import Period
from mlops.errors import OperationError
from mlops.loop.cluster import Answer
from tests.support.dash import PERIOD, panel, prometheus, reading


def test_series_are_named_by_their_labels_and_stand_in_order() -> None:
    found = reading({"x": [({"pod": "a"}, [1, 2]), ({"pod": "b"}, [7, 5])]}, panel())
    assert [(series.name, series.last) for series in found.series] == [("b", 5), ("a", 2)]
    assert found.missing is None


def test_numbers_stand_in_the_order_of_their_queries() -> None:
    two = panel(Kind.STAT, queries=(Query("x", "small"), Query("y", "large")))
    found = reading({"x": [({}, [1])], "y": [({}, [9])]}, two)
    assert [series.name for series in found.series] == ["small", "large"]


def test_series_without_labels_is_named_after_its_panel() -> None:
    assert reading({"x": [({}, [1])]}, panel()).series[0].name == "Some panel"


def test_what_is_not_a_number_is_left_out() -> None:
    found = reading({"x": [({"pod": "a"}, [1, "NaN", "+Inf", 4])]}, panel())
    assert [value for _, value in found.series[0].points] == [1, 4]


def test_nothing_to_compute_from_is_not_the_same_as_nobody_to_ask() -> None:
    assert "no value" in str(reading({"x": [({}, ["NaN"])]}, panel()).missing)
    assert "no data" in str(reading({}, panel()).missing)


def test_what_ended_has_no_value_now_and_is_not_judged() -> None:
    ended: list[float | str] = [1, 2, "gap", "gap", "gap"]
    (series,) = reading({"x": [({"pod": "a"}, ended)]}, panel(thresholds=above(1))).series
    assert series.last is None
    assert series.level is None


def test_worst_series_gives_the_level() -> None:
    found = reading(
        {"x": [({"pod": "a"}, [0]), ({"pod": "b"}, [1]), ({"pod": "c"}, [2])]}, panel(thresholds=above(1, 2))
    )
    assert {series.name: series.level for series in found.series} == {"a": "good", "b": "warn", "c": "bad"}
    assert found.level is Level.BAD


def test_ends_of_an_interval_are_not_judged() -> None:
    both = panel(queries=(Query("x", "value"), Query("y", "high end", judged=False)), thresholds=above(1))
    assert reading({"x": [({}, [0])], "y": [({}, [5])]}, both).level is Level.GOOD


def test_refused_query_says_why_and_the_rest_goes_on() -> None:
    found = reading({}, panel(), refused={"x": "parse error: unexpected end"})
    assert found.refused
    assert "unexpected end" in str(found.missing)


@pytest.mark.parametrize(("hours", "step"), [(1, 30), (0.25, 15), (168, 5040)])
def test_points_are_as_many_as_a_plot_can_show(hours: float, step: float) -> None:
    assert Period(0, hours * 3600).step == step


def test_kinds_ask_for_what_they_show() -> None:
    asked: list[str] = []
    plain = prometheus({"x": [({}, [1])]})

    def ask(path: str, query: dict[str, str]) -> Answer:
        asked.append(path.rpartition("/")[2])
        return plain.ask(path, query)

    from components.grafana.dashboards.definition import Dashboard, Row
    from mlops.dash.reading import read

    panels = tuple(panel(kind, title=kind.value) for kind in Kind)
    read(Prometheus("x", ask), Dashboard("t", "T", "?", (Row("r", panels),)), PERIOD)  # type: ignore[arg-type]
    assert asked == ["query_range", "query_range", "query", "query"]


def test_silent_prometheus_is_named() -> None:
    source = Prometheus("http://p.example", lambda _path, _query: Answer(503, {}, "no endpoints"))
    with pytest.raises(OperationError, match=r"http://p\.example does not answer: HTTP 503: no endpoints"):
        source.now("up", 0)


def test_address_where_nobody_listens_is_named() -> None:
    with pytest.raises(OperationError, match=r"http://127\.0\.0\.1:1 does not answer"):
        at("http://127.0.0.1:1").now("up", 0)


class Services:
    """A cluster with these Services."""

    def __init__(self, *services: tuple[str, str, int]) -> None:
        self._services = services
        self.asked: list[tuple[str, str]] = []

    def items(self, path: str, **query: str) -> list[dict[str, object]]:
        assert path == "/api/v1/services"
        assert "app.kubernetes.io/name=prometheus" in query["labelSelector"]
        return [
            {"metadata": {"name": name, "namespace": namespace}, "spec": {"ports": [{"port": port}]}}
            for name, namespace, port in self._services
        ]

    def ask(self, url: str, path: str, *, query: dict[str, str], timeout: float) -> Answer:
        assert query
        assert timeout > 0
        self.asked.append((url, path))
        return Answer(200, {}, '{"data": {"resultType": "vector", "result": []}}')


def test_prometheus_is_found_by_its_labels() -> None:
    cluster = Services(("prometheus", "watching", 9090))
    assert in_cluster(cluster).now("up", 0) == []  # type: ignore[arg-type]
    assert cluster.asked == [("http://prometheus.watching.svc:9090", "/api/v1/query")]


def test_cluster_without_prometheus_is_told() -> None:
    with pytest.raises(OperationError, match="no Prometheus"):
        in_cluster(Services())  # type: ignore[arg-type]
