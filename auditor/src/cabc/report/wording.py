"""The words for statuses, verdicts and modes. Only here may "certified" be said, and only in certification mode."""

from __future__ import annotations

from typing import Literal

from cabc.record.types import Status, Verdict

__all__ = ["Tone", "label", "mode_text", "statement", "tone", "wanted", "words"]

Tone = Literal["good", "warn", "bad", "gone", "mute"]

_TONES: dict[str, Tone] = {
    Status.NONE: "mute",
    Status.CONFORMANT: "good",
    Status.CONDITIONAL: "warn",
    Status.SUSPENDED: "bad",
    Status.REVOKED: "gone",
    Verdict.SATISFIED: "good",
    Verdict.NOT_SATISFIED: "bad",
    Verdict.ERROR: "warn",
    Verdict.NOT_APPLICABLE: "mute",
    Verdict.NOT_EVALUATED: "mute",
    Verdict.NEEDS_REVIEW: "warn",
    "info": "mute",
    "low": "mute",
    "medium": "warn",
    "high": "bad",
    "critical": "gone",
    "reduced": "good",
    "waived": "warn",
    "not reduced": "bad",
    "not covered": "warn",
    "not assessed": "mute",
}

_COMPARISONS = {
    "LessThan": "less than {}",
    "LessThanOrEqual": "at most {}",
    "GreaterThan": "more than {}",
    "GreaterThanOrEqual": "at least {}",
    "EqualTo": "equal to {}",
    "NotEqualTo": "other than {}",
    "Contains": "containing {}",
    "In": "one of {}",
    "WithinTolerance": "{}",
    "Matches": "matching {}",
}

_MODES = {
    "self-assessment": "Self-assessment: the provider audits its own system and answers for the result.",
    "third-party": "Third-party audit: an auditing party other than the provider makes the assessment.",
    "certification": "Certification: the assessment feeds a certification body, which answers for the certificate.",
}

_LABELS = {"self-assessment": "self-assessed", "third-party": "third-party audit", "certification": "certification"}

_STATEMENTS = {
    Status.NONE: "No conformity status has been issued yet.",
    Status.CONFORMANT: "All requirements that were assessed are satisfied.",
    Status.CONDITIONAL: "Conformant with conditions: something needs improvement, nothing that suspends the status.",
    Status.SUSPENDED: "The conformity status is suspended until its cause is removed and a full assessment passes.",
    Status.REVOKED: "The conformity status has been revoked; a full assessment that passes can issue it again.",
}

_CERTIFICATE = {
    Status.NONE: "Not certified: no certificate has been issued yet.",
    Status.CONFORMANT: "Certified: all requirements that were assessed are satisfied.",
    Status.CONDITIONAL: "Certified with conditions: something needs improvement, nothing that suspends it.",
    Status.SUSPENDED: "Not certified: suspended until its cause is removed and a full assessment passes.",
    Status.REVOKED: "Not certified: revoked; a full assessment that passes is needed to certify again.",
}


def tone(value: str) -> Tone:
    """Return the tone of a status, a verdict, a severity or a state of a risk; muted for anything unknown."""
    return _TONES.get(value, "mute")


def words(value: str) -> str:
    """Return a status or verdict as words: `not satisfied`."""
    return str(value).replace("-", " ")


def wanted(comparison: str, target: str) -> str:
    """Return a comparison with its target's text as words; strategies of plugins by their name."""
    return _COMPARISONS[comparison].format(target) if comparison in _COMPARISONS else f"{comparison} {target}"


def mode_text(mode: str) -> str:
    """Say in one sentence who answers for the result."""
    return _MODES.get(mode, mode)


def statement(mode: str, status: Status) -> str:
    """Say what a status means in a mode."""
    return (_CERTIFICATE if mode == "certification" else _STATEMENTS)[status]


def label(mode: str, status: Status) -> tuple[str, str]:
    """Return the two halves of a badge: who says it, and what."""
    if mode == "certification":
        message = {Status.CONFORMANT: "certified", Status.CONDITIONAL: "certified with conditions"}
        return _LABELS[mode], message.get(status, words(status))
    return _LABELS.get(mode, mode), words(status)
