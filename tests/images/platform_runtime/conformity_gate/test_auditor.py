"""How the auditor's API is read: what was read once is not read again, and what cannot be read is said."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from platform_runtime.conformity_gate.auditor import Auditor, AuditorError, Hook
from platform_runtime.conformity_gate.standing import Standing, Status, standings

from tests.support.conformity_gate import START

HOOK = Hook("http://auditor/hooks/platform", "secret")


def at(minutes: int) -> str:
    return (START + dt.timedelta(minutes=minutes)).isoformat()


def assessment(number: int, version: str, *, complete: bool) -> dict[str, Any]:
    facts = {"version": version, "digest": None, "registeredModel": "loan", "inferenceService": "models/loan"}
    return {"id": f"a{number}", "subject": facts, "complete": complete, "ended": at(number)}


class Api:
    """An auditor with one subject: version 1 passed in full, version 2 only in part so far."""

    def __init__(self) -> None:
        self.assessments = [assessment(1, "1", complete=True)]
        self.assessments += [assessment(number, "2", complete=False) for number in range(2, 252)]
        self.asked: list[str] = []
        self.answer: Callable[[httpx.Request], httpx.Response] | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if self.answer:
            return self.answer(request)
        path, query = request.url.path.removeprefix("/api/v1/subjects"), request.url.params
        if not path:
            return httpx.Response(200, json={"items": [{"name": "loan"}], "next": None})
        if path.endswith("/history"):
            steps = [(2, "conformant", "2", "a2"), (1, "conformant", "1", "a1")]
            told = [
                {
                    "since": at(n),
                    "status": status,
                    "version": version,
                    "assessment": id_,
                    "cause": "",
                    "actor": "engine",
                }
                for n, status, version, id_ in steps
            ]
            return httpx.Response(200, json=told)
        if path.endswith("/findings"):
            waiver = {"id": "w1"}
            found = [
                {"requirement": "a/b", "verdict": "not-satisfied", "risks": ["R1", "R2"], "waiver": None},
                {"requirement": "a/c", "verdict": "error", "risks": ["R1"], "waiver": waiver},
                {"requirement": "a/d", "verdict": "satisfied", "risks": ["R3"], "waiver": None},
            ]
            return httpx.Response(200, json={"items": found, "next": None})
        if path.endswith("/assessments"):
            latest = list(reversed(self.assessments))
            begin = int(query.get("cursor", "0"))
            end = begin + int(query["limit"])
            after = str(end) if end < len(latest) else None
            return httpx.Response(200, json={"items": latest[begin:end], "next": after})
        (found,) = [each for each in self.assessments if each["id"] == path.rpartition("/")[2]]
        return httpx.Response(200, json=found)

    def client(self) -> Auditor:
        return Auditor("http://auditor", "t", HOOK, transport=httpx.MockTransport(self))


def test_a_complete_assessment_that_made_no_step_is_found_and_its_pages_are_read_once() -> None:
    api = Api()
    auditor = api.client()
    subject = auditor.subject("loan")
    assert (subject.model, subject.service, subject.audited) == ("loan", "models/loan", "2")
    assert set(standings(subject.steps, subject.assessed, {})) == {"1"}
    assert api.asked.count("/api/v1/subjects/loan/assessments") == 4
    api.asked.clear()
    api.assessments.append(assessment(252, "2", complete=True))
    subject = auditor.subject("loan")
    assert standings(subject.steps, subject.assessed, {})["2"].assessment == "a252"
    assert api.asked.count("/api/v1/subjects/loan/assessments") == 2
    assert not [path for path in api.asked if path.endswith(("/a1", "/a2"))]


def standing(status: Status) -> Standing:
    return Standing("2", status, START, "a2", "a2", "text")


def test_the_cause_of_a_refusal_is_what_nobody_waived() -> None:
    cause = Api().client().cause("loan", standing(Status.SUSPENDED))
    assert (cause.requirements, cause.risks, cause.waivers) == (("a/b",), ("R1", "R2"), ())


def test_the_cause_of_a_condition_names_the_waivers() -> None:
    cause = Api().client().cause("loan", standing(Status.CONDITIONAL))
    assert (cause.requirements, cause.risks, cause.waivers) == (("a/b", "a/c"), ("R1", "R2"), ("w1",))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(503, text="busy"), "HTTP 503: busy"),
        (httpx.Response(200, text="<html>"), "the answer is no JSON"),
        (httpx.Response(200, json=[{"since": "never"}]), "has not the shape of the auditor's API"),
    ],
)
def test_an_answer_that_says_nothing_is_an_error(answer: httpx.Response, reason: str) -> None:
    api = Api()
    api.answer = lambda _request: answer
    with pytest.raises(AuditorError, match=reason):
        api.client().subject("loan")


def test_a_list_of_subjects_that_is_none_is_an_error() -> None:
    api = Api()
    api.answer = lambda _request: httpx.Response(200, json={"detail": "moved"})
    with pytest.raises(AuditorError, match="subjects: the answer has not the shape"):
        api.client().subjects()


def test_nobody_there_is_an_error() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        reason = "refused"
        raise httpx.ConnectError(reason, request=request)

    api = Api()
    api.answer = refuse
    with pytest.raises(AuditorError, match="ConnectError: refused"):
        api.client().subjects()
    with pytest.raises(AuditorError, match="webhook http://auditor/hooks/platform: ConnectError: refused"):
        api.client().ask("loan", START)


def test_it_is_asked_by_a_message_that_the_auditor_takes() -> None:
    from cabc.triggers.webhook import Replays, named, verify

    taken: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        taken.append(request)
        return httpx.Response(202, json={"triggers": []})

    api = Api()
    api.answer = take
    api.client().ask("loan", START)
    (request,) = taken
    headers = {key.lower(): value for key, value in request.headers.items()}
    assert "authorization" not in headers
    assert verify("generic", b"secret", headers, request.content, now=START, replays=Replays())
    assert named("generic", request.content, []) == []
    assert json.loads(request.content) == {"subject": "loan"}


def test_a_message_that_was_taken_already_is_no_error() -> None:
    api = Api()
    api.answer = lambda _request: httpx.Response(409, text="taken already")
    api.client().ask("loan", START)
