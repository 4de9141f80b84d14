"""What points at something else: parties, risks, the subject's facts; what mode and status policy ask for."""

from __future__ import annotations

import re

from cabc.document.durations import parse_duration
from cabc.document.explain import similar
from cabc.document.model import Measurement, ReferenceTarget, Requirement
from cabc.interfaces.base import SubjectFacts
from cabc.interfaces.parameters import facts
from cabc.loading.context import Context
from cabc.loading.elements import ROOT, Keys
from cabc.loading.frequency import Every, parse_frequency

__all__ = ["check_references", "known_facts"]

_SERVICE = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_NEEDED = {
    "self-assessment": ("auditee",),
    "third-party": ("auditee", "auditing-party"),
    "certification": ("auditee", "auditing-party", "certification-body"),
}


def known_facts() -> list[str]:
    """Return the names of the facts about a subject that a document may use."""
    filled = dict.fromkeys(SubjectFacts.model_fields, "x/x")
    return sorted(facts(SubjectFacts.model_validate(filled, by_name=True)))


def check_references(context: Context) -> None:
    """Check everything that names something else in the document."""
    _parties(context)
    _risks(context)
    _subject(context)
    _policy(context)
    for place in context.places:
        element = place.element
        if isinstance(element, Requirement):
            _mitigates(context, element, place.keys)
            for fact in element.applies_when:
                _fact(context, (*place.keys, "appliesWhen", fact), fact, key=True)
        if isinstance(element, Measurement) and isinstance(element.target, ReferenceTarget):
            _fact(context, (*place.keys, "target", "ref"), element.target.ref)


def _fact(context: Context, keys: Keys, name: str, *, key: bool = False) -> None:
    known = known_facts()
    if name not in known:
        meant = similar(name, known)
        wanted = f"one of {', '.join(known)}"
        context.say(keys, repr(name), wanted, f"did you mean {meant}?" if meant else None, key=key)


def _parties(context: Context) -> None:
    specification = context.specification
    context.unique((*ROOT, "parties"), specification.parties)
    for index, party in enumerate(specification.parties):
        if party.id == "none":
            context.say((*ROOT, "parties", index, "id"), "'none'", "another id: None means no assessor", "rename it")
        for number, pem in enumerate(party.public_keys):
            _public_key(context, (*ROOT, "parties", index, "publicKeys", number), pem)
    roles = [party.role for party in specification.parties]
    for role in _NEEDED[specification.mode]:
        if role not in roles:
            found = f"{specification.mode} without a party whose role is {role}"
            context.say((*ROOT, "mode"), found, "one", f"add {{id: …, role: {role}}} to `parties:`, or another mode")


def _public_key(context: Context, keys: Keys, pem: str) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        found = "another kind of key" if key is not None else "text that is no public key"
        fix = "write the PEM text with `|`, from -----BEGIN PUBLIC KEY----- to the end"
        context.say(keys, found, "an Ed25519 public key in PEM", fix)


def _risks(context: Context) -> None:
    context.unique((*ROOT, "risks"), context.specification.risks)


def _mitigates(context: Context, requirement: Requirement, keys: Keys) -> None:
    known = dict.fromkeys(risk.id for risk in context.specification.risks)
    seen: set[str] = set()
    for index, risk in enumerate(requirement.mitigates):
        at = (*keys, "mitigates", index)
        if risk not in known:
            context.unknown(at, risk, known, "a risk", "add it to `risks:`")
        elif risk in seen:
            context.say(at, f"{risk!r} again", "each risk once", "remove it")
        seen.add(risk)


def _subject(context: Context) -> None:
    subject, keys = context.specification.subject, (*ROOT, "subject")
    if subject.registered_model is not None:
        if (subject.alias is None) == (subject.version is None):
            found = "both alias and version" if subject.alias else "neither alias nor version"
            fix = "remove one of them" if subject.alias else "add `alias:`, for example champion"
            context.say((*keys, "registeredModel"), found, "exactly one of them", fix)
        if subject.connection is None:
            wanted = "`connection` (which MLflow resolves registeredModel)"
            context.say((*keys, "registeredModel"), "no connection", wanted, "add `connection:`")
    else:
        for name in ("alias", "version"):
            if getattr(subject, name) is not None:
                found = f"{name} without registeredModel"
                context.say((*keys, name), found, "both", "add `registeredModel:`", key=True)
    if subject.inference_service is not None and not _SERVICE.match(subject.inference_service):
        fix = "write for example models/credit-scoring"
        context.say((*keys, "inferenceService"), repr(subject.inference_service), "namespace/name", fix)


def _policy(context: Context) -> None:
    policy, keys = context.specification.status_policy, (*ROOT, "statusPolicy")
    if policy.down.failures > policy.down.of:
        found, wanted = f"{policy.down.failures} of {policy.down.of}", "at most as many failures as assessments"
        context.say((*keys, "down", "failures"), found, wanted, f"write at most {policy.down.of}")
    if policy.stale_after is None:
        return
    longest: tuple[float, str] = (0.0, "")
    for place in context.places:
        if isinstance(place.element, Requirement) and place.frequency is not None:
            try:
                frequency = parse_frequency(place.frequency)
            except ValueError:
                continue
            if isinstance(frequency, Every):
                longest = max(longest, (frequency.interval.total_seconds(), place.frequency))
    if parse_duration(policy.stale_after).total_seconds() < longest[0]:
        wanted = f"at least {longest[1]}, the longest time between two assessments of a requirement"
        context.say((*keys, "staleAfter"), repr(policy.stale_after), wanted, f"write {longest[1]} or longer")
