"""Signed heads, in the database and in anchors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cabc.record.anchors import anchor_file, anchor_files
from cabc.record.canonical import canonical_model
from cabc.record.checks.faults import Findings
from cabc.record.keys import PublicKey, head_message, role_of, signed_by
from cabc.record.types import Head

__all__ = ["AnchoredHead", "behind", "read_anchors", "signature_fault"]


@dataclass(frozen=True, slots=True)
class AnchoredHead:
    """A line of an anchor that is well-formed and well-signed."""

    where: str
    anchor: Path
    head: Head


def signature_fault(head: Head, keys: Mapping[str, PublicKey]) -> str | None:
    """Return what is wrong with a head's signature, None when nothing is."""
    if (key := keys.get(head.key_id)) is None:
        return f"signed with the unknown key {head.key_id}"
    if key.role != role_of(head.chain):
        return f"signed with the key of {key.role}, which does not sign {head.chain}"
    if not signed_by(key, head_message(head), head.signature):
        return "the signature does not fit"
    return None


def read_anchors(anchors: Sequence[Path], keys: Mapping[str, PublicKey], findings: Findings) -> list[AnchoredHead]:
    """Return the heads in anchors; lines that are none are faults."""
    found: list[AnchoredHead] = []
    for anchor in anchors:
        for file in anchor_files(anchor):
            for number, line in enumerate(_lines(file, findings), start=1):
                where = f"{file}:{number}"
                findings.counts["anchor lines"] += 1
                try:
                    head = Head.model_validate_json(line)
                except ValueError:
                    findings.add(where, "no signed head")
                    continue
                if canonical_model(head).encode() != line or anchor_file(anchor, head.chain) != file:
                    findings.add(where, "not the line that was written")
                elif fault := signature_fault(head, keys):
                    findings.add(where, fault)
                else:
                    found.append(AnchoredHead(where, anchor, head))
    return found


def _lines(file: Path, findings: Findings) -> list[bytes]:
    try:
        data = file.read_bytes()
    except OSError as error:
        findings.add(str(file), f"cannot be read: {error.strerror}")
        return []
    if not data:
        return []
    lines = data.split(b"\n")
    if lines[-1]:
        findings.add(f"{file}:{len(lines)}", "the last line is cut")
    return lines[:-1]


def behind(anchors: Sequence[Path], heads: Iterable[Head], anchored: Iterable[AnchoredHead]) -> list[tuple[str, str]]:
    """Return where an anchor does not reach the last head of a chain, and how far it comes."""
    reached: dict[tuple[Path, str], int] = {}
    for line in anchored:
        place = (line.anchor, line.head.chain)
        reached[place] = max(reached.get(place, 0), line.head.seq)
    late = []
    for head in heads:
        for anchor in anchors:
            seq = reached.get((anchor, head.chain), 0)
            if seq < head.seq:
                ends = f"ends at entry {seq}" if seq else "has no line"
                what = f"{ends} of {head.chain}, the record at {head.seq}: lines were removed or not yet written"
                late.append((str(anchor_file(anchor, head.chain)), what))
    return late
