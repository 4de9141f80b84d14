"""Scenario `broken`: what watches is stopped and messages are forged; alerts tell, serving goes on, no row is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mlops.loop import decisions, waiting
from mlops.loop.cluster import place
from mlops.loop.context import Context
from mlops.loop.decisions import Decision
from mlops.loop.ledger import StageError
from mlops.loop.scenarios.play import Play
from mlops.loop.service import Service
from mlops.loop.stages import log, monitoring

__all__ = ["ALERTS", "ALERT_SECONDS", "BACK_SECONDS", "run"]

ALERTS = {
    "prediction log": "PredictionLogUnwatched",
    "model monitor": "ModelMonitorStale",
    "auditor": "AuditNotRunning",
}
"""What tells people that a part is away: it is pending as soon as Prometheus has nothing more to read of the part."""

ALERT_SECONDS = 150.0
"""Within this time an alert is pending. A target that vanished is missed after two more of its reads, half a minute;
a pod may take most of a minute to end before that."""

BACK_SECONDS = 240.0
"""Within this time the parts that were stopped work again."""

STOPPED_SECONDS = 120.0

FORGED = {"X-Cabc-Timestamp": "0", "X-Cabc-Signature": "sha256=forged", "X-Mlflow-Signature": "v1,Zm9yZ2Vk"}


def run(play: Play) -> None:
    """Close the loop, then stop all that watches; assert what tells of it, and that the model answers and is logged."""
    good = play.good()
    play.needs(good, "prediction log", "model monitor", "metrics store")
    parts = [part for part in (good.log, good.monitor, good.auditor) if part]
    _silent(good, parts)
    with _stopped(good, parts) as gone:
        given = _asked(play, good)
        play.record["noticed"] = [_noticed(play, good, part, gone[part.name]) for part in parts]
    _kept(play, good, given)
    _forged(play, good)
    monitoring.verify(good)


def _silent(context: Context, parts: Sequence[Service]) -> None:
    """Wait until none of the alerts is there: one that is would tell of something else."""
    for part in parts:
        if not waiting.until(lambda part=part: _alert(context, part) is None or None, ALERT_SECONDS):  # type: ignore[misc]
            raise StageError(part.stage, part.source, f"has alert {ALERTS[part.name]} before it is stopped")


def _asked(play: Play, context: Context) -> list[Decision]:
    """Ask the model, as nobody watches, about rows that the log must have afterwards."""
    with play.ledger.stage("unwatched") as stage:
        cases = decisions.held_out(context.registry, context.registered, context.sample)[: decisions.BATCH]
        given = decisions.ask(context.serving, context.registered, cases, stage=stage.name)
        play.ledger.same(
            stage.name,
            "rows answered while nobody watches",
            found=len(given),
            wanted=len(cases),
            source=context.serving.subject,
        )
        stage.summary = f"the model answers {len(given)} rows without what watches it"
        return given


def _noticed(play: Play, context: Context, part: Service, gone: StageError) -> dict[str, str]:
    """Assert that a stopped part is told apart: by the loop with stage and reason, by Prometheus with an alert."""
    alert = ALERTS[part.name]
    with play.ledger.stage(f"without {part.name}") as stage:
        play.ledger.that(
            part.stage,
            f"reason of a stopped {part.name}",
            "replicas" in gone.reason,
            found=gone.reason,
            wanted="names the workload and its replicas",
            source=part.source,
        )
        state = waiting.until(lambda: _alert(context, part), ALERT_SECONDS)
        play.ledger.that(
            part.stage,
            f"alert about a stopped {part.name}",
            state is not None,
            found=f"{alert} is {state}" if state else None,
            wanted=f"{alert} is pending or firing",
            source=part.source,
            reason=f"is stopped, and {alert} is not even pending after {ALERT_SECONDS:.0f} s",
        )
        stage.summary = f"noticed at {gone.stage}: {gone.reason}; {alert} is {state}"
        return {"part": part.name, "stage": gone.stage, "reason": gone.reason, "alert": alert, "state": str(state)}


def _kept(play: Play, context: Context, given: Sequence[Decision]) -> None:
    """Assert that what was answered while the log was away is in it now: the model server kept it."""
    with play.ledger.stage("kept") as stage:
        logged = log.compare(context, given)
        stage.summary = f"{len(given)} rows of {logged} requests that were answered meanwhile are in the log"


def _alert(context: Context, part: Service) -> str | None:
    """Return the state of a part's alert, `pending` or `firing`; None while there is none."""
    assert context.prometheus  # noqa: S101 (the scenario needs it)
    found = context.prometheus.query(f'ALERTS{{alertname="{ALERTS[part.name]}"}}')
    return max((each.labels["alertstate"] for each in found), default=None)


@contextmanager
def _stopped(context: Context, parts: Sequence[Service]) -> Iterator[dict[str, StageError]]:
    """Scale the workloads of services to nothing and back to what they were; give what each is missed with."""
    workloads = [each for part in parts for each in _workloads(context, part)]
    try:
        for path, _ in workloads:
            context.cluster.patch(path, {"spec": {"replicas": 0}})
        gone = {}
        for part in parts:
            missed = waiting.until(lambda part=part: _missed(part), STOPPED_SECONDS)  # type: ignore[misc]
            if missed is None:
                reason = f"still answers {STOPPED_SECONDS:.0f} s after it was stopped"
                raise StageError(part.stage, part.source, reason)
            gone[part.name] = missed
        yield gone
    finally:
        for path, replicas in workloads:
            context.cluster.patch(path, {"spec": {"replicas": replicas}})
        for part in parts:
            if not waiting.until(lambda part=part: _back(context, part) or None, BACK_SECONDS):  # type: ignore[misc]
                reason = f"does not answer {BACK_SECONDS:.0f} s after it was started again"
                raise StageError(part.stage, part.source, reason)


def _workloads(context: Context, part: Service) -> list[tuple[str, int]]:
    """Return path and replicas of every workload of a part; the auditor has one for each of its processes."""
    found = [
        (path, max(1, int(each["spec"].get("replicas", 1))))  # none: somebody was interrupted while it was stopped
        for path, each in _objects(context, part)
    ]
    if not found:
        namespace, name, _ = place(part.url)
        raise StageError("broken", f"namespace {namespace}", f"has neither Deployment nor StatefulSet {name}")
    return found


def _objects(context: Context, part: Service) -> Iterator[tuple[str, dict[str, Any]]]:
    namespace, name, _ = place(part.url)
    for kind in ("deployments", "statefulsets"):
        collection = f"/apis/apps/v1/namespaces/{namespace}/{kind}"
        for each in context.cluster.items(collection):
            mine = each["metadata"]["name"]
            if mine == name or mine.startswith(f"{name}-"):
                yield f"{collection}/{mine}", each


def _missed(part: Service) -> StageError | None:
    """Return how a part is missed; None while it answers."""
    try:
        part.check()
    except StageError as error:
        return error
    return None


def _back(context: Context, part: Service) -> bool:
    return _missed(part) is None and all(
        each.get("status", {}).get("readyReplicas", 0) >= each["spec"].get("replicas", 1)
        for _, each in _objects(context, part)
    )


def _forged(play: Play, context: Context) -> None:
    """Assert that whoever has no secret moves nothing at the auditor."""
    if context.auditor is None:
        return
    auditor, name = context.auditor, context.sample.model
    with play.ledger.stage("forged") as stage:
        before = [each["id"] for each in auditor.assessments(name)]
        bodies = {
            "platform": {"subject": name},
            "registry": {"entity": "model_version", "action": "created", "data": {"name": name}},
            "alerts": {"alerts": [{"labels": {"cabc_subject": name}}]},
        }
        for hook, body in bodies.items():
            answer = auditor.hook(hook, body, FORGED)
            play.ledger.same(
                "forged",
                f"HTTP status of a forged message to webhook {hook}",
                found=answer.status,
                wanted=401,
                source=auditor.source,
            )
        after = [each["id"] for each in auditor.assessments(name) if each["trigger"]["kind"] == "webhook"]
        play.ledger.that(
            "forged",
            "assessments that forged messages caused",
            set(after) <= set(before),
            found=sorted(set(after) - set(before)),
            wanted="none",
            source=auditor.source,
        )
        stage.summary = f"{len(bodies)} webhooks refuse what is not signed"
