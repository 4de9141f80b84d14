"""Whether predictions are logged, and whether what is accepted gets where it belongs."""

from __future__ import annotations

from components._core.rules import Alert, Group

__all__ = ["groups"]

LOST = "spool full|disk full|disk|busy|slow"
"""Reasons for which the collector refuses what it should have taken."""

SILENT = 600
"""Seconds without an event after which a model that answers is not logged."""

WAITING = 300
"""Seconds that an event may wait for the database."""


def groups() -> list[Group]:
    """Return the alerts about the collector, and about models whose events do not come."""
    return [Group("collector", [*_accepting(), *_storing()]), Group("models", [_not_logged(), _lost()])]


def _accepting() -> list[Alert]:
    return [
        Alert(
            "PredictionLogUnwatched",
            'absent(up{namespace="prediction-log",job="prediction-log"})',
            "5m",
            "warning",
            "Nobody reads the prediction log's metrics: no alert about it can fire.",
            "platform",
            derived=True,
        ),
        Alert(
            "PredictionLogRefuses",
            f'sum by (namespace, reason) (increase(prediction_log_refused_total{{reason=~"{LOST}"}}[5m])) > 0',
            "0s",
            "critical",
            "The prediction log refuses events ({{ $labels.reason }}): predictions are served and not logged.",
            "platform",
        ),
        Alert(
            "PredictionLogRefuses",
            'sum by (namespace, reason) (increase(prediction_log_refused_total{reason="too large"}[5m])) > 0',
            "0s",
            "warning",
            "Requests or answers are larger than the prediction log takes: they are served and not logged.",
            "platform",
        ),
    ]


def _storing() -> list[Alert]:
    return [
        Alert(
            "PredictionLogDatabaseDown",
            "max by (namespace, pod) (prediction_log_database_up) == 0",
            "2m",
            "warning",
            "The prediction log cannot write to its database; events wait in its spool.",
            "platform",
        ),
        Alert(
            "PredictionLogWritesFail",
            # Again and again, and in between it works: a database that is away has an alert of its own.
            "sum by (namespace, pod) (increase(prediction_log_write_failures_total[5m])) > 0"
            " and max by (namespace, pod) (max_over_time(prediction_log_database_up[10m])) == 1",
            "15m",
            "warning",
            "The prediction log reaches its database and cannot always write: events come late.",
            "platform",
        ),
        Alert(
            "PredictionLogWaits",
            "max by (namespace, pod) (prediction_log_spool_bytes / prediction_log_spool_limit_bytes) > 0.8",
            "1m",
            "critical",
            "The prediction log's spool is {{ $value | humanizePercentage }} full; then events are refused.",
            "platform",
        ),
        Alert(
            "PredictionLogWaits",
            f"max by (namespace, pod) (prediction_log_spool_oldest_seconds) > {WAITING}",
            "1m",
            "warning",
            "Events have waited {{ $value | humanizeDuration }} for the prediction log's database.",
            "platform",
        ),
        Alert(
            "PredictionLogDeadLetters",
            # Of those that are kept: an answer may be dead until the question is read that it overtook.
            "max by (namespace, pod) (prediction_log_dead_letters)"
            " - max by (namespace, pod) (prediction_log_dead_letters offset 15m) > 0",
            "0s",
            "warning",
            "The prediction log cannot read {{ $value }} more events; they are kept as dead letters.",
            "platform",
        ),
        Alert(
            "PredictionLogNotArchived",
            "sum by (namespace) (increase(prediction_log_archive_failures_total[30m])) >= 3",
            "0s",
            "warning",
            "The prediction log cannot write Parquet files; its database keeps what is in none.",
            "platform",
        ),
    ]


def _not_logged() -> Alert:
    asked = _of_service(f'increase(model_request_seconds_count{{outcome="answered"}}[{SILENT}s])', "model_name", "(.+)")
    # A model server that was asked to log counts what it sends, from zero.
    logged = _of_service('model_log_events_total{outcome="sent"}', "serving_kserve_io_inferenceservice", "(.+)")
    heard = (
        "max by (namespace, service) (label_replace(label_replace(prediction_log_last_event_timestamp_seconds,"
        ' "service", "$1", "inference_service", "(.+)"), "namespace", "$1", "inference_namespace", "(.+)"))'
    )
    return Alert(
        "PredictionsNotLogged",
        f"({asked} > 0 and {logged}) unless (time() - {heard} < {SILENT})",
        "5m",
        "critical",
        "{{ $labels.namespace }}/{{ $labels.service }} answers and asks to be logged,"
        " but the prediction log has not heard of it for ten minutes.",
        "platform",
    )


def _lost() -> Alert:
    lost = 'increase(model_log_events_total{outcome!="sent"}[5m])'
    return Alert(
        "PredictionsLost",
        f"sum by (namespace, service, outcome)"
        f' (label_replace({lost}, "service", "$1", "serving_kserve_io_inferenceservice", "(.+)")) > 0',
        "0s",
        "critical",
        "{{ $labels.namespace }}/{{ $labels.service }} answered and could not have {{ $value | humanize }} events"
        " logged ({{ $labels.outcome }}).",
        "platform",
    )


def _of_service(series: str, label: str, pattern: str) -> str:
    return f'max by (namespace, service) (label_replace({series}, "service", "$1", "{label}", "{pattern}"))'
