"""`prometheus`: an instant query that gives one sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from cabc.document.durations import parse_duration
from cabc.document.interfaces import PrometheusInterface
from cabc.interfaces.base import ExtractError, Retrieved, RetrieveError, SubjectFacts, Value
from cabc.interfaces.connections import PrometheusConnection
from cabc.interfaces.extraction import cast, reduced
from cabc.interfaces.guarded import GuardedPlugin
from cabc.interfaces.parameters import fill_query
from cabc.interfaces.promql import lint
from cabc.interfaces.structured import parse_json
from cabc.text import one_line

__all__ = ["PrometheusPlugin"]

_SERIES = 1000
"""Series that the server may return; it warns when there are more, and a warning is an error here."""


class PrometheusPlugin(GuardedPlugin):
    """Ask the query API. An empty answer, NaN, infinity, more than one sample and a warning are errors."""

    kind: ClassVar[str] = "prometheus"
    spec: ClassVar[type[PrometheusInterface]] = PrometheusInterface
    connection: ClassVar[type[PrometheusConnection]] = PrometheusConnection

    async def retrieve(
        self, spec: PrometheusInterface, connection: PrometheusConnection, subject: SubjectFacts
    ) -> Retrieved:
        query = fill_query(spec.query, subject)
        if mistakes := lint(query, parse_duration(connection.max_range)):
            msg = f"the query is refused: {'; '.join(mistakes)}"
            raise RetrieveError(msg)
        seconds = min(connection.query_timeout, connection.timeout)
        asked = {"query": query, "timeout": f"{max(1, round(seconds * 1000))}ms", "limit": str(_SERIES)}
        answer = await self._client.get(connection, "/api/v1/query", query=asked)
        return Retrieved(answer.body, answer.media_type, f"query {one_line(query)} of connection {spec.connection}")

    def extract(self, spec: PrometheusInterface, body: bytes, media_type: str, details: Mapping[str, str]) -> Value:  # noqa: ARG002 (protocol)
        document = parse_json(body)
        try:
            if document["status"] != "success":
                msg = f"the query failed: {one_line(str(document.get('error', 'no reason given')))}"
                raise ExtractError(msg)
            samples = _samples(document["data"]["resultType"], document["data"]["result"])
            warnings = document.get("warnings") or []
        except (KeyError, TypeError, IndexError) as error:
            msg = "the answer has not the shape of Prometheus' query API"
            raise ExtractError(msg) from error
        if warnings:
            msg = f"the server warns, so the answer may be partial: {one_line(str(warnings[0]))}"
            raise ExtractError(msg)
        return _one(samples, spec)


def _samples(kind: str, result: Any) -> list[str]:
    if kind == "vector":
        if any("value" not in series for series in result):
            msg = "the query gives native histograms; ask for a number with histogram_quantile or histogram_count"
            raise ExtractError(msg)
        return [series["value"][1] for series in result]
    if kind in {"scalar", "string"}:
        return [result[1]]
    msg = f"the query gives a {one_line(str(kind))}; an instant vector with one sample is wanted"
    raise ExtractError(msg)


def _one(samples: list[str], spec: PrometheusInterface) -> Value:
    if not samples:
        msg = "the query's answer is empty: no series matches (never read as zero)"
        raise ExtractError(msg)
    if len(samples) > 1 and spec.reduce is None:
        msg = f"the query gives {len(samples)} samples; aggregate in the query, or say how with `reduce`"
        raise ExtractError(msg)
    numbers = [cast(sample, "numeric") for sample in samples]
    value = reduced(numbers, spec.reduce) if spec.reduce else numbers[0]
    return cast(value, spec.cast)
