"""`assessor`: another party's value, or its signed result.

A result is an in-toto statement (`test-result/v0.1`) in a DSSE envelope, as `cabc publish` writes it. The standard's
predicate has no time and no order; they stand in the annotations of its configuration, which is the other party's
specification: `assessed` (RFC 3339), and if wanted `sequence` (a number that only grows) and `nonce` (the challenge).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from cabc.document.interfaces import AssessorInterface
from cabc.interfaces.base import ExtractError, Retrieved, SubjectFacts, Value
from cabc.interfaces.beneath import read_beneath
from cabc.interfaces.connections import AssessorConnection
from cabc.interfaces.dsse import unseal
from cabc.interfaces.extraction import extract
from cabc.interfaces.guarded import TEXT, GuardedPlugin
from cabc.interfaces.parameters import fill_path
from cabc.interfaces.structured import parse_json
from cabc.text import one_line

__all__ = [
    "MAX_AGE",
    "STATEMENT",
    "TEST_RESULT",
    "AssessorPlugin",
    "Seen",
    "SignedResult",
    "check_result",
    "seen_in",
]

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
MAX_AGE = dt.timedelta(days=7)
"""Age above which a result is stale when the document says nothing."""
_SKEW = dt.timedelta(minutes=5)
_VERDICTS: dict[str, Literal["satisfied", "not-satisfied", "needs-review"]] = {
    "PASSED": "satisfied",
    "WARNED": "needs-review",
    "FAILED": "not-satisfied",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """The last result that was taken over from this party for this leaf."""

    sequence: int
    """As the result says; the second of its assessment when it does not."""
    digest: str
    """SHA-256 of its payload, hexadecimal."""


@dataclass(frozen=True, slots=True)
class SignedResult:
    """A result whose signature, subject, specification, age and order were checked."""

    verdict: Literal["satisfied", "not-satisfied", "needs-review"]
    """One of the values of the six verdicts; a conditional result has to be looked at by a person."""
    assessed: dt.datetime
    seen: Seen
    failed: tuple[str, ...]
    """Names of the other party's requirements that failed."""


def check_result(
    envelope: bytes,
    *,
    keys: Sequence[str],
    subject: SubjectFacts,
    spec_digest: str,
    now: dt.datetime,
    max_age: dt.timedelta | None = None,
    nonce: str | None = None,
    last: Seen | None = None,
) -> SignedResult:
    """Return the other party's verdict, or raise ExtractError with the one reason why it is not taken over.

    Pure, so that a verifier recomputes it: `now` is when the evidence was collected, `nonce` stands in its details,
    `last` is what an earlier collection of the same leaf gave.
    """
    claim = _claim(unseal(envelope, keys), spec_digest)
    _same(claim.subjects, subject.digest, "the subject that we audit")
    _fresh(claim.assessed, now, max_age or MAX_AGE)
    if nonce is not None and not secrets.compare_digest(claim.nonce.encode(), nonce.encode()):
        msg = "the signed result does not answer this run's challenge: it is replayed"
        raise ExtractError(msg)
    _in_order(claim.seen, last)
    return SignedResult(claim.verdict, claim.assessed, claim.seen, claim.failed)


def seen_in(envelope: bytes, keys: Sequence[str], spec_digest: str) -> Seen:
    """Return order and digest of a result that was taken over before; ExtractError when it is none."""
    return _claim(unseal(envelope, keys), spec_digest).seen


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a signed payload says, before it is believed."""

    subjects: list[str]
    verdict: Literal["satisfied", "not-satisfied", "needs-review"]
    assessed: dt.datetime
    nonce: str
    seen: Seen
    failed: tuple[str, ...]


def _claim(payload: bytes, spec_digest: str) -> _Claim:
    statement = parse_json(payload)
    try:
        predicate = _predicate(statement)
        verdict = _VERDICTS[predicate["result"]]
        configurations = predicate["configuration"]
        digests = _digests(configurations)
        _same(digests, spec_digest, "the specification that the document pins")
        notes = configurations[digests.index(spec_digest)]["annotations"]
        assessed = dt.datetime.fromisoformat(notes["assessed"])
        if assessed.tzinfo is None:
            msg = "the signed result's time has no zone"
            raise ExtractError(msg)
        sequence = int(notes.get("sequence", assessed.timestamp()))
        failed = tuple(one_line(str(name)) for name in predicate.get("failedTests", []))
        seen = Seen(sequence, hashlib.sha256(payload).hexdigest())
        return _Claim(_digests(statement["subject"]), verdict, assessed, str(notes.get("nonce", "")), seen, failed)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        msg = (
            "the signed statement has not the shape of a test result with `assessed` in its configuration's annotations"
        )
        raise ExtractError(msg) from error


def _predicate(statement: Any) -> Any:
    if statement["_type"] != STATEMENT or statement["predicateType"] != TEST_RESULT:
        msg = f"the signed statement is no in-toto statement with a {TEST_RESULT} predicate"
        raise ExtractError(msg)
    return statement["predicate"]


def _digests(descriptors: Any) -> list[str]:
    return [f"sha256:{descriptor['digest']['sha256']}" for descriptor in descriptors]


def _same(found: list[str], wanted: str | None, what: str) -> None:
    if wanted is None or wanted not in found:
        shown = one_line(", ".join(found)) or "none"
        msg = f"the signed result is about {shown}, not about {what} ({wanted or 'digest unknown'})"
        raise ExtractError(msg)


def _fresh(assessed: dt.datetime, now: dt.datetime, max_age: dt.timedelta) -> None:
    if assessed > now + _SKEW:
        msg = f"the signed result is from the future: {assessed.isoformat()}"
        raise ExtractError(msg)
    if now - assessed > max_age:
        msg = f"the signed result is stale: assessed {assessed.isoformat()}, more than {max_age} ago"
        raise ExtractError(msg)


def _in_order(seen: Seen, last: Seen | None) -> None:
    if last is None:
        return
    if seen.sequence < last.sequence:
        msg = f"the signed result has sequence {seen.sequence} after {last.sequence}: an older one is replayed"
        raise ExtractError(msg)
    if seen.sequence == last.sequence and seen.digest != last.digest:
        msg = f"two different signed results have sequence {seen.sequence}"
        raise ExtractError(msg)


class AssessorPlugin(GuardedPlugin):
    """Fetch the other party's answer; whether a signed result counts is decided by `check_result`."""

    kind: ClassVar[str] = "assessor"
    spec: ClassVar[type[AssessorInterface]] = AssessorInterface
    connection: ClassVar[type[AssessorConnection]] = AssessorConnection

    async def retrieve(
        self, spec: AssessorInterface, connection: AssessorConnection, subject: SubjectFacts
    ) -> Retrieved:
        path = fill_path(spec.path, subject)
        origin = f"{spec.returns} {path} of assessor {spec.connection}"
        if connection.root is not None:
            inside = path.lstrip("/")
            body = await asyncio.to_thread(read_beneath, connection.root, inside, connection.max_bytes)
            return Retrieved(body, "application/json", origin)
        nonce = {"nonce": secrets.token_hex(16)} if connection.challenge and spec.returns == "result" else {}
        answer = await self._client.get(connection.http(), path, query=nonce, accept=TEXT)
        return Retrieved(answer.body, answer.media_type, origin, nonce)

    def extract(self, spec: AssessorInterface, body: bytes, media_type: str, details: Mapping[str, str]) -> Value:  # noqa: ARG002 (protocol)
        if spec.returns == "result":
            msg = "a signed result is judged with the party's keys (check_result), not read as a value"
            raise ExtractError(msg)
        return extract(spec, body, media_type)
