"""Every entry of every chain: its place, hash, body, signature, and what follows from all of them together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from cabc.document.base import Model
from cabc.record import schema
from cabc.record.canonical import digest
from cabc.record.chain import GENESIS, KINDS, entry_hash, is_chain, owner
from cabc.record.checks.faults import Findings
from cabc.record.checks.heads import AnchoredHead, signature_fault
from cabc.record.keys import PublicKey
from cabc.record.types import (
    Assessment,
    Attestation,
    Collection,
    DroppedBodies,
    Entry,
    Head,
    Observation,
    Publication,
    RetentionRecord,
    StoredDocument,
)
from cabc.record.waiting import Waiting

__all__ = ["Chains", "named_digests"]


class Chains:
    """One pass over the record; afterwards it knows what the entries say about everything else."""

    def __init__(
        self,
        connection: Connection,
        keys: Mapping[str, PublicKey],
        anchored: Sequence[AnchoredHead],
        findings: Findings,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._findings = findings
        self._anchored: dict[str, list[AnchoredHead]] = defaultdict(list)
        for line in anchored:
            self._anchored[line.head.chain].append(line)
        self.last_heads: dict[str, Head] = {}
        self.references: dict[str, str] = {}
        """Digests that entries name, with the first that does."""
        self.dropped: set[str] = set()
        """Evidence that retention dropped."""
        self.publications: list[tuple[str, Publication]] = []
        self.assessments: list[Assessment] = []
        self._dropped_bodies: dict[tuple[str, str], list[DroppedBodies]] = defaultdict(list)
        self._waiting = Waiting()

    def check(self) -> None:
        """Go through all chains; `system` first, because it says which bodies may be gone."""
        chains = set(self._anchored)
        for table in (schema.entries, schema.heads):
            for chain in map(str, self._connection.scalars(select(table.c.chain).distinct())):
                if is_chain(chain):
                    chains.add(chain)
                else:
                    self._findings.add(f"{table.name} {chain}", "no chain can have this name")
        for chain in sorted(chains, key=lambda name: (name != "system", name)):
            self._check_chain(chain)
            self._findings.counts["chains"] += 1
        self._check_pending()

    # One chain

    def _check_chain(self, chain: str) -> None:
        heads = self._heads(chain)
        rows = self._connection.execution_options(yield_per=500).execute(
            select(schema.entries).where(schema.entries.c.chain == chain).order_by(schema.entries.c.seq)
        )
        previous: Entry | None = None
        begun = False
        hashes: dict[int, str] = {}
        wanted = {*heads, *(line.head.seq for line in self._anchored[chain])}
        for row in rows:
            self._findings.counts["entries"] += 1
            where = _where(row)
            try:
                entry = schema.entry_of(row)
                self._check_link(where, entry, previous, first=not begun)
                self._check_body(where, entry)
            except ValueError as error:
                self._findings.add(where, f"no entry: {_first_mistake(error)}")
                previous, begun = None, True
                continue
            if entry.seq in wanted:
                hashes[entry.seq] = entry.hash
            head = heads.get(entry.seq)
            if head is not None and (head.hash != entry.hash or head.at != entry.at):
                self._findings.add(where, "differs from what its signed head says")
            previous, begun = entry, True
        self._check_end(chain, previous, heads, hashes)

    def _check_link(self, where: str, entry: Entry, previous: Entry | None, *, first: bool) -> None:
        expected = entry_hash(**entry.model_dump(exclude={"body", "hash"}, by_alias=False))
        if entry.hash != expected:
            self._findings.add(where, "changed: its hash does not fit")
        if previous is None:
            if first and (entry.seq, entry.previous) != (1, GENESIS):
                self._findings.add(where, f"the chain begins here, {entry.seq - 1} entries before it are missing")
            return
        if entry.seq != previous.seq + 1:
            missing = f"{previous.seq + 1} to {entry.seq - 1}"
            self._findings.add(where, f"entries {missing} before it are missing")
        elif entry.previous != previous.hash:
            self._findings.add(where, "does not continue the entry before it")
        if entry.at < previous.at:
            self._findings.add(where, f"is dated {previous.at - entry.at} before the entry before it")

    def _check_body(self, where: str, entry: Entry) -> None:
        type_, place = KINDS.get(entry.kind, (None, ""))
        if type_ is None or place != owner(entry.chain):
            self._findings.add(where, f"a {entry.kind} does not belong into this chain")
            return
        if entry.body is None:
            ranges = self._dropped_bodies[entry.chain, entry.kind]
            if not any(gone.first <= entry.seq <= gone.through for gone in ranges):
                self._findings.add(where, "its body is missing, and no retention says so")
            return
        if digest(entry.body.encode()) != entry.body_digest:
            self._findings.add(where, "changed: its body does not fit its digest")
            return
        try:
            body = type_.model_validate_json(entry.body)
        except ValueError as error:
            self._findings.add(where, f"no {entry.kind}: {_first_mistake(error)}")
            return
        self._learn(where, entry, body)

    def _check_end(self, chain: str, last: Entry | None, heads: dict[int, Head], hashes: dict[int, str]) -> None:
        end = last.seq if last else 0
        signed = max(heads, default=0)
        if end > signed:
            self._findings.add(f"entries {chain} {signed + 1} to {end}", "no signed head covers them")
        for seq in sorted(heads):
            if seq not in hashes:
                self._findings.add(f"heads {chain} {seq}", "the entry that it signs is missing")
        if signed:
            self.last_heads[chain] = heads[signed]
        for line in self._anchored[chain]:
            head = line.head
            if head.seq > end:
                gone = f"the record ends at entry {end} of {chain}, but {head.seq} was signed at {head.at.isoformat()}"
                self._findings.add(line.where, f"{gone}: the record was set back or its end was deleted")
            elif hashes.get(head.seq) != head.hash:
                self._findings.add(line.where, f"entry {head.seq} of {chain} was another: the history was rewritten")
            elif heads.get(head.seq) != head:
                self._findings.add(line.where, f"head {head.seq} of {chain} is missing in the record, or another")

    def _heads(self, chain: str) -> dict[int, Head]:
        found = {}
        query = select(schema.heads).where(schema.heads.c.chain == chain).order_by(schema.heads.c.seq)
        for row in self._connection.execute(query):
            self._findings.counts["heads"] += 1
            where = f"heads {row.chain} {row.seq}"
            try:
                head = schema.head_of(row)
                fault = signature_fault(head, self._keys)
            except ValueError as error:
                self._findings.add(where, f"no signed head: {_first_mistake(error)}")
                continue
            if fault:
                self._findings.add(where, fault)
            found[head.seq] = head
        return found

    # What the bodies say

    def _learn(self, where: str, entry: Entry, body: Model) -> None:
        self._waiting.see(entry.chain, entry.seq, body)
        for name in named_digests(body):
            self.references.setdefault(name, where)
        match body:
            case Assessment():
                self.assessments.append(body)
            case Publication():
                self.publications.append((where, body))
            case RetentionRecord():
                self.dropped.update(body.evidence)
                for gone in body.bodies:
                    self._dropped_bodies[gone.chain, gone.kind].append(gone)
            case _:
                pass

    def _check_pending(self) -> None:
        expected = self._waiting.rows()
        found = {tuple(row) for row in self._connection.execute(select(schema.pending))}
        for chain, seq, kind in sorted(expected ^ found, key=str):
            wrong = "is not listed as waiting" if (chain, seq, kind) in expected else "is listed as waiting and is not"
            self._findings.add(f"pending {chain} {seq} {kind}", wrong)


def named_digests(body: Model) -> Iterable[str]:
    """Give the digests of the stored bytes that a body names."""
    match body:
        case Collection():
            for leaf in body.leaves:
                for item in (leaf.value, leaf.target):
                    if item is not None:
                        yield item.digest
        case Observation() | Attestation():
            yield from body.evidence
        case StoredDocument():
            yield body.digest
        case Assessment():
            yield body.specification
        case _:
            return


def _where(row: Row[Any]) -> str:
    return f"entries {row.chain} {row.seq} {row.kind} {row.key}"


def _first_mistake(error: ValueError) -> str:
    """Return one line for a row or body that is no model."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error).splitlines()[0]
