"""Whether the record is what was recorded: everything that can be checked, with public keys as all that is trusted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cabc.errors import CabcError
from cabc.record.checks.chains import Chains, named_digests
from cabc.record.checks.faults import Fault, Findings
from cabc.record.checks.heads import behind, read_anchors
from cabc.record.checks.stored import check_evidence, check_published
from cabc.record.engines import reading, revision
from cabc.record.keys import Keys, PublicKey
from cabc.record.reading import Reader
from cabc.record.schema import REVISION
from cabc.record.types import Assessment

__all__ = ["Fault", "Recompute", "verify"]

Recompute = Callable[[Assessment], Iterable[str]]
"""Judges an assessment again from its evidence and gives one line for each difference to what is recorded."""

_JUST_NOW = 0.5
"""Seconds after which a head that was just signed must be anchored."""


def verify(
    record: Reader,
    *,
    keys: Keys | Mapping[str, PublicKey],
    anchors: Sequence[Path] = (),
    published: Path | None = None,
    recompute: Recompute | None = None,
    counts: Counter[str] | None = None,
) -> list[Fault]:
    """Return every fault; none means that the record holds. `counts` is told how much was looked at.

    Safe while others append: what is written during the check is not a fault.
    """
    findings = Findings(counts=Counter() if counts is None else counts)
    with _any_trouble("keys", findings):
        known = keys.public() if isinstance(keys, Keys) else keys
        # Before the record is read: what an anchor holds now, the record must hold.
        anchored = read_anchors(anchors, known, findings)
        with _any_trouble("database", findings), reading(record.engine) as connection:
            _check_file(connection, findings)
            chains = Chains(connection, known, anchored, findings)
            chains.check()
            check_evidence(connection, chains, findings)
            if published is not None:
                check_published(record, published, chains, findings)
            if anchors:
                _check_reach(anchors, chains, known, findings)
        if recompute is not None and not findings.faults:
            _check_verdicts(record, chains, recompute, findings)
    return findings.faults


def _check_file(connection: Connection, findings: Findings) -> None:
    found = revision(connection)
    if found != REVISION:
        findings.add("alembic_version", f"the tables have revision {found}, wanted {REVISION}")
    if connection.dialect.name == "sqlite":
        for line in connection.exec_driver_sql("PRAGMA integrity_check").scalars():
            if line != "ok":
                findings.add("database", str(line).splitlines()[0])


def _check_reach(anchors: Sequence[Path], chains: Chains, keys: Mapping[str, PublicKey], findings: Findings) -> None:
    """See that each anchor has come as far as the record; a writer is between the two for a moment."""
    heads = list(chains.last_heads.values())
    late = behind(anchors, heads, read_anchors(anchors, keys, Findings()))
    if late and not findings.faults:
        time.sleep(_JUST_NOW)
        late = behind(anchors, heads, read_anchors(anchors, keys, Findings()))
    for where, what in late:
        findings.add(where, what)


def _check_verdicts(record: Reader, chains: Chains, recompute: Recompute, findings: Findings) -> None:
    for assessment in chains.assessments:
        where = f"assessment {assessment.id} of {assessment.subject.name}"
        with _any_trouble(where, findings):
            collection = record.collection(assessment.collection)
            needed = set(named_digests(collection)) if collection else set()
            if gone := {name for name in needed & chains.dropped if record.evidence_body(name) is None}:
                findings.counts["assessments that retention left without evidence"] += bool(gone)
                continue
            findings.counts["assessments judged again"] += 1
            for line in recompute(assessment):
                findings.add(where, line)


@contextmanager
def _any_trouble(where: str, findings: Findings) -> Iterator[None]:
    """Turn whatever stops a check into a fault: a damaged file breaks what reads it in many ways."""
    try:
        yield
    except CabcError as error:
        findings.add(where, f"cannot be checked: {error}")
    except (DBAPIError, SQLAlchemyError, ValueError, OSError, OverflowError, TypeError) as error:
        findings.add(where, f"cannot be checked: {str(error).splitlines()[0]}")
