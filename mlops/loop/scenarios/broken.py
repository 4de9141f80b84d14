"""Scenario `broken`: parts are stopped and messages forged; each is noticed where it matters, and serving goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from mlops.loop import waiting
from mlops.loop.cluster import place
from mlops.loop.context import Context
from mlops.loop.ledger import StageError
from mlops.loop.scenarios.play import Play
from mlops.loop.service import Service
from mlops.loop.stages import log, monitoring

__all__ = ["BACK_SECONDS", "run"]

BACK_SECONDS = 240.0
"""Within this time a part that was stopped works again."""

STOPPED_SECONDS = 120.0

FORGED = {"X-Cabc-Timestamp": "0", "X-Cabc-Signature": "sha256=forged", "X-Mlflow-Signature": "v1,Zm9yZ2Vk"}


def run(play: Play) -> None:
    """Close the loop, then stop one part after the other; assert stage and reason, and that the model still answers."""
    good = play.good()
    play.needs(good, "prediction log", "model monitor")
    # Rows that are not in the log are what a stopped collector means; of the others, that they do not answer.
    looks: list[tuple[Service | None, Callable[[], None]]] = [
        (good.log, partial(log.check, good)),
        *((part, part.check) for part in (good.monitor, good.auditor) if part),
    ]
    play.record["noticed"] = [_noticed(play, good, part, look) for part, look in looks if part]
    _forged(play, good)
    if good.monitoring:
        monitoring.verify(good)


def _noticed(play: Play, context: Context, part: Service, look: Callable[[], None]) -> dict[str, str]:
    with play.ledger.stage(f"without {part.name}") as stage, _stopped(context, part):
        try:
            look()
        except StageError as error:
            found, reason = error.stage, error.reason
        else:
            raise StageError(part.stage, part.source, "is stopped, and nothing notices")
        play.ledger.same(
            part.stage,
            f"stage that notices a stopped {part.name}",
            found=found,
            wanted=part.stage,
            source=part.source,
        )
        play.ledger.that(
            part.stage,
            f"reason of a stopped {part.name}",
            "replicas" in reason,
            found=reason,
            wanted="names the workload and its replicas",
            source=part.source,
        )
        example = context.registry.example(context.registered)
        answer = context.serving.predict_v1(example)
        play.ledger.same(
            part.stage,
            f"HTTP status of a prediction without {part.name}",
            found=answer.status,
            wanted=200,
            source=context.serving.subject,
        )
        stage.summary = f"noticed at {found}: {reason}; the model answers"
        return {"part": part.name, "stage": found, "reason": reason}


@contextmanager
def _stopped(context: Context, part: Service) -> Iterator[None]:
    """Scale the workload behind a service to nothing and back to what it was."""
    namespace, name, _ = place(part.url)
    path, replicas = _workload(context, namespace, name)
    context.cluster.patch(path, {"spec": {"replicas": 0}})
    try:
        if not waiting.until(lambda: not _answers(part) or None, STOPPED_SECONDS):
            raise StageError(part.stage, part.source, f"still answers {STOPPED_SECONDS:.0f} s after it was stopped")
        yield
    finally:
        context.cluster.patch(path, {"spec": {"replicas": replicas}})
        if not waiting.until(lambda: _answers(part) or None, BACK_SECONDS):
            raise StageError(
                part.stage, part.source, f"does not answer {BACK_SECONDS:.0f} s after it was started again"
            )


def _workload(context: Context, namespace: str, name: str) -> tuple[str, int]:
    for kind in ("deployments", "statefulsets"):
        path = f"/apis/apps/v1/namespaces/{namespace}/{kind}/{name}"
        found = context.cluster.get(path)
        if found is not None:
            return path, int(found["spec"].get("replicas", 1))
    raise StageError("broken", f"namespace {namespace}", f"has neither Deployment nor StatefulSet {name}")


def _answers(part: Service) -> bool:
    try:
        part.check()
    except StageError:
        return False
    return True


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
