"""From files to hops. Nothing is asked here, so that an export can be judged again by anybody, offline."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from cabc_platform.documents import Document, in_force, instant, verify
from cabc_platform.trace.canonical import data_digest
from cabc_platform.trace.collected import ARTEFACTS, EVIDENCE, MLMODEL, PREDICTION, RECORD, RUN, VERSION, Collected
from cabc_platform.trace.hops import Check, Hop, State, Trace
from cabc_platform.trace.record import Entry, Record, RecordError

__all__ = ["judge"]

_FAILING = frozenset({"not-satisfied", "error", "needs-review", "not-evaluated"})

_HOLDS = "holds"

_IMAGE = ("image", "Image that answered")

_INFRASTRUCTURE = ("infrastructure", "Infrastructure at that minute")


def judge(collected: Collected, row: int | None = None) -> Trace:
    """Return what the collected files say of the prediction and of the minute when it was made."""
    prediction = collected.data(PREDICTION)
    when = _minute(prediction)
    hops = [
        _prediction(collected, prediction, row),
        _model(collected, prediction),
        *_infrastructure_of(collected, prediction, when),
        _run(collected, prediction),
        _status(collected, prediction, when),
    ]
    order = ["prediction", "model", "image", "run", "status", "infrastructure"]
    hops.sort(key=lambda hop: order.index(hop.name))
    hops.append(_truth(collected, prediction, row))
    return Trace(str(collected.about["request"]), row, when.isoformat() if when else None, hops)


def _minute(prediction: Mapping[str, Any] | None) -> dt.datetime | None:
    """Return when the answer was given: what came after it cannot have had a part in it."""
    told = (prediction or {}).get("answered_at") or (prediction or {}).get("at")
    return instant(str(told)) if told else None


def _prediction(collected: Collected, prediction: Mapping[str, Any] | None, row: int | None) -> Hop:
    name, title = "prediction", "Logged input and output"
    if prediction is None:
        return Hop.missing(name, title, collected.why(PREDICTION))
    rows = prediction["rows"]
    chosen = [each for each in rows if row is None or each["row"] == row]
    content = [{key: each[key] for key in ("row", "inputs", "output")} for each in rows]
    checks = [
        Check("digest over all rows of the request", data_digest(content), str(prediction["content_digest"])),
        Check("request and answer are both in the log", _both(chosen), "both"),
    ]
    if row is not None:
        checks.append(Check("row", str(row) if chosen else f"{len(rows)} rows from 0", str(row)))
    what = f"{len(rows)} row{'s' if len(rows) != 1 else ''}"
    return Hop.checked(
        name,
        title,
        f"{what} over {prediction['protocol'] or 'an unknown protocol'} at {prediction['at']}",
        checks,
        digest=prediction["content_digest"],
        link=_link(collected, "predictionLog", f"/v1/predictions/{collected.about['request']}"),
        facts={
            "service": f"{prediction['namespace']}/{prediction['service']}",
            "asked": prediction["at"],
            "answered": prediction["answered_at"],
            "latencyMs": prediction["latency_ms"],
            "status": prediction["status"],
            "rows": content if row is None else [each for each in content if each["row"] == row],
        },
    )


def _both(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "no row"
    lacking = [word for word in ("inputs", "output") if any(each[word] is None for each in rows)]
    return f"no {' and no '.join(lacking)}" if lacking else "both"


def _model(collected: Collected, prediction: Mapping[str, Any] | None) -> Hop:
    name, title = "model", "Model version"
    if prediction is None:
        return Hop.missing(name, title, "the log does not have the prediction")
    version = collected.data(VERSION)
    if version is None:
        return Hop.missing(name, title, collected.why(VERSION))
    tags = _pairs(version.get("tags"))
    said = str(prediction["digest"])
    listed = collected.data(ARTEFACTS)
    checks = [
        Check(
            "digest that the server computed when it loaded the model, and the registry's", said, tags.get("digest", "")
        ),
        Check(
            "digest over the artefacts as the registry hands them out",
            _artefacts_digest(listed) if listed else f"not computed: {collected.why(ARTEFACTS)}",
            said,
        ),
    ]
    return Hop.checked(
        name,
        title,
        f"{version['name']} version {version['version']}",
        checks,
        digest=said or None,
        link=_link(collected, "mlflow", f"/#/models/{version['name']}/versions/{version['version']}"),
        facts={
            "model": version["name"],
            "version": version["version"],
            "runId": prediction["run_id"],
            "registered": _milliseconds(version.get("creation_timestamp")),
            "files": len(listed or []),
        },
    )


def _artefacts_digest(listed: Sequence[Mapping[str, Any]], order: Callable[[str], Any] = PurePosixPath) -> str:
    """Return the digest that the platform gives a model: over hashes and names of its files, sorted by their paths."""
    lines = hashlib.sha256()
    for each in sorted(listed, key=lambda each: order(each["path"])):
        lines.update(f"{each['sha256']}  {each['path']}\n".encode())
    return f"sha256:{lines.hexdigest()}"


def _run(collected: Collected, prediction: Mapping[str, Any] | None) -> Hop:
    name, title = "run", "Run, code and data"
    version, run = collected.data(VERSION), collected.data(RUN)
    if prediction is None or version is None or run is None:
        return Hop.missing(name, title, collected.why(RUN))
    tags, data = _pairs(version.get("tags")), run["data"]
    description = _description(collected)
    run_id = str(prediction["run_id"])
    checks = [
        Check("run of the version in the registry", str(version["run_id"]), run_id),
        Check("run in the model's own description, which its digest covers", str(description.get("run_id")), run_id),
        Check("state of the run", str(run["info"].get("status")), "FINISHED"),
    ]
    sources = _pairs(data.get("tags"))
    commit = tags.get("code.version") or sources.get("mlflow.source.git.commit")
    metrics = {each["key"]: each["value"] for each in data.get("metrics", [])}
    datasets = [
        {"name": each["dataset"].get("name"), "digest": each["dataset"].get("digest"), "context": _context(each)}
        for each in (run.get("inputs") or {}).get("dataset_inputs", [])
    ]
    return Hop.checked(
        name,
        title,
        f"run {run_id[:12]}, code {commit or 'not named'}, data {tags.get('data.sha256', 'not named')[:16]}",
        checks,
        digest=data_digest(run),
        link=_link(collected, "mlflow", f"/#/experiments/{run['info']['experiment_id']}/runs/{run_id}"),
        facts={
            "codeCommit": commit,
            "dataSha256": tags.get("data.sha256"),
            "datasets": datasets,
            "metrics": metrics,
            "parameters": _pairs(data.get("params")),
            "ended": _milliseconds(run["info"].get("end_time")),
        },
    )


def _description(collected: Collected) -> Mapping[str, Any]:
    """Return the model's own description; nothing where the file is none."""
    try:
        found = yaml.safe_load(collected.files.get(MLMODEL, b""))
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _status(collected: Collected, prediction: Mapping[str, Any] | None, when: dt.datetime | None) -> Hop:
    name, title = "status", "Conformity status at that minute"
    archive = collected.files.get(RECORD)
    if prediction is None or when is None or archive is None:
        return Hop.missing(name, title, collected.why(RECORD))
    subject, version = str(prediction["model"]), str(prediction["version"])
    try:
        record = Record(archive, subject)
    except RecordError as error:
        return Hop.checked(
            name, title, f"the auditor's record does not hold: {error}", [Check("record", str(error), _HOLDS)]
        )
    steps = [each for each in record.until(when, "statusrecord") if instant(_body(each)["since"]) <= when]
    if not steps:
        return Hop.missing(name, title, f"{subject} had no status yet at {when.isoformat()}")
    step = steps[-1]
    told = _body(step)
    assessments = record.until(when, "assessment")
    latest = assessments[-1] if assessments else None
    audited = str(_body(latest)["subject"].get("version")) if latest else str(told.get("version"))
    checks = [
        Check("chain of the auditor's record, to its signed head", _HOLDS, _HOLDS),
        Check("version that was audited", audited, version),
    ]
    if latest and (seen := _body(latest)["subject"].get("digest")):
        # The auditor sorts files by the bytes of their paths; for all but odd names that is the platform's digest too.
        listed = collected.data(ARTEFACTS)
        wanted = _artefacts_digest(listed, str.encode) if listed else str(prediction["digest"])
        checks.append(Check("digest of the model that was audited", str(seen), wanted))
    findings = _findings(record, latest)
    waivers = _waivers(record, when)
    counted = f"{len(findings)} finding{'s' if len(findings) != 1 else ''}"
    return Hop.checked(
        name,
        title,
        f"{told['status']} since {told['since']}; {counted}, {len(waivers)} waived",
        checks,
        digest=step.hash,
        link=_link(
            collected, "auditor", f"/subjects/{subject}" + (f"/assessments/{latest.key}/report" if latest else "")
        ),
        facts={
            "status": told["status"],
            "since": told["since"],
            "cause": told["cause"],
            "assessment": latest.key if latest else None,
            "assessmentHash": latest.hash if latest else None,
            "assessed": _body(latest)["ended"] if latest else None,
            "specification": _body(latest)["specification"] if latest else None,
            "findings": findings,
            "waivers": waivers,
            "signedBy": record.key_id,
        },
    )


def _findings(record: Record, assessment: Entry | None) -> list[dict[str, Any]]:
    bodies = [
        _body(entry)
        for entry in record.entries
        if assessment and entry.kind == "finding" and entry.parent == assessment.key and entry.body is not None
    ]
    return [
        {key: body.get(key) for key in ("requirement", "verdict", "severity", "reason", "risks", "waiver")}
        for body in bodies
        if body["verdict"] in _FAILING
    ]


def _waivers(record: Record, when: dt.datetime) -> list[dict[str, Any]]:
    bodies = [_body(entry) for entry in record.until(when, "waiver")]
    return [
        {key: body[key] for key in ("id", "requirement", "reason", "approver", "created", "expires")}
        for body in bodies
        if instant(body["created"]) <= when < instant(body["expires"])
    ]


def _infrastructure_of(
    collected: Collected, prediction: Mapping[str, Any] | None, when: dt.datetime | None
) -> list[Hop]:
    """Return the hops that the evidence of the infrastructure tells: the image, and who operated the platform."""
    content = collected.files.get(EVIDENCE)
    if prediction is None or when is None or content is None:
        why = collected.why(EVIDENCE)
        return [Hop.missing(*_IMAGE, why), Hop.missing(*_INFRASTRUCTURE, why)]
    chain = [Document(line) for line in content.decode(errors="replace").split("\n") if line]
    faults = verify(chain)
    held = Check("chain of the evidence", str(faults[0]) if faults else _HOLDS, _HOLDS)
    if faults:
        broken = f"the evidence does not hold: {faults[0]}"
        return [Hop.checked(*_IMAGE, broken, [held]), Hop.checked(*_INFRASTRUCTURE, broken, [held])]
    return [_image(chain, prediction, when, held), _operated(chain, when, held)]


def _image(chain: Sequence[Document], prediction: Mapping[str, Any], when: dt.datetime, held: Check) -> Hop:
    place = f"{prediction['namespace']}/{prediction['service']}"
    seen = [
        (document, each)
        for document in chain
        for each in (document.body.get("served") or {}).get("items", [])
        if each["inferenceService"] == place
        and (each["version"], each["runId"]) == (str(prediction["version"]), str(prediction["run_id"]))
        and each["images"]
    ]
    if not seen:
        return Hop.missing(*_IMAGE, f"no evidence was recorded while {place} served this version")
    before = [each for each in seen if instant(each[0].body["recorded"]["at"]) <= when]
    document, served = before[-1] if before else seen[0]
    recorded = document.body["recorded"]["at"]
    return Hop.checked(
        *_IMAGE,
        ", ".join(each["reference"].rpartition("/")[2] for each in served["images"]),
        [held, Check("digest of the model it served", str(served["digest"]), str(prediction["digest"]))],
        digest=served["images"][0]["digest"],
        link=f"mlops evidence show {document.number} --stack {document.body['stack']}",
        facts={
            "images": served["images"],
            "inferenceService": place,
            "recorded": recorded,
            "recordedBefore": bool(before),
            "document": document.digest,
        },
    )


def _operated(chain: Sequence[Document], when: dt.datetime, held: Check) -> Hop:
    found = in_force(chain, when)
    if found is None:
        return Hop.missing(*_INFRASTRUCTURE, f"no operation of the engine had ended by {when.isoformat()}")
    told = found.body
    update, commit, by = told["update"], told["commit"], told["update"]["appliedBy"]
    drift = [
        each.body for each in chain if each.body["kind"] == "drift" and instant(each.body["recorded"]["at"]) <= when
    ]
    after = "followed by" if found is not chain[-1] else "last;"
    return Hop.checked(
        *_INFRASTRUCTURE,
        f"{update['operation']} {update['number']} of stack {told['stack']} by {by['user'] or 'nobody known'}, "
        f"ended {update['ended']}, commit {commit['sha'][:12] if commit else 'not known'}",
        [held, Check("result of the operation", update["result"], "succeeded")],
        digest=found.digest,
        link=f"mlops evidence show {found.number} --stack {told['stack']}",
        facts={
            "appliedBy": by,
            "ended": update["ended"],
            "previewed": update["previewed"],
            "commit": commit,
            "changes": update["changes"],
            "checks": told["checks"],
            "drift": {"checked": drift[-1]["recorded"]["at"], "open": drift[-1]["drift"]["objects"]} if drift else None,
            "chain": f"{after} {chain[-1].number - found.number} documents",
        },
    )


def _truth(collected: Collected, prediction: Mapping[str, Any] | None, row: int | None) -> Hop:
    name, title = "truth", "What turned out to be true"
    if prediction is None:
        return Hop.missing(name, title, "the log does not have the prediction")
    told = [each for each in prediction["truths"] if row is None or each["row"] in {row, None}]
    if not told:
        return Hop(name, title, "no label, feedback or business value has come", State.NONE)
    current: dict[tuple[Any, Any], int] = {}
    for each in told:
        current[each["kind"], each["row"]] = current.get((each["kind"], each["row"]), 0) + (not each["superseded"])
    doubled = sum(number != 1 for number in current.values())
    valid = [each for each in told if not each["superseded"]]
    corrections = len(told) - len(valid)
    said = ", ".join(f"{each['kind']} {each['value']}" for each in valid[:3])
    more = f" and {len(valid) - 3} more" if len(valid) > 3 else ""  # noqa: PLR2004 (as many as fit a line)
    return Hop.checked(
        name,
        title,
        f"{said}{more}; {corrections} corrected",
        [Check("values that are told more or less than once", str(doubled), "0")],
        digest=data_digest(told),
        link=_link(collected, "predictionLog", f"/v1/predictions/{collected.about['request']}"),
        facts={"truths": told},
    )


def _body(entry: Entry) -> Mapping[str, Any]:
    """Return a body that is there: entries without one were left out."""
    return entry.body or {}


def _context(entry: Mapping[str, Any]) -> str | None:
    return _pairs(entry.get("tags")).get("mlflow.data.context")


def _pairs(listed: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    return {each["key"]: each["value"] for each in listed or []}


def _milliseconds(value: Any) -> str | None:
    return dt.datetime.fromtimestamp(int(value) / 1000, dt.UTC).isoformat() if value else None


def _link(collected: Collected, place: str, path: str) -> str | None:
    url = collected.about["places"].get(place)
    return None if url is None else f"{url}{path}"
