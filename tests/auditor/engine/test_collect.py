"""Planning and collecting within limits."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from typing import Any

import pytest
from cabc.document.loaded import LoadedDocument
from cabc.engine.collect import MAX_EVIDENCE, Answers, Collector
from cabc.engine.plan import plan
from cabc.errors import CabcError
from cabc.interfaces.base import Connection, RetrieveError, SubjectFacts
from cabc.interfaces.connections import FileConnection, RestConnection
from cabc.record.types import Evidence, LeafEvidence

from tests.support.cabc_engine import Backend, connections, document, leaf, requirement

SUBJECT = SubjectFacts(name="scoring")


def collect(
    spec: LoadedDocument,
    backend: Backend,
    *,
    known: Mapping[str, Connection] | None = None,
    stored: list[tuple[Evidence, bytes]] | None = None,
    **limits: Any,
) -> dict[str, LeafEvidence]:
    have = connections() if known is None else known
    kept = stored if stored is not None else []
    collector = Collector(have, kept.extend, plugins=backend.plugin, **limits)
    answers: Answers = asyncio.run(collector.collect(plan(spec, None, have), SUBJECT))
    return {each.path.rsplit("/", 1)[1]: each for each in answers.leaves}


def at(id_: str, path: str, **more: Any) -> dict[str, Any]:
    made = leaf(id_, **more)
    made["interface"] = {**made["interface"], "path": path, **more.get("interface", {})}
    return made


def test_same_question_is_asked_once_and_its_evidence_shared() -> None:
    backend = Backend({"/all": {"a": 1, "b": 2}})
    one, two = at("one", "/all"), at("two", "/all")
    one["interface"]["pointer"], two["interface"]["pointer"] = "/a", "/b"
    spec = document(requirement("r", one, two))

    planned = plan(spec, None, connections())
    found = collect(spec, backend)

    assert (len(planned.queries), planned.per_connection) == (1, {"api": 1})
    assert backend.asked == ["/all"]
    assert found["one"].value == found["two"].value
    assert (found["one"].shared, found["two"].shared) == (False, True)


@pytest.mark.parametrize(("limit", "workers", "most"), [(3, 32, 3), (32, 5, 5)])
def test_limits_of_connection_and_of_all_workers(limit: int, workers: int, most: int) -> None:
    backend = Backend({f"/l{n}": 1 for n in range(20)}, delay=0.01)
    spec = document(requirement("r", *(leaf(f"l{n}") for n in range(20))))

    collect(spec, backend, known=connections(max_concurrent=limit), workers=workers)

    assert len(backend.asked) == 20
    assert backend.most_at_once == most


def test_slow_answer_is_an_error_and_the_others_count() -> None:
    backend = Backend({"/fast": 1})
    backend.values["/slow"] = 1

    async def wait(path: str) -> bytes:
        await asyncio.sleep(30 if path == "/slow" else 0)
        return b"1"

    backend.ask = wait  # type: ignore[method-assign]
    spec = document(requirement("r", leaf("slow", timeout="PT0.2S"), leaf("fast")))
    started = time.monotonic()
    found = collect(spec, backend)

    assert time.monotonic() - started < 30
    assert found["slow"].error == "no answer within 0.2 s"
    assert found["fast"].error is None


def test_connection_s_timeout_holds_whatever_the_document_says() -> None:
    spec = document(requirement("r", leaf("x", timeout="PT1H")))

    assert plan(spec, None, connections(timeout=2.5)).queries[0].timeout == 2.5
    assert plan(spec, None, connections(timeout=9999)).queries[0].timeout == 3600


def test_run_ends_at_its_deadline_with_what_it_has() -> None:
    backend = Backend({f"/l{n}": 1 for n in range(9)}, delay=0.2)
    spec = document(requirement("r", *(leaf(f"l{n}") for n in range(9))))

    found = collect(spec, backend, known=connections(max_concurrent=1), deadline=0.7)

    had = [name for name, each in found.items() if each.value is not None]
    late = {each.error for name, each in found.items() if name not in had}
    assert 1 <= len(had) < 9
    assert late == {"no answer within the run's deadline of 0.7 s"}


def test_secrets_are_gone_before_anything_is_hashed_or_stored() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk"  # noqa: S105 (a sample)
    backend = Backend({"/a": {"value": 1, "token": token}, "/b": RetrieveError(f"refused: Bearer {token}")})
    stored: list[tuple[Evidence, bytes]] = []
    found = collect(document(requirement("r", leaf("a"), leaf("b"))), backend, stored=stored)

    [(evidence, body)] = stored
    assert token.encode() not in body
    assert evidence.redacted
    assert evidence.digest == f"sha256:{hashlib.sha256(body).hexdigest()}"
    assert token not in (found["b"].error or "")


@pytest.mark.parametrize("limit", [10, 10 * MAX_EVIDENCE])
def test_answer_that_is_too_large_is_refused(limit: int) -> None:
    body = b"1" * (11 if limit == 10 else MAX_EVIDENCE + 1)
    found = collect(document(requirement("r", leaf("a"))), Backend({"/a": body}), known=connections(max_bytes=limit))

    assert found["a"].value is None
    assert f"{len(body)} bytes and may have {min(limit, MAX_EVIDENCE)}" in (found["a"].error or "")


def test_what_cannot_be_asked_is_named_by_the_plan_and_recorded_by_the_run() -> None:
    elsewhere = leaf("elsewhere")
    elsewhere["interface"] = {**elsewhere["interface"], "connection": "nowhere"}
    spec = document(requirement("r", elsewhere, leaf("x")))
    known: dict[str, Connection] = {"api": FileConnection(kind="file", root="/nowhere")}

    planned = plan(spec, None, known)
    found = collect(spec, Backend({}), known=known)

    assert [(each.path, each.reason) for each in planned.missing] == [
        ("d/r/m/elsewhere", "connection 'nowhere' is not in the connections file, which has api"),
        ("d/r/m/x", "connection 'api' is of kind file, the document asks for rest"),
    ]
    assert planned.queries == ()
    assert found["x"].error == planned.missing[1].reason


def test_target_is_retrieved_like_a_value() -> None:
    target = {"interface": {"kind": "rest", "connection": "api", "path": "/declared"}}
    spec = document(requirement("r", leaf("auc", target, "WithinTolerance", tolerance=0.1), leaf("declared")))
    backend = Backend({"/auc": 0.9, "/declared": 0.85})

    found = collect(spec, backend)
    assert sorted(backend.asked) == ["/auc", "/declared"]
    assert found["auc"].target == found["declared"].value

    backend.values["/declared"] = RetrieveError("gone")
    assert collect(spec, backend)["auc"].error == "target: gone"


def test_requirement_that_does_not_apply_is_not_asked() -> None:
    spec = document(
        requirement("eu", leaf("x"), appliesWhen={"subject.version": "7"}),
        requirement("all", leaf("y")),
    )
    facts = SubjectFacts(name="scoring", version="1")

    assert plan(spec, None, connections(), subject=facts).not_applicable == ("d/eu",)
    assert [leaf.path for leaf in plan(spec, None, connections(), subject=facts).leaves] == ["d/all/m/y"]
    unknown = plan(spec, None, connections(), subject=SubjectFacts(name="scoring"))
    assert unknown.not_applicable == (), "a fact that is not known takes no requirement away"


def test_plan_of_part_and_estimates() -> None:
    spec = document(requirement("a", leaf("x")), requirement("b", leaf("y"), leaf("z")))

    part = plan(spec, {"d/b"}, connections(max_concurrent=1), durations={"d/b/m/y": 500.0, "d/b/m/z": 250.0})
    assert (part.due, part.complete, part.estimated, part.at_most) == (("d/b",), False, 0.75, 60.0)
    assert plan(spec, {"d/a", "d/b"}, connections()).complete
    with pytest.raises(CabcError, match="there is no requirement d/x"):
        plan(spec, {"d/x"}, connections())


def test_progress_counts_every_question() -> None:
    seen: list[tuple[int, int]] = []
    spec = document(requirement("r", *(leaf(f"l{n}") for n in range(5))))
    collect(spec, Backend({}), progress=lambda done, total, _: seen.append((done, total)))

    assert seen == [(n, 5) for n in range(1, 6)]


def test_record_that_cannot_be_written_ends_the_run() -> None:
    def broken(batch: list[tuple[Evidence, bytes]]) -> None:
        msg = f"disk full after {len(batch)}"
        raise CabcError(msg)

    spec = document(requirement("r", leaf("x")))
    have: dict[str, Connection] = {"api": RestConnection(kind="rest", url="https://api.example")}
    collector = Collector(have, broken, plugins=Backend({"/x": 1}).plugin)
    with pytest.raises(CabcError, match="disk full"):
        asyncio.run(collector.collect(plan(spec, None, have), SUBJECT))
