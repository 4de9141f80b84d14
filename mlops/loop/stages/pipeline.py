"""The stages that run in the cluster: the example's pipeline, a stage per step."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import secrets
from collections.abc import Callable
from typing import NoReturn

from mlops.loop import jobs, sample
from mlops.loop.context import Context
from mlops.loop.jobs import Task
from mlops.loop.ledger import StageError

__all__ = ["run"]

STAGES = {"read": "data", "predict": "predict-v1"}
"""Stages that are called otherwise than the step."""

OURS = ("register", "deploy", "predict")
"""Steps that belong to the platform, not to the example's author."""


def run(context: Context) -> None:
    """Compile the example, run it, put down its stages. Raises StageError when a step failed or the gate was missed."""
    compiled = context.sample.compile(context.places.image)
    context.arguments = {
        **context.sample.arguments,
        "code_version": sample.code_version(),
        **context.options.arguments,
    }
    if context.options.gate is not None:
        context.arguments["min_auc"] = context.options.gate
    now = dt.datetime.now(dt.UTC)
    name = f"{context.sample.model}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    context.begun("pipeline")
    context.run = jobs.submit(context.cluster, context.places, name, compiled, context.arguments)
    context.outcome.run = name
    _follow(context)
    if context.run.end["status"] != "SUCCESS":
        _failed_step(context.run)
    context.ledger.same(
        "pipeline",
        "sha256 of the pipeline that ran",
        found=context.run.end["pipeline_sha256"],
        wanted=hashlib.sha256(compiled.encode()).hexdigest(),
        source=f"Job {context.run.namespace}/{name}",
    )
    if "register" not in context.run.tasks:
        _missed_gate(context)


def _follow(context: Context) -> None:
    """Follow the run to its end; it is taken away when it does not come to one."""

    def finished(task: Task) -> None:
        # The comparison of answers has a stage per protocol, made later.
        if task.status == "SUCCESS" and task.name != "predict":
            context.ledger.add(STAGES.get(task.name, task.name), task.seconds, _summary(task))

    try:
        jobs.follow(context.cluster, context.run, deadline=context.deadline, tell=finished, started=context.begun)
    except BaseException:
        jobs.cancel(context.cluster, context.run)
        raise
    context.outcome.pipeline = context.run.end
    theirs = (task.seconds for task in context.run.tasks.values() if task.name not in OURS)
    context.outcome.user_code_seconds = sum(theirs)


def _failed_step(run: jobs.Run) -> NoReturn:
    failed = next((task for task in run.tasks.values() if task.status != "SUCCESS"), None)
    job, fix = f"Job {run.namespace}/{run.name}", f"kubectl -n {run.namespace} logs job/{run.name}"
    if failed is None:
        raise StageError("pipeline", job, f"failed: {run.end['reason']}", fix=fix)
    reason = re.sub(r"^(?:\w+\.)+(?=\w+: )", "", failed.reason)
    raise StageError(STAGES.get(failed.name, failed.name), f"step {failed.name} of {job}", f"failed: {reason}", fix=fix)


def _missed_gate(context: Context) -> NoReturn:
    """Raise StageError at `evaluate`, once it is certain that nothing was registered and nothing deployed."""
    metrics = context.run.tasks["evaluate"].artifacts["metrics"]
    context.ledger.same(
        "register",
        "versions after a missed gate",
        found=context.registry.versions(context.sample.model),
        wanted=context.known,
        source=context.mlflow,
    )
    context.ledger.same(
        "deploy",
        "served after a missed gate",
        found=context.serving.served(),
        wanted=context.before,
        source=context.serving.subject,
    )
    wanted = f"accuracy ≥ {context.arguments['min_accuracy']} and AUC ≥ {context.arguments['min_auc']}"
    found = f"accuracy {metrics['accuracy']:.4f}, AUC {metrics['auc']:.4f}"
    reason = f"misses the gate: {found}, wanted {wanted}; the model was not registered"
    raise StageError("evaluate", f"model {context.sample.model}", reason)


def _summary(task: Task) -> str:
    told = task.parameters
    metrics = task.artifacts.get("metrics", {})
    gated = {name: metrics[name] for name in ("accuracy", "auc") if name in metrics}
    ratios = [value for name, value in metrics.items() if name.startswith("disparate_impact_ratio")]
    fairness = f", least disparate impact ratio {min(ratios):.3f}" if ratios else ""
    texts: dict[str, Callable[[], str]] = {
        "read": lambda: f"{told['rows']} rows, sha256 {told['sha256'][:12]}",
        "validate": lambda: f"{told['Output']} rows valid",
        "train": lambda: f"on {told['Output']} rows",
        "evaluate": lambda: f"{', '.join(f'{name} {value:.4f}' for name, value in gated.items())}{fairness}",
        "register": lambda: f"version {told['version']}, run {told['run_id'][:12]}, {told['digest'][:19]}",
        "deploy": lambda: f"{told['uri']} answers after {told['seconds']:.1f} s",
    }
    return texts[task.name]() if task.name in texts else ""
