"""Decisions as they are kept: tags of the model version that a decision is about, written once and never changed.

A decision is written down before it is carried out, and its end after: a gate that was killed between the two finds
what it has to finish.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from platform_runtime.conformity_gate.plan import Kind, Mode, Move, RolledBack

__all__ = ["DECISION", "END", "Cause", "Decision", "Ledger"]

DECISION, END = "conformity.decision.", "conformity.end."
"""Prefixes of the tags' names; the decision's id follows."""

LONGEST, MOST = 500, 20
"""Characters of a text and items of a list that are kept: a tag has a limit."""


@dataclass(frozen=True)
class Cause:
    """Why: what the auditor found."""

    status: str
    assessment: str | None
    text: str
    requirements: tuple[str, ...] = ()
    """Paths of those that fail."""
    risks: tuple[str, ...] = ()
    """Ids of the risks that these requirements reduce."""
    waivers: tuple[str, ...] = ()
    """Ids of the waivers that are in force."""

    def body(self) -> str:
        """Return the text of a tag."""
        return json.dumps(asdict(self.short()), sort_keys=True)

    def short(self) -> Cause:
        """Return the cause as a tag can hold it."""
        return replace(
            self,
            text=self.text[:LONGEST],
            requirements=self.requirements[:MOST],
            risks=self.risks[:MOST],
            waivers=self.waivers[:MOST],
        )


@dataclass(frozen=True)
class Decision:
    """One decision and what became of it."""

    id: str
    model: str
    mode: str
    kind: str
    source: str | None
    target: str | None
    cause: Cause
    at: dt.datetime
    service: str
    """`namespace/name` of the InferenceService."""
    end: str | None = None
    """`done`, `said`, or `overtaken` when the world changed first; None while it is carried out."""

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), "at": self.at.isoformat()}

    def body(self) -> str:
        """Return the text of its tag; its end is another one."""
        kept = replace(self, cause=self.cause.short()).plain()
        return json.dumps({key: value for key, value in kept.items() if key != "end"}, sort_keys=True)

    def message(self) -> str:
        """Say it in one sentence."""
        return (
            f"{_WORDS[Kind(self.kind)].format(model=self.model, source=self.source, target=self.target)}: {self._why()}"
        )

    def _why(self) -> str:
        about = self.target if self.kind in {Kind.PROMOTE, Kind.RESTORE, Kind.RESUME} else self.source
        said = [f"version {about} is {self.cause.status}"]
        said += [f"assessment {self.cause.assessment}"] if self.cause.assessment else []
        said += [f"requirements {', '.join(self.cause.requirements[:3])}"] if self.cause.requirements else []
        said += [f"risks {', '.join(self.cause.risks[:3])}"] if self.cause.risks else []
        said += [f"waivers {', '.join(self.cause.waivers[:3])}"] if self.cause.waivers else []
        return "; ".join(said)


_WORDS = {
    Kind.PROMOTE: "{model} version {target} becomes champion",
    Kind.WITHDRAW: "{model} version {source} is champion no longer, and no other version may be",
    Kind.ROLLBACK: "{model} version {source} is rolled back to version {target}",
    Kind.RESTORE: "{model} version {target} is served again in place of version {source}",
    Kind.KEEP: "{model} version {source} stays in service although its status forbids it: no version may be served",
    Kind.STOP: "{model} version {source} is stopped: no version may be served",
    Kind.RESUME: "{model} version {target} runs again after the stop of version {source}",
}


@dataclass
class Ledger:
    """The decisions about one model."""

    decisions: dict[str, Decision] = field(default_factory=dict)
    unreadable: int = 0
    """Tags that have the name of a decision and are none."""

    @classmethod
    def of(cls, tags: Iterable[Mapping[str, str]]) -> Ledger:
        """Read the decisions from the tags of all versions; a tag that is no decision is somebody else's: counted."""
        found, ends, unreadable = {}, {}, 0
        for each in tags:
            for key, value in each.items():
                if key.startswith(END):
                    ends[key.removeprefix(END)] = value.partition(" ")[0]
                elif key.startswith(DECISION):
                    decision = _read(value)
                    if decision is None:
                        unreadable += 1
                    else:
                        found[decision.id] = decision
        return cls({id_: replace(decision, end=ends.get(id_)) for id_, decision in found.items()}, unreadable)

    def latest_first(self) -> list[Decision]:
        """Return all decisions."""
        return sorted(self.decisions.values(), key=lambda each: (each.at, each.id), reverse=True)

    def pending(self) -> list[Decision]:
        """Return those that were begun, oldest first."""
        return [each for each in reversed(self.latest_first()) if each.end is None]

    def rolled_back(self) -> dict[str, RolledBack]:
        """Return where traffic was taken from and not given back."""
        found: dict[str, RolledBack] = {}
        for each in reversed(self.latest_first()):
            if each.mode != Mode.ENFORCE or each.end == "overtaken" or not each.target:
                continue
            if each.kind in {Kind.ROLLBACK, Kind.RESTORE}:
                found.pop(each.target, None)
            if each.kind == Kind.ROLLBACK and each.source:
                found[each.source] = RolledBack(each.at, each.target)
        return found

    def decide(
        self, move: Move, cause: Cause, *, model: str, mode: Mode, service: str, now: dt.datetime
    ) -> tuple[Decision, bool]:
        """Return the decision for a move and whether it is a new one.

        The same move for the same cause has the same id, so that it is one decision however often it is looked at.
        Only where a decision was carried out and then undone by somebody is there another one.
        """
        standing = move.standing
        named = [model, mode, move.kind, move.source, move.target, standing.cause if standing else None]
        base = hashlib.sha256(json.dumps(named).encode()).hexdigest()[:12]
        number, id_ = 1, base
        while (known := self.decisions.get(id_)) is not None:
            if known.end is None or mode is not Mode.ENFORCE or move.kind is Kind.KEEP:
                return known, False
            number += 1
            id_ = f"{base}-{number}"
        decision = Decision(id_, model, mode.value, move.kind.value, move.source, move.target, cause, now, service)
        self.decisions[id_] = decision
        return decision, True

    def end(self, decision: Decision, how: str) -> Decision:
        """Note what became of a decision."""
        ended = replace(decision, end=how)
        self.decisions[decision.id] = ended
        return ended


def _read(text: str) -> Decision | None:
    """Return the decision in a tag, None where it is not one: whoever may tag a version may write anything there."""
    try:
        found = json.loads(text)
        cause: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in found["cause"].items()
        }
        decision = Decision(**{**found, "at": dt.datetime.fromisoformat(found["at"]), "cause": Cause(**cause)})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return decision if _sound(decision) else None


def _sound(decision: Decision) -> bool:
    """Say whether a decision can be one of ours: its kind, its mode, an instant, and text where text belongs."""
    cause = decision.cause
    if decision.kind not in [*Kind] or decision.mode not in [*Mode] or decision.at.tzinfo is None:
        return False
    lists = (cause.requirements, cause.risks, cause.waivers)
    texts = [decision.id, decision.model, decision.service, cause.status, cause.text]
    texts += [each for each in (decision.source, decision.target, cause.assessment) if each is not None]
    return all(isinstance(each, tuple) for each in lists) and all(
        isinstance(each, str) for each in (*texts, *itertools.chain(*lists))
    )
