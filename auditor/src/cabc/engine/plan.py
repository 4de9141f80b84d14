"""What a run will retrieve, before it retrieves anything."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from cabc.document.durations import parse_duration
from cabc.document.interfaces import InterfaceSpec
from cabc.document.loaded import Leaf, LoadedDocument
from cabc.document.model import InterfaceTarget, Measurement
from cabc.errors import CabcError
from cabc.interfaces.base import Connection, SubjectFacts
from cabc.interfaces.registry import kinds

__all__ = ["Missing", "Plan", "Query", "expand", "fact", "inapplicable", "plan", "query_key"]

DEFAULT_TIMEOUT = 30.0
"""Seconds for a measurement that names none."""

_EXTRACTION = {"cast", "pointer", "jsonpath", "regex", "reduce"}
_WHOLE = {"rest", "command", "file", "sql", "prometheus"}
"""Kinds whose answer does not depend on how a value is then taken out of it."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question to a backend and the leaves that wait for its answer."""

    key: str
    spec: InterfaceSpec
    connection: str | None
    timeout: float
    """Seconds: the longest that one of the leaves allows."""
    values: tuple[str, ...]
    """Paths of leaves whose value it is."""
    targets: tuple[str, ...]
    """Paths of leaves whose target it is."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a leaf cannot be asked for."""

    path: str
    reason: str
    fix: str


@dataclass(frozen=True)
class Plan:
    """What is due, what that takes, and what cannot be had."""

    due: tuple[str, ...]
    """Paths of the requirements."""
    leaves: tuple[Leaf, ...]
    queries: tuple[Query, ...]
    missing: tuple[Missing, ...]
    manual: tuple[str, ...]
    """Paths of leaves that a person answers."""
    not_applicable: tuple[str, ...]
    """Paths of requirements that do not apply to this subject."""
    complete: bool
    """Every requirement is due."""
    per_connection: dict[str, int]
    """Number of queries."""
    estimated: float | None
    """Seconds, from how long the leaves took last time; None when nothing is known."""
    at_most: float
    """Seconds if every query takes as long as it may."""


def query_key(spec: InterfaceSpec) -> str:
    """Return a text that is equal for two specs exactly when the same retrieval answers both."""
    without = _EXTRACTION if spec.kind in _WHOLE else {"cast"}
    return spec.model_dump_json(exclude=without, by_alias=False)


def inapplicable(document: LoadedDocument, subject: SubjectFacts) -> frozenset[str]:
    """Return the paths of the requirements that do not apply. An unknown fact never takes one away."""
    found: set[str] = set()
    for node in document.requirements:
        for key, wanted in node.requirement.applies_when.items():
            known = fact(subject, key)
            if known is not None and known != wanted:
                found.update((node.path, *node.nested))
    return frozenset(found)


def expand(document: LoadedDocument, due: Collection[str] | None) -> frozenset[str] | None:
    """Return what is due with what belongs to it: nested requirements, and those that hold them; None means all."""
    if due is None:
        return None
    every = {node.path for node in document.requirements}
    if unknown := sorted(set(due) - every):
        msg = f"there is no requirement {', '.join(unknown)}"
        raise CabcError(msg, fix=f"name one of {', '.join(sorted(every))}")
    found = {*due, *(path for node in document.requirements if node.path in due for path in node.nested)}
    holders = {node.path for node in document.requirements if found.intersection(node.nested)}
    without = {node.path for node in document.requirements if not node.nested}
    return None if without <= found else frozenset(found | holders)


def fact(subject: SubjectFacts, reference: str) -> str | None:
    """Return the fact that `subject.runId` names; None when it is not known."""
    return subject.model_dump(by_alias=True).get(reference.removeprefix("subject."))


def plan(
    document: LoadedDocument,
    due: Collection[str] | None,
    connections: Mapping[str, Connection],
    *,
    subject: SubjectFacts | None = None,
    durations: Mapping[str, float] | None = None,
    workers: int = 32,
) -> Plan:
    """Plan a run over the requirements that are due; None means all. What cannot be had is named, not raised."""
    facts = subject or SubjectFacts(name=document.specification.subject.name)
    asked = expand(document, due)
    nodes = [node for node in document.requirements if asked is None or node.path in asked]
    left_out = inapplicable(document, facts)
    leaves = tuple({leaf.path: leaf for node in nodes if node.path not in left_out for leaf in node.leaves}.values())
    known, found, missing, manual = set(kinds()), _Found(), [], []
    for leaf in leaves:
        for spec, is_target in _specs(leaf):
            if spec.kind == "manual":
                manual.append(leaf.path)
            elif fault := _fault(leaf.path, spec, connections, known):
                missing.append(fault)
            else:
                found.add(leaf, spec, is_target=is_target)
    queries = found.queries(connections)
    per_connection = Counter(query.connection or query.spec.kind for query in queries)
    return Plan(
        due=tuple(node.path for node in nodes),
        leaves=leaves,
        queries=queries,
        missing=tuple(missing),
        manual=tuple(manual),
        not_applicable=tuple(node.path for node in nodes if node.path in left_out),
        complete=asked is None,
        per_connection=dict(per_connection),
        estimated=_seconds(queries, connections, workers, durations) if durations else None,
        at_most=_seconds(queries, connections, workers, None),
    )


class _Found:
    """Queries in the order of their first leaf."""

    def __init__(self) -> None:
        self._by_key: dict[str, tuple[InterfaceSpec, list[float], list[str], list[str]]] = {}

    def add(self, leaf: Leaf, spec: InterfaceSpec, *, is_target: bool) -> None:
        _, timeouts, values, targets = self._by_key.setdefault(query_key(spec), (spec, [], [], []))
        timeout = leaf.element.timeout if isinstance(leaf.element, Measurement) else None
        timeouts.append(parse_duration(timeout).total_seconds() if timeout else DEFAULT_TIMEOUT)
        (targets if is_target else values).append(leaf.path)

    def queries(self, connections: Mapping[str, Connection]) -> tuple[Query, ...]:
        return tuple(
            Query(
                key,
                spec,
                name := _connection(spec),
                min(max(timeouts), connections[name].timeout if name is not None else math.inf),
                tuple(values),
                tuple(targets),
            )
            for key, (spec, timeouts, values, targets) in self._by_key.items()
        )


def _specs(leaf: Leaf) -> Iterable[tuple[InterfaceSpec, bool]]:
    if leaf.element.interface is not None:
        yield leaf.element.interface, False
    if isinstance(leaf.element, Measurement) and isinstance(leaf.element.target, InterfaceTarget):
        yield leaf.element.target.interface, True


def _connection(spec: InterfaceSpec) -> str | None:
    return getattr(spec, "connection", None)


def _fault(path: str, spec: InterfaceSpec, connections: Mapping[str, Connection], known: set[str]) -> Missing | None:
    if spec.kind not in known:
        return Missing(path, f"no interface of kind {spec.kind!r} is installed", "install the package that provides it")
    name = _connection(spec)
    if name is None:
        return None
    if name not in connections:
        have = ", ".join(sorted(connections)) or "none"
        return Missing(path, f"connection {name!r} is not in the connections file, which has {have}", f"add {name}")
    if connections[name].kind != spec.kind:
        reason = f"connection {name!r} is of kind {connections[name].kind}, the document asks for {spec.kind}"
        return Missing(path, reason, "name another connection")
    return None


def _seconds(
    queries: Iterable[Query],
    connections: Mapping[str, Connection],
    workers: int,
    durations: Mapping[str, float] | None,
) -> float:
    """Return the time of the slowest connection, or of all through the workers when that is more."""
    by_connection: dict[str, float] = {}
    for query in queries:
        times = (
            [durations[path] / 1000 for path in (*query.values, *query.targets) if path in durations]
            if durations
            else []
        )
        by_connection.setdefault(query.connection or "", 0.0)
        by_connection[query.connection or ""] += max(times, default=query.timeout if durations is None else 0.0)
    lanes = (
        total / min(workers, connections[name].max_concurrent if name in connections else workers)
        for name, total in by_connection.items()
    )
    return max([*lanes, sum(by_connection.values()) / workers])
