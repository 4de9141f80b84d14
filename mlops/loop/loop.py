"""The loop itself: look, run the pipeline, then assert from outside what it says it did."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

from mlops.loop import jobs, places, predictions, sample
from mlops.loop.cluster import Cluster
from mlops.loop.jobs import Task
from mlops.loop.ledger import Ledger, Stage, StageError
from mlops.loop.metrics import Prometheus
from mlops.loop.monitoring import Monitoring
from mlops.loop.places import Places
from mlops.loop.predictions import Expected
from mlops.loop.registry import Registered, Registry
from mlops.loop.serving import Served, Serving, agrees

__all__ = ["Options", "Outcome", "close", "verify"]


@dataclass(frozen=True)
class Options:
    """What a person may ask of the loop."""

    example: str = "loan_approval"
    gate: float | None = None
    """Replaces the example's gate; a model below it is not registered and the loop fails."""

    keep: bool = True
    """Leave the model served."""

    timeout: float = 600
    """Seconds for all of it."""

    namespace: str = places.NAMESPACE


@dataclass
class Outcome:
    """All that the loop has to show."""

    example: str
    cluster: str
    run: str = ""
    run_id: str = ""
    version: str = ""
    digest: str = ""
    seconds: float = 0.0
    urls: dict[str, str] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    facts: list[Any] = field(default_factory=list)
    queries: dict[str, Any] = field(default_factory=dict)
    pipeline: dict[str, Any] = field(default_factory=dict)
    failure: StageError | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it, keys in camelCase."""
        failure = self.failure and {
            "stage": self.failure.stage,
            "object": self.failure.subject,
            "reason": self.failure.reason,
            "fix": self.failure.fix,
        }
        return {
            "ok": self.failure is None,
            "example": self.example,
            "cluster": self.cluster,
            "run": self.run,
            "runId": self.run_id,
            "version": self.version,
            "digest": self.digest,
            "seconds": round(self.seconds, 2),
            "urls": self.urls,
            "stages": [asdict(stage) for stage in self.stages],
            "facts": [asdict(fact) for fact in self.facts],
            "queries": self.queries,
            "pipeline": self.pipeline,
            "failure": failure,
        }


@dataclass
class _Loop:
    """One run of the loop: what it talks to and what it has found out."""

    cluster: Cluster
    options: Options
    ledger: Ledger
    begun: Callable[[str], None]

    def __post_init__(self) -> None:
        self.sample = sample.load(self.options.example)
        self.places: Places = places.find(self.cluster, self.options.namespace)
        self.registry = Registry(self.cluster, self.places.mlflow)
        self.serving = Serving(self.cluster, self.places.serving, self.sample.model)
        self.prometheus = Prometheus(self.cluster, self.places.prometheus) if self.places.prometheus else None
        self.monitoring = Monitoring(self.prometheus, self.serving) if self.prometheus else None
        self.outcome = Outcome(example=self.options.example, cluster=self.cluster.server)
        self.outcome.urls = {
            "mlflow": self.places.mlflow,
            "model": self.serving.url,
            **({"prometheus": self.places.prometheus} if self.places.prometheus else {}),
        }

    def carry_out(self, work: Callable[[], None]) -> Outcome:
        """Do the work; whatever breaks is in the outcome."""
        started = time.monotonic()
        try:
            work()
        except StageError as error:
            self.outcome.failure = error
        self.outcome.seconds = time.monotonic() - started
        self.outcome.stages, self.outcome.facts = self.ledger.stages, self.ledger.facts
        self.outcome.queries = self.prometheus.queries if self.prometheus else {}
        return self.outcome

    def close(self) -> None:
        """Run all stages."""
        deadline = time.monotonic() + self.options.timeout
        with self.ledger.stage("platform") as stage:
            stage.summary = self.look()
        before = self.serving.served()
        known = self.registry.versions(self.sample.model)
        run = self.pipeline(deadline)
        if "register" not in run.tasks:
            self.missed_gate(run, known, before)
        registered = self.registered(run, known)
        self.deployed(run, registered, before)
        self.predicted(run, registered)
        with self.ledger.stage("serving") as stage:
            self.consistent()
            stage.summary = f"version {registered.version} is served and is the champion"
        if not self.options.keep:
            self.serving.delete()

    def look(self) -> str:
        """See that every part answers before any of them is needed."""
        version = self.registry.check()
        self.serving.check(self.places.runtime)
        if self.monitoring:
            self.monitoring.check()
        served = self.serving.served()
        if served and served.version:
            registered = self.registry.version(self.sample.model, served.version)
            if registered is None:
                subject = f"model {self.sample.model} version {served.version}"
                raise StageError("register", subject, f"is served by {self.serving.subject} but not registered")
            # What somebody pointed elsewhere by hand is not silently replaced.
            agrees(Ledger(), self.serving, registered, self.places.artefact_root, ready=False)
        return f"MLflow {version}; serving {f'version {served.version}' if served else 'nothing yet'}"

    def pipeline(self, deadline: float) -> jobs.Run:
        """Compile the example, run it in the cluster, put down its stages. Raises StageError when a step failed."""
        compiled = self.sample.compile(self.places.image)
        arguments = {**self.sample.arguments, "code_version": sample.code_version()}
        if self.options.gate is not None:
            arguments["min_auc"] = self.options.gate
        now = dt.datetime.now(dt.UTC)
        name = f"{self.sample.model}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        self.begun("pipeline")
        run = jobs.submit(self.cluster, self.places, name, compiled, arguments)
        self.outcome.run = name
        try:
            jobs.follow(self.cluster, run, deadline=deadline, tell=self.finished, started=self.begun)
        except BaseException:
            jobs.cancel(self.cluster, run)
            raise
        self.outcome.pipeline = run.end
        if run.end["status"] != "SUCCESS":
            self.failed_step(run)
        self.arguments = arguments
        sha256 = hashlib.sha256(compiled.encode()).hexdigest()
        self.ledger.same(
            "pipeline",
            "sha256 of the pipeline that ran",
            found=run.end["pipeline_sha256"],
            wanted=sha256,
            source=f"Job {run.namespace}/{run.name}",
        )
        return run

    def failed_step(self, run: jobs.Run) -> NoReturn:
        """Raise StageError at the step that failed."""
        failed = next((task for task in run.tasks.values() if task.status != "SUCCESS"), None)
        job, fix = f"Job {run.namespace}/{run.name}", f"kubectl -n {run.namespace} logs job/{run.name}"
        if failed is None:
            raise StageError("pipeline", job, f"failed: {run.end['reason']}", fix=fix)
        reason = re.sub(r"^(?:\w+\.)+(?=\w+: )", "", failed.reason)
        raise StageError(
            _STAGES.get(failed.name, failed.name), f"step {failed.name} of {job}", f"failed: {reason}", fix=fix
        )

    def finished(self, task: Task) -> None:
        """Put down a step as a stage; the comparison has a stage per protocol, made later."""
        if task.status == "SUCCESS" and task.name != "predict":
            self.ledger.add(_STAGES.get(task.name, task.name), task.seconds, _summary(task))

    def missed_gate(self, run: jobs.Run, known: list[int], before: Served | None) -> None:
        """Raise StageError at `evaluate`, once it is certain that nothing was registered and nothing deployed."""
        metrics = run.tasks["evaluate"].artifacts["metrics"]
        after = self.registry.versions(self.sample.model)
        source = f"MLflow {self.places.mlflow}"
        self.ledger.same("register", "versions after a missed gate", found=after, wanted=known, source=source)
        self.ledger.same(
            "deploy",
            "served after a missed gate",
            found=self.serving.served(),
            wanted=before,
            source=self.serving.subject,
        )
        wanted = f"accuracy ≥ {self.arguments['min_accuracy']} and AUC ≥ {self.arguments['min_auc']}"
        found = f"accuracy {metrics['accuracy']:.4f}, AUC {metrics['auc']:.4f}"
        reason = f"misses the gate: {found}, wanted {wanted}; the model was not registered"
        raise StageError("evaluate", f"model {self.sample.model}", reason)

    def registered(self, run: jobs.Run, known: list[int]) -> Registered:
        """Assert what the registry says of the version that the run says it registered."""
        said = {name: task.parameters for name, task in run.tasks.items()}
        ledger, source = self.ledger, f"MLflow {self.places.mlflow}"
        rows, good = said["read"]["rows"], said["validate"]["Output"]
        ledger.same("validate", "rows that are valid", found=good, wanted=rows, source="step validate")
        held_out = said["predict"]["v1"]["rows"]
        ledger.same(
            "train",
            "rows trained on and held out",
            found=said["train"]["Output"] + held_out,
            wanted=good,
            source="step train",
        )
        champion = self.registry.champion(self.sample.model)
        if champion is None:
            raise StageError("register", f"model {self.sample.model}", "has no version with alias champion")
        told = said["register"]
        self.outcome.run_id, self.outcome.version, self.outcome.digest = told["run_id"], told["version"], told["digest"]
        run_found = self.registry.run(champion.run_id)
        for name, found, wanted in (
            ("version", champion.version, told["version"]),
            ("next version", int(champion.version), max(known, default=0) + 1),
            ("run id", champion.run_id, run.mlflow_run_id),
            ("digest", champion.tags.get("digest"), told["digest"]),
            ("data sha256", champion.tags.get("data.sha256"), said["read"]["sha256"]),
            ("code version", champion.tags.get("code.version"), self.arguments["code_version"]),
            ("run status", run_found["info"]["status"], "FINISHED"),
            ("run's Job", run_found["data"]["tags"].get("pipeline.job"), run.name),
        ):
            ledger.same("register", name, found=found, wanted=wanted, source=source)
        measured = run.tasks["evaluate"].artifacts["metrics"]
        for metric, gate in (("accuracy", "min_accuracy"), ("auc", "min_auc")):
            recorded = run_found["data"]["metrics"].get(metric)
            ledger.same("evaluate", f"recorded {metric}", found=recorded, wanted=measured[metric], source=source)
            ledger.that(
                "evaluate",
                f"{metric} at the gate",
                measured[metric] >= self.arguments[gate],
                found=measured[metric],
                wanted=f"≥ {self.arguments[gate]}",
                source=source,
            )
        self.signed(champion)
        return champion

    def signed(self, champion: Registered) -> None:
        """Assert that the artefact itself has a signature and names the run."""
        description = self.registry.description(champion)
        source = f"MLmodel of {champion.name} version {champion.version}"
        inputs = str((description.get("signature") or {}).get("inputs") or "")
        self.ledger.that(
            "register", "signature", bool(inputs), found=inputs[:120], wanted="inputs", source=source,
            reason="has no signature",
        )  # fmt: skip
        self.ledger.same(
            "register", "run id in the artefact", found=description.get("run_id"), wanted=champion.run_id, source=source
        )

    def deployed(self, run: jobs.Run, registered: Registered, before: Served | None) -> None:
        """Assert what is served, and that changing it cost nobody an answer."""
        told = run.tasks["deploy"].parameters
        self.ledger.same(
            "deploy",
            "deployed URI",
            found=told["uri"],
            wanted=registered.uri(self.places.artefact_root),
            source="step deploy",
        )
        agrees(self.ledger, self.serving, registered, self.places.artefact_root, ready=True)
        traffic = told["traffic"]
        if before is None or not traffic:
            why = "nothing was served before" if before is None else "nothing answered before: no promise to measure"
            self.ledger.add("rollout", 0.0, why)
            return
        source = f"traffic to {self.serving.subject}"
        requests, failures = traffic["requests"], traffic["failures"]
        reason = f"failed {len(failures)} times in {int(requests)} requests during the rollout: {failures[:1]}"
        self.ledger.that(
            "rollout", "failed requests", not failures, found=len(failures), wanted=0, source=source, reason=reason
        )
        self.ledger.same(
            "rollout",
            "answers with a version",
            found=int(sum(traffic["by_version"].values())),
            wanted=int(requests),
            source=source,
        )
        wanted = [before.version, registered.version]
        ends = [traffic["sequence"][0], traffic["sequence"][-1]] if traffic["sequence"] else []
        self.ledger.same("rollout", "first and last version to answer", found=ends, wanted=wanted, source=source)
        counts = ", ".join(f"{int(number)} by version {version}" for version, number in traffic["by_version"].items())
        self.ledger.add("rollout", traffic["seconds"], f"{int(requests)} requests, 0 failed: {counts}")

    def predicted(self, run: jobs.Run, registered: Registered) -> None:
        """Assert the answers over both protocols, then find exactly those requests in Prometheus."""
        told, seconds = run.tasks["predict"].parameters, 0.0
        rows = [Expected(entry["row"], entry["answer"]) for entry in told["sample"]]
        started = time.monotonic()
        self.begun("monitoring")
        before = self.monitoring.settled(registered.version) if self.monitoring else None
        seconds = time.monotonic() - started
        sent: dict[str, int] = {}
        for protocol in ("v1", "v2"):
            inside = told[protocol]
            with self.ledger.stage(f"predict-{protocol}") as stage:
                self.ledger.same(
                    stage.name,
                    "held-out rows answered as the registered model does",
                    found=inside["equal"],
                    wanted=inside["rows"],
                    source=f"{self.serving.subject} over {protocol}, from inside the cluster",
                )
                self.ledger.same(
                    stage.name,
                    "run id of those answers",
                    found=inside["run_id"],
                    wanted=registered.run_id,
                    source=self.serving.subject,
                )
                sent[protocol] = predictions.answers(self.ledger, self.serving, registered, rows, protocol)
                outside = f"{sent[protocol]} of {sent[protocol]} from outside"
                stage.summary = f"{int(inside['equal'])} of {int(inside['rows'])} rows equal in the cluster, {outside}"
        if self.monitoring is None or before is None:
            self.ledger.add("monitoring", 0.0, "no metrics store in this stack")
            return
        started = time.monotonic()
        after = self.monitoring.counted(self.ledger, registered.version, before, sent)
        self.monitoring.up(self.ledger)
        number = sum(sent.values())
        latency = 1000 * (after.seconds - before.seconds) / number
        self.ledger.add(
            "monitoring",
            seconds + time.monotonic() - started,
            f"{number} predictions sent, {number} counted, {latency:.1f} ms each in the server",
        )

    def consistent(self) -> Registered:
        """Assert that what answers is the registry's champion. Raises StageError."""
        champion = self.registry.champion(self.sample.model)
        if champion is None:
            subject = f"model {self.sample.model}"
            raise StageError("register", subject, "has no version with alias champion", fix="mlops loop")
        self.outcome.version, self.outcome.run_id = champion.version, champion.run_id
        self.outcome.digest = champion.tags.get("digest", "")
        source = f"MLflow {self.places.mlflow}"
        known = self.registry.versions(self.sample.model)
        self.ledger.that(
            "register",
            "version",
            int(champion.version) in known,
            found=champion.version,
            wanted=f"one of {known}",
            source=source,
        )
        agrees(self.ledger, self.serving, champion, self.places.artefact_root, ready=True)
        example = self.registry.example(champion)
        answer = self.serving.predict_v1(example)
        predictions.identified(self.ledger, "serving", self.serving, champion, answer)
        self.ledger.same(
            "serving",
            "answers to the registered example",
            found=len(answer.json()["predictions"]),
            wanted=len(example),
            source=self.serving.subject,
        )
        return champion

    def check(self) -> None:
        """Only compare: the registry's champion, what is served, and whether it is watched."""
        with self.ledger.stage("platform") as stage:
            stage.summary = f"MLflow {self.registry.check()}"
            self.serving.check(self.places.runtime)
        with self.ledger.stage("serving") as stage:
            champion = self.consistent()
            stage.summary = f"version {champion.version} is served and is the champion"
        if self.monitoring:
            with self.ledger.stage("monitoring") as stage:
                self.monitoring.check()
                self.monitoring.up(self.ledger)
                counts = self.monitoring.settled(champion.version)
                stage.summary = f"{sum(counts.requests.values())} predictions of version {champion.version} counted"


_STAGES = {"read": "data", "predict": "predict-v1"}
"""Stages that are called otherwise than the step."""


def _summary(task: Task) -> str:
    told = task.parameters
    metrics = task.artifacts.get("metrics", {})
    texts: dict[str, Callable[[], str]] = {
        "read": lambda: f"{told['rows']} rows, sha256 {told['sha256'][:12]}",
        "validate": lambda: f"{told['Output']} rows valid",
        "train": lambda: f"on {told['Output']} rows",
        "evaluate": lambda: ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()),
        "register": lambda: f"version {told['version']}, run {told['run_id'][:12]}, {told['digest'][:19]}",
        "deploy": lambda: f"{told['uri']} answers after {told['seconds']:.1f} s",
    }
    return texts[task.name]() if task.name in texts else ""


def close(
    cluster: Cluster,
    options: Options,
    *,
    tell: Callable[[Stage], None] = lambda _stage: None,
    begun: Callable[[str], None] = lambda _name: None,
) -> Outcome:
    """Close the loop once. `tell` gets each finished stage, `begun` the name of each one that starts."""
    loop = _Loop(cluster, options, Ledger(tell), begun)
    return loop.carry_out(loop.close)


def verify(
    cluster: Cluster,
    options: Options,
    *,
    tell: Callable[[Stage], None] = lambda _stage: None,
    begun: Callable[[str], None] = lambda _name: None,
) -> Outcome:
    """Compare what is served with the registry, and see that it is watched; train nothing."""
    loop = _Loop(cluster, options, Ledger(tell), begun)
    return loop.carry_out(loop.check)
