"""Forged, swapped, stale and replayed results of another party."""

from __future__ import annotations

import base64
import copy
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cabc.document.interfaces import AssessorInterface
from cabc.interfaces.assessor import MAX_AGE, AssessorPlugin, SignedResult, check_result, seen_in
from cabc.interfaces.base import ExtractError, RetrieveError
from cabc.interfaces.connections import AssessorConnection
from cabc.interfaces.dsse import IN_TOTO, EnvelopeError, pae, seal, unseal
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.support.http_backend import HttpBackend, Reply, Request
from tests.support.retrieval import SUBJECT, retrieve, spec

NOW = dt.datetime(2026, 5, 1, 12, 0, tzinfo=dt.UTC)
OURS, THEIRS = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
PINNED = "sha256:" + "b" * 64


def pem(key: Any) -> str:
    text: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


def statement(**notes: Any) -> dict[str, Any]:
    """Give a statement that is taken over."""
    annotations = {"assessed": "2026-05-01T11:00:00Z", "sequence": 7, **notes}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "credit-scoring@3", "digest": {"sha256": "a" * 64}}],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": "PASSED",
            "configuration": [{"digest": {"sha256": "b" * 64}, "annotations": annotations}],
            "passedTests": ["security/pinned"],
            "failedTests": [],
        },
    }


def sign(payload: object, key: Ed25519PrivateKey = THEIRS, **keys: Any) -> bytes:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return seal(body, key, key_id="theirs", **keys)


def check(envelope: bytes, **keys: Any) -> SignedResult:
    given_ = {"keys": [pem(THEIRS)], "subject": SUBJECT, "spec_digest": PINNED, "now": NOW, **keys}
    return check_result(envelope, **given_)


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    made = copy.deepcopy(statement())
    change(made)
    return sign(made)


def test_a_good_result_is_taken_over() -> None:
    result = check(sign(statement()))
    assert (result.verdict, result.seen.sequence, result.failed) == ("satisfied", 7, ())
    assert result.assessed == dt.datetime(2026, 5, 1, 11, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("word", "verdict"), [("PASSED", "satisfied"), ("FAILED", "not-satisfied"), ("WARNED", "needs-review")]
)
def test_a_conditional_result_is_not_taken_for_a_pass(word: str, verdict: str) -> None:
    assert check(changed(lambda s: s["predicate"].update(result=word, failedTests=["a\x1b[31m"]))).verdict == verdict
    assert check(changed(lambda s: s["predicate"].update(result=word, failedTests=["a\x1b[31m"]))).failed == ("a",)


@pytest.mark.parametrize("word", ["passed", "SATISFIED", "", None, True, 1, ["PASSED"]])
def test_other_words_are_no_result(word: object) -> None:
    with pytest.raises(ExtractError):
        check(changed(lambda s: s["predicate"].update(result=word)))


# Who signed.


def test_a_signature_of_somebody_else_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="key of the assessor"):
        check(sign(statement(), OURS))


def test_the_id_of_a_key_decides_nothing() -> None:
    forged = json.loads(sign(statement(), OURS))
    forged["signatures"][0]["keyid"] = "theirs"
    with pytest.raises(EnvelopeError):
        check(json.dumps(forged).encode())


def test_no_key_no_result() -> None:
    with pytest.raises(EnvelopeError, match="no public key"):
        check(sign(statement()), keys=[])


def test_keys_that_are_none_are_errors() -> None:
    for key in ("", "nonsense", pem(ec.generate_private_key(ec.SECP256R1()))):
        with pytest.raises(EnvelopeError):
            check(sign(statement()), keys=[key])


def test_one_good_signature_among_bad_ones_is_enough() -> None:
    both = json.loads(sign(statement()))
    both["signatures"].insert(0, {"keyid": "x", "sig": base64.b64encode(b"x" * 64).decode()})
    assert check(json.dumps(both).encode()).verdict == "satisfied"
    assert check(json.dumps(both).encode(), keys=[pem(OURS), pem(THEIRS)]).verdict == "satisfied"


def test_a_payload_that_was_changed_is_refused() -> None:
    forged = json.loads(sign(changed_payload := statement()))
    changed_payload["predicate"]["result"] = "PASSED "
    forged["payload"] = base64.b64encode(json.dumps(changed_payload).encode()).decode()
    with pytest.raises(EnvelopeError):
        check(json.dumps(forged).encode())


def test_a_signature_over_another_type_is_refused() -> None:
    """The same bytes signed for another purpose are no result."""
    with pytest.raises(EnvelopeError, match="type"):
        check(sign(statement(), payload_type="application/json"))
    swapped = json.loads(sign(statement(), payload_type="application/json"))
    swapped["payloadType"] = IN_TOTO
    with pytest.raises(EnvelopeError, match="key of the assessor"):
        check(json.dumps(swapped).encode())


def test_the_bytes_that_are_signed_are_those_of_the_standard() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_url_safe_base64_is_read() -> None:
    envelope = json.loads(sign({"a": "??>>~~" * 9}))
    for signature in envelope["signatures"]:
        signature["sig"] = signature["sig"].replace("+", "-").replace("/", "_").rstrip("=")
    envelope["payload"] = envelope["payload"].replace("+", "-").replace("/", "_").rstrip("=")
    assert json.loads(unseal(json.dumps(envelope).encode(), [pem(THEIRS)])) == {"a": "??>>~~" * 9}


# About what.


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.update(subject=[{"digest": {"sha256": "c" * 64}}]),
        lambda s: s.update(subject=[{"digest": {"sha512": "a" * 64}}]),
        lambda s: s.update(subject=[]),
        lambda s: s.update(subject={"digest": {"sha256": "a" * 64}}),
        lambda s: s.pop("subject"),
        lambda s: s["predicate"].update(configuration=[]),
        lambda s: s["predicate"]["configuration"][0].update(digest={"sha256": "c" * 64}),
        lambda s: s["predicate"]["configuration"][0].pop("annotations"),
        lambda s: s.update(predicateType="https://slsa.dev/provenance/v1"),
        lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda s: s["predicate"].pop("result"),
        lambda s: s.update(predicate=[]),
        lambda s: s["predicate"].update(failedTests=7),
    ],
)
def test_another_subject_specification_or_shape_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(ExtractError):
        check(changed(change))


def test_a_subject_without_a_digest_takes_no_result() -> None:
    with pytest.raises(ExtractError, match="digest unknown"):
        check(sign(statement()), subject=SUBJECT.model_copy(update={"digest": None}))


# When, and in which order.


@pytest.mark.parametrize(
    "assessed", ["2026-04-01T00:00:00Z", "2027-01-01T00:00:00Z", "2026-05-01T11:00:00", "x", 7, None]
)
def test_stale_future_and_local_times_are_refused(assessed: object) -> None:
    with pytest.raises(ExtractError):
        check(sign(statement(assessed=assessed)))


def test_the_documents_age_counts() -> None:
    with pytest.raises(ExtractError, match="stale"):
        check(sign(statement()), max_age=dt.timedelta(minutes=59))
    assert check(sign(statement()), max_age=dt.timedelta(minutes=61)).verdict == "satisfied"
    with pytest.raises(ExtractError, match="stale"):
        check(sign(statement()), now=NOW + MAX_AGE)


def test_an_older_result_is_a_replay() -> None:
    last = check(sign(statement(sequence=8))).seen
    with pytest.raises(ExtractError, match="replayed"):
        check(sign(statement(sequence=7)), last=last)
    assert check(sign(statement(sequence=8)), last=last).seen == last
    assert check(sign(statement(sequence=9)), last=last).verdict == "satisfied"


def test_two_results_with_one_number_contradict_each_other() -> None:
    last = check(sign(statement(sequence=8))).seen
    with pytest.raises(ExtractError, match="two different"):
        check(sign(statement(sequence=8, assessed="2026-05-01T11:30:00Z")), last=last)


def test_without_numbers_time_is_the_order() -> None:
    first, second = statement(), statement(assessed="2026-05-01T11:00:01Z")
    for each in (first, second):
        del each["predicate"]["configuration"][0]["annotations"]["sequence"]
    last = check(sign(second)).seen
    with pytest.raises(ExtractError, match="replayed"):
        check(sign(first), last=last)
    assert seen_in(sign(second), [pem(THEIRS)], PINNED) == last


def test_a_challenge_must_be_answered() -> None:
    assert check(sign(statement(nonce="n1")), nonce="n1").verdict == "satisfied"
    for notes in ({}, {"nonce": "n0"}, {"nonce": ""}, {"nonce": None}):
        with pytest.raises(ExtractError, match="challenge"):
            check(sign(statement(**notes)), nonce="n1")


# How it comes.


def ask(**keys: Any) -> AssessorInterface:
    asked: AssessorInterface = spec(
        AssessorInterface, kind="assessor", connection="bureau", path="/result", spec_digest=PINNED, **keys
    )
    return asked


def test_every_request_has_its_own_challenge() -> None:
    def answer(request: Request) -> Reply:
        kind = {"Content-Type": "application/vnd.dsse.envelope.v1+json"}
        return Reply(sign(statement(nonce=request.query["nonce"])), headers=kind)

    with HttpBackend(answer) as server:
        connection = spec(AssessorConnection, kind="assessor", url=server.url, network="loopback", challenge=True)
        first, second = (retrieve(AssessorPlugin(), ask(returns="result"), connection) for _ in range(2))
    assert first.details["nonce"] != second.details["nonce"]
    assert check(first.body, nonce=first.details["nonce"]).verdict == "satisfied"
    with pytest.raises(ExtractError, match="challenge"):
        check(first.body, nonce=second.details["nonce"])


def test_a_signed_result_is_never_read_as_a_value() -> None:
    with pytest.raises(ExtractError, match="check_result"):
        AssessorPlugin().extract(ask(returns="result"), sign(statement()), "application/json", {})


def test_a_value_is_read_as_from_any_endpoint(tmp_path: Path) -> None:
    (tmp_path / "result").write_text('{"score": 0.7}')
    folder = spec(AssessorConnection, kind="assessor", root=str(tmp_path))
    answer = retrieve(AssessorPlugin(), ask(returns="value", pointer="/score"), folder)
    value = AssessorPlugin().extract(ask(returns="value", pointer="/score"), answer.body, answer.media_type, {})
    assert value == 0.7


def test_a_folder_is_not_challenged(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="challenge"):
        spec(AssessorConnection, kind="assessor", root=str(tmp_path), challenge=True)
    with pytest.raises(RetrieveError):
        retrieve(AssessorPlugin(), ask(returns="result"), spec(AssessorConnection, kind="assessor", root=str(tmp_path)))


# Whatever comes.


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"payload": "", "payloadType": "application/vnd.in-toto+json", "signatures": []}',
        b'{"payload": 1, "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "AA"}]}',
        b'{"payload": "!!", "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "AA"}]}',
        b'{"payload": "AA", "payloadType": "application/vnd.in-toto+json", "signatures": {"sig": "AA"}}',
        b'{"payload": "AA", "payloadType": "application/vnd.in-toto+json", "signatures": ["AA"]}',
    ],
)
def test_what_is_no_envelope_is_an_error(body: bytes) -> None:
    with pytest.raises(ExtractError):
        check(body)


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    JSONS, st.sampled_from(["subject", "predicate", "result", "configuration", "annotations", "assessed", "sequence"])
)
def test_a_signed_statement_of_any_shape_is_a_result_or_an_error(part: object, place: str) -> None:
    made = statement()
    configuration = made["predicate"]["configuration"][0]
    holders = {
        "subject": made,
        "predicate": made,
        "result": made["predicate"],
        "configuration": made["predicate"],
        "annotations": configuration,
        "assessed": configuration["annotations"],
        "sequence": configuration["annotations"],
    }
    holders[place][place] = part
    try:
        check(sign(made))
    except ExtractError:
        return
    assert place == "sequence"
