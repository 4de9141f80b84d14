"""Bytes that entries name: evidence and documents in the database, published files in their folder."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, select

from cabc.record.canonical import digest
from cabc.record.checks.chains import Chains
from cabc.record.checks.faults import Findings
from cabc.record.published import differing, settled
from cabc.record.reading import Reader
from cabc.record.schema import evidence

__all__ = ["check_evidence", "check_published"]


def check_evidence(connection: Connection, chains: Chains, findings: Findings) -> None:
    """Compare every stored blob with its digest, and see that each one that is named is there."""
    present: set[str] = set()
    rows = connection.execution_options(yield_per=50).execute(select(evidence.c.digest, evidence.c.body))
    for name, body in rows:
        findings.counts["evidence"] += 1
        present.add(name)
        if not isinstance(body, bytes) or digest(body) != name:
            findings.add(f"evidence {name}", "changed: the bytes do not fit their digest")
    for name, where in chains.references.items():
        if name in present:
            continue
        if name in chains.dropped:
            findings.counts["dropped by retention"] += 1
        else:
            findings.add(f"evidence {name}", f"missing, and no retention says so; named by {where}")


def check_published(record: Reader, folder: Path, chains: Chains, findings: Findings) -> None:
    """Compare the files of each subject's last publication, `<subject>/<name>`, with what was published."""
    latest = {publication.subject: (where, publication) for where, publication in chains.publications}
    for subject, (where, checked) in sorted(latest.items()):
        publication, files = settled(record, folder, checked)
        findings.counts["published files"] += len(files)
        for name, what in differing(publication, files).items():
            findings.add(str(folder / subject / name), f"{what}; named by {where}")
