"""How entries form a chain, and which kind of entry belongs to whom."""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cabc.document.base import Model
from cabc.errors import CabcError
from cabc.record.canonical import canonical_plain, digest, instant_text
from cabc.record.keys import Keys, head_message, role_of
from cabc.record.store import Draft
from cabc.record.types import (
    Assessment,
    Attestation,
    BaselinePin,
    Collection,
    Entry,
    Finding,
    Head,
    Observation,
    Publication,
    RetentionRecord,
    StatusRecord,
    StoredDocument,
    Trigger,
    Waiver,
)

__all__ = [
    "GENESIS",
    "KINDS",
    "IntegrityError",
    "answers",
    "check_draft",
    "draft",
    "entry_hash",
    "is_chain",
    "links",
    "owner",
    "sign_head",
    "subject_of",
]

GENESIS = "sha256:" + "0" * 64
"""What the first entry of a chain names as its previous one."""

_CHAIN = re.compile(r"(collect|assess|publish):[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?|system")

KINDS: dict[str, tuple[type[Model], str]] = {
    "trigger": (Trigger, "collect"),
    "document": (StoredDocument, "collect"),
    "collection": (Collection, "collect"),
    "observation": (Observation, "assess"),
    "finding": (Finding, "assess"),
    "assessment": (Assessment, "assess"),
    "statusrecord": (StatusRecord, "assess"),
    "waiver": (Waiver, "assess"),
    "attestation": (Attestation, "assess"),
    "baselinepin": (BaselinePin, "assess"),
    "publication": (Publication, "publish"),
    "retention": (RetentionRecord, "system"),
}
"""Every kind of entry: the type of its body, and the chains where it may stand."""


_PLACES: dict[type[Model], Callable[[Any], tuple[str, str | None, str | None]]] = {
    Trigger: lambda body: (body.id, None, body.subject),
    StoredDocument: lambda body: (body.digest, None, body.subject),
    Collection: lambda body: (body.id, body.trigger.id, body.subject.name),
    Observation: lambda body: (f"{body.assessment}:{body.path}", body.assessment, None),
    Finding: lambda body: (f"{body.assessment}:{body.requirement}", body.assessment, None),
    Assessment: lambda body: (body.id, body.collection, body.subject.name),
    StatusRecord: lambda body: (
        f"{body.assessment or '-'}:{instant_text(body.since)}",
        body.assessment,
        body.subject,
    ),
    Waiver: lambda body: (body.id, body.requirement, body.subject),
    Attestation: lambda body: (body.id, body.path, body.subject),
    Publication: lambda body: (
        f"{body.assessment or '-'}:{instant_text(body.published)}",
        body.assessment,
        body.subject,
    ),
    BaselinePin: lambda body: (body.id, body.assessment, body.subject),
    RetentionRecord: lambda body: (body.id, None, None),
}
"""Key, parent and subject of each type of body."""


class IntegrityError(CabcError):
    """What is stored is not what was recorded."""

    exit_code = 1


def draft(body: Model, *, subject: str | None = None, key: str | None = None) -> Draft:
    """Return what to append for a body: chain, kind, key and parent follow from its type.

    Observations and findings do not name their subject themselves; give it. `key` replaces the usual one.
    """
    if (place := _PLACES.get(type(body))) is None:
        msg = f"a {type(body).__name__} is nothing that is recorded"
        raise TypeError(msg)
    own, parent, named = place(body)
    kind = next(kind for kind, (type_, _) in KINDS.items() if type_ is type(body))
    chain = "system" if isinstance(body, RetentionRecord) else f"{KINDS[kind][1]}:{named or subject}"
    item = Draft(chain=chain, kind=kind, key=key or own, parent=parent, body=body)
    check_draft(item)
    return item


def check_draft(item: Draft) -> None:
    """Raise ValueError for a draft that no chain takes."""
    if not is_chain(item.chain):
        msg = f"{item.chain!r} is no chain: collect:, assess: or publish: and a subject, or system"
        raise ValueError(msg)
    known = KINDS.get(item.kind)
    if known is None or not isinstance(item.body, known[0]) or known[1] != owner(item.chain):
        msg = f"{item.kind!r} with a {type(item.body).__name__} does not belong into chain {item.chain}"
        raise ValueError(msg)


def is_chain(name: str) -> bool:
    """Tell whether a chain may have this name."""
    return _CHAIN.fullmatch(name) is not None


def owner(chain: str) -> str:
    """Return the part of a chain's name that says whose it is."""
    return chain.partition(":")[0]


def subject_of(chain: str) -> str | None:
    """Return the subject in a chain's name; `system` has none."""
    return chain.partition(":")[2] or None


def entry_hash(
    *, chain: str, seq: int, kind: str, key: str, parent: str | None, at: dt.datetime, body_digest: str, previous: str
) -> str:
    """Return the hash over everything in an entry but its body, which the body's digest stands for."""
    fields = {
        "chain": chain,
        "seq": seq,
        "kind": kind,
        "key": key,
        "parent": parent,
        "at": instant_text(at),
        "bodyDigest": body_digest,
        "previous": previous,
    }
    return digest(canonical_plain(fields).encode())


def links(items: Iterable[tuple[Draft, str]], *, seq: int, previous: str, at: dt.datetime) -> Iterator[Entry]:
    """Give the entries that continue a chain after `seq`, from drafts and their canonical bodies."""
    for item, body in items:
        seq += 1
        body_digest = digest(body.encode())
        hash_ = entry_hash(
            chain=item.chain,
            seq=seq,
            kind=item.kind,
            key=item.key,
            parent=item.parent,
            at=at,
            body_digest=body_digest,
            previous=previous,
        )
        yield Entry(
            chain=item.chain,
            seq=seq,
            kind=item.kind,
            key=item.key,
            parent=item.parent,
            at=at,
            body_digest=body_digest,
            body=body,
            previous=previous,
            hash=hash_,
        )
        previous = hash_


def sign_head(last: Entry, keys: Keys) -> Head:
    """Sign that a chain ends with this entry."""
    role = role_of(last.chain)
    unsigned = Head(chain=last.chain, seq=last.seq, hash=last.hash, at=last.at, key_id=keys.id_of(role), signature="")
    value = keys.sign(role, head_message(unsigned)).value
    return unsigned.model_copy(update={"signature": base64.b64encode(value).decode()})


def answers(collection: Collection, trigger: Trigger) -> bool:
    """Tell whether a collection did what a trigger asked for: it is its own, or began later and covers it."""
    asked, covered = set(trigger.requirements), set(collection.trigger.requirements)
    later = trigger.received <= collection.started and (not covered or (bool(asked) and asked <= covered))
    return trigger.id == collection.trigger.id or later
