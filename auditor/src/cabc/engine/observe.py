"""What stored evidence says about one leaf. Pure: same inputs, same observation, here and at a verifier's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from cabc.document.durations import parse_duration
from cabc.document.interfaces import AssessorInterface, InterfaceSpec
from cabc.document.loaded import Leaf
from cabc.document.model import BaselineTarget, InterfaceTarget, Measurement, RangeTarget, ReferenceTarget
from cabc.engine.plan import fact
from cabc.errors import CabcError
from cabc.interfaces.assessor import Seen, check_result
from cabc.interfaces.base import ExtractError, InterfacePlugin, SubjectFacts
from cabc.measurement import CompareError, compare, in_unit, moved, wanted
from cabc.measurement.types import shown
from cabc.record.types import Attestation, Evidence, LeafEvidence, Observation, Verdict

__all__ = ["Inputs", "observe", "plain"]

Plugin = InterfacePlugin[Any, Any]


class _NoVerdictError(Exception):
    """The leaf cannot be judged; the text says why."""


@dataclass(frozen=True)
class Inputs:
    """All that a leaf is judged by, besides itself."""

    assessment: str
    subject: SubjectFacts
    now: dt.datetime
    body: Callable[[str], bytes | None]
    """Gives stored bytes by digest."""
    plugin: Callable[[str], Plugin]
    """Gives the plugin of a kind, for extraction."""
    attestations: Mapping[str, Attestation] = field(default_factory=dict)
    """The latest by leaf."""
    baseline: Mapping[str, object] = field(default_factory=dict)
    """Values of the pinned assessment by leaf."""
    cached: frozenset[str] = frozenset()
    """Paths of leaves whose evidence is of an earlier run."""
    results: Mapping[str, Verdict] = field(default_factory=dict)
    """Verdicts of external assessors that are assumed, in tests of a document, in place of signed ones."""
    keys: Callable[[Leaf], Sequence[str]] = lambda _: ()
    """Gives the public keys of the party that assesses a leaf."""
    seen: Mapping[str, Seen] = field(default_factory=dict)
    """The last signed result that was taken over, by leaf; an older one is a replay."""


def observe(leaf: Leaf, requirement: str, had: LeafEvidence | None, inputs: Inputs) -> Observation:
    """Judge one leaf."""
    found: dict[str, Any] = {}
    try:
        verdict, reason = _judge(leaf, had, inputs, found)
    except _NoVerdictError as error:
        verdict, reason = Verdict.ERROR, str(error)
    except (CompareError, ExtractError, CabcError) as error:
        verdict, reason = Verdict.ERROR, str(error).replace("\n", " ")
    except Exception as error:  # noqa: BLE001 (a plugin's fault is an error of its leaf, not the end of the run)
        verdict, reason = Verdict.ERROR, f"{type(error).__name__}: {error}".replace("\n", " ")
    element = leaf.element
    measured = isinstance(element, Measurement)
    evidence = [each for each in (had.value, had.target) if each is not None] if had else []
    return Observation.model_construct(
        assessment=inputs.assessment,
        path=leaf.path,
        requirement=requirement,
        verdict=verdict,
        reason=reason,
        value=found.get("value"),
        target=found.get("target"),
        comparison=element.comparison if isinstance(element, Measurement) else None,
        unit=element.unit if isinstance(element, Measurement) else None,
        critical=element.critical if isinstance(element, Measurement) else True,
        confidential=leaf.confidential,
        evidence=found.get("evidence", [each.digest for each in evidence]),
        collected=found.get("collected", min((each.collected for each in evidence), default=None)),
        duration_ms=had.duration_ms if had else 0.0,
        source=found.get("source", "cached" if leaf.path in inputs.cached else "fresh" if measured else "external"),
    )


def _judge(leaf: Leaf, had: LeafEvidence | None, inputs: Inputs, found: dict[str, Any]) -> tuple[Verdict, str]:
    element, spec = leaf.element, leaf.element.interface
    if spec is not None and spec.kind == "manual":
        return _attested(leaf, had, inputs, found)
    if had is None:
        return Verdict.NOT_EVALUATED, "not due in this run, and never collected before"
    if had.error is not None or had.value is None or spec is None:
        return Verdict.ERROR, had.error or "nothing was collected"
    body = _body(had.value, element, inputs, "evidence")
    if isinstance(spec, AssessorInterface) and spec.returns == "result":
        found["source"] = "external"
        return _external(leaf, spec, body, had.value, inputs)
    if not isinstance(element, Measurement):
        msg = "only an external assessor's signed result can answer for this level"
        raise _NoVerdictError(msg)
    value = in_unit(element, _extract(spec, body, had.value, inputs))
    found["value"] = value
    target = _target(leaf, element, had, inputs)
    found["target"] = plain(target)
    return _compared(element, value, target)


def _compared(element: Measurement, value: object, target: object) -> tuple[Verdict, str]:
    met = compare(element, value, target)
    unit = f" {element.unit}" if element.unit else ""
    reason = f"found {shown(value)}{unit}, wanted {wanted(element, target)}"
    return (Verdict.SATISFIED if met else Verdict.NOT_SATISFIED), reason


def _attested(leaf: Leaf, had: LeafEvidence | None, inputs: Inputs, found: dict[str, Any]) -> tuple[Verdict, str]:
    attestation = inputs.attestations.get(leaf.path)
    found["source"] = "attestation"
    question = getattr(leaf.element.interface, "question", leaf.path)
    if attestation is None:
        return Verdict.NEEDS_REVIEW, f"nobody has attested: {question}"
    found["collected"] = attestation.created
    found["evidence"] = list(attestation.evidence)
    if inputs.now >= attestation.valid_until:
        expired = f"{attestation.valid_until:%Y-%m-%d %H:%M %Z}"
        return Verdict.NEEDS_REVIEW, f"the attestation of {attestation.party} expired at {expired}: {question}"
    if not isinstance(leaf.element, Measurement):
        return Verdict.ERROR, "only a measurement can be attested"
    value = in_unit(leaf.element, attestation.value)
    found["value"] = value
    target = _target(leaf, leaf.element, had, inputs)
    found["target"] = plain(target)
    verdict, reason = _compared(leaf.element, value, target)
    return verdict, f"{reason} (attested by {attestation.party})"


def _external(
    leaf: Leaf, spec: AssessorInterface, body: bytes, evidence: Evidence, inputs: Inputs
) -> tuple[Verdict, str]:
    element = leaf.element
    if leaf.path in inputs.results:
        return inputs.results[leaf.path], f"{leaf.assessor} is assumed to say {inputs.results[leaf.path].value}"
    result = check_result(
        body,
        keys=inputs.keys(leaf),
        subject=inputs.subject,
        spec_digest=spec.spec_digest or "",
        now=inputs.now,
        max_age=_length(element.max_age) if isinstance(element, Measurement) and element.max_age else None,
        nonce=evidence.details.get("nonce"),
        last=inputs.seen.get(leaf.path),
    )
    failed = f": {', '.join(result.failed[:5])}" if result.failed else ""
    reason = f"{leaf.assessor} says {result.verdict}{failed} (assessed {result.assessed:%Y-%m-%d %H:%M %Z})"
    return Verdict(result.verdict), reason


def _target(leaf: Leaf, element: Measurement, had: LeafEvidence | None, inputs: Inputs) -> object:
    target = element.target
    match target:
        case ReferenceTarget():
            known = fact(inputs.subject, target.ref)
            if known is None:
                msg = f"{target.ref} of the subject is not known, and it is the target"
                raise _NoVerdictError(msg)
            return known
        case InterfaceTarget():
            if had is None or had.target is None:
                raise _NoVerdictError("the target was not collected")
            body = _body(had.target, element, inputs, "evidence of the target")
            return _extract(target.interface, body, had.target, inputs)
        case BaselineTarget():
            if leaf.path not in inputs.baseline:
                msg = "no pinned baseline has a value of this measurement; pin one with cabc baseline pin"
                raise _NoVerdictError(msg)
            return moved(target, inputs.baseline[leaf.path])
        case _:
            return target


def _body(evidence: Evidence, element: object, inputs: Inputs, what: str) -> bytes:
    """Return the bytes unless they are too old or gone."""
    if isinstance(element, Measurement) and element.max_age is not None:
        age, limit = inputs.now - evidence.collected, _length(element.max_age)
        if age > limit:
            msg = f"stale: the {what} is {_span(age)} old and may be {_span(limit)}"
            raise _NoVerdictError(msg)
    body = inputs.body(evidence.digest)
    if body is None:
        msg = f"the {what} {evidence.digest[:19]}… is not kept any more"
        raise _NoVerdictError(msg)
    return body


def _extract(spec: InterfaceSpec, body: bytes, evidence: Evidence, inputs: Inputs) -> object:
    return inputs.plugin(spec.kind).extract(spec, body, evidence.media_type, evidence.details)


_length = lru_cache(maxsize=256)(parse_duration)


def _span(span: dt.timedelta) -> str:
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join([f"{number} {unit}" for number, unit in parts if number][:2]) or "0 s"


def plain(target: object) -> object:
    """Return a target as JSON has it."""
    if isinstance(target, RangeTarget):
        return target.model_dump(by_alias=True, exclude_none=True)
    return target
