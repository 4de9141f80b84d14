"""Every hop of a prediction, in the state of then; what was changed, is missing or came later shows."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cabc_platform.documents import Document
from cabc_platform.trace.canonical import data_digest
from cabc_platform.trace.collected import ARTEFACTS, EVIDENCE, PREDICTION, RECORD, RUN, VERSION, Collected
from cabc_platform.trace.collecting import collect
from cabc_platform.trace.errors import InputError, TraceError
from cabc_platform.trace.hops import Hop, State
from cabc_platform.trace.judging import judge
from hypothesis import given
from hypothesis import strategies as some

from mlops.evidence.document import following
from tests.support.http_backend import HttpBackend
from tests.support.trace import IMAGE, MODEL, REQUEST, Past, log_server, minute, prediction, sources, truth

Collect = Callable[..., Collected]


def hops(collected: Collected, row: int | None = None) -> dict[str, Hop]:
    return {hop.name: hop for hop in judge(collected, row).hops}


def wrong(hop: Hop) -> list[str]:
    return [check.what for check in hop.checks if not check.holds]


def test_every_hop_is_there_and_holds(collected: Collect) -> None:
    trace = judge(collected(truths=[truth(1, 0, superseded=True), truth(2, 1)]))
    assert [hop.name for hop in trace.hops] == [
        "prediction",
        "model",
        "image",
        "run",
        "status",
        "infrastructure",
        "truth",
    ]
    assert {hop.name: str(hop.state) for hop in trace.hops} == {hop.name: "verified" for hop in trace.hops}, trace.open
    assert all(hop.digest and hop.link for hop in trace.hops)


def test_the_state_is_that_of_then(collected: Collect, model: dict[str, str]) -> None:
    found = hops(collected())
    assert found["model"].facts["version"] == model["version"]
    assert found["infrastructure"].facts["appliedBy"]["user"] == "ada"
    assert found["infrastructure"].facts["commit"]["sha"] == "a" * 40
    assert found["infrastructure"].facts["drift"]["open"] == 0
    assert found["image"].digest == IMAGE
    status = found["status"].facts
    assert (status["status"], status["assessment"]) == ("conditional", "a12")
    assert [each["risks"] for each in status["findings"]] == [["R1"]]
    assert [each["id"] for each in status["waivers"]] == ["w1"], "the other one had expired"
    later = hops(collected(at=minute(80).isoformat(), answered_at=minute(80).isoformat()))
    assert later["infrastructure"].facts["appliedBy"]["user"] == "bob"
    assert later["status"].facts["status"] == "suspended"
    assert wrong(later["status"])[0] == "version that was audited"


def test_metrics_data_and_code_are_those_of_the_run(collected: Collect) -> None:
    facts = hops(collected())["run"].facts
    assert (facts["codeCommit"], facts["dataSha256"], facts["metrics"]) == ("c" * 40, "d" * 64, {"auc": 0.81})


def test_no_label_is_nothing_to_verify(collected: Collect) -> None:
    trace = judge(collected())
    assert trace.hops[-1].state is State.NONE
    assert trace.open == []


def test_a_row_of_its_own(collected: Collect) -> None:
    found = hops(collected(truths=[truth(1, 1)]), row=1)
    assert [each["row"] for each in found["prediction"].facts["rows"]] == [1]
    assert found["prediction"].state is State.VERIFIED
    assert found["truth"].state is State.NONE
    assert wrong(hops(collected(), row=5)["prediction"])


def test_a_changed_row_is_found(collected: Collect, model: dict[str, str]) -> None:
    rows = prediction(model)["rows"]
    rows[1]["output"] = [0.1, 0.9]
    assert wrong(hops(collected(rows=rows))["prediction"]) == ["digest over all rows of the request"]


def test_an_answer_that_was_not_logged_is_found(collected: Collect, model: dict[str, str]) -> None:
    rows = [{**each, "output": None} for each in prediction(model)["rows"]]
    assert wrong(hops(collected(rows=rows, content_digest=data_digest(rows)))["prediction"]) == [
        "request and answer are both in the log"
    ]


def test_another_model_than_the_registrys_is_found(collected: Collect) -> None:
    found = hops(collected(digest="sha256:" + "0" * 64))
    assert len(wrong(found["model"])) == 2
    assert wrong(found["image"]) == ["digest of the model it served"]


def test_changed_artefacts_are_found(collected: Collect) -> None:
    found = collected()
    listed = found.data(ARTEFACTS)
    listed[0]["sha256"] = "0" * 64
    found.put(ARTEFACTS, listed)
    assert wrong(hops(found)["model"]) == ["digest over the artefacts as the registry hands them out"]


def test_another_run_is_found(collected: Collect) -> None:
    assert len(wrong(hops(collected(run_id="f" * 32))["run"])) == 2


def test_a_broken_chain_of_evidence_is_found(collected: Collect) -> None:
    found = collected()
    lines = found.files[EVIDENCE].decode().splitlines()
    found.files[EVIDENCE] = "\n".join([lines[0].replace('"user":"ada"', '"user":"eve"'), *lines[1:]]).encode()
    assert [hops(found)[name].state for name in ("image", "infrastructure")] == [State.UNVERIFIED] * 2


def test_a_name_with_a_separator_of_lines_breaks_no_evidence(collected: Collect) -> None:
    found = collected()
    first, *others = [Document(line) for line in found.files[EVIDENCE].decode().split("\n") if line]
    chain: list[Document] = []
    for entry in (first, *others):
        told = entry.body
        told["commit"] = {**(told.get("commit") or {}), "subject": "a\u2028b\u0085c"}
        chain.append(following(chain, told["kind"], told))
    found.files[EVIDENCE] = "".join(f"{entry.text}\n" for entry in chain).encode()
    assert [hops(found)[name].state for name in ("image", "infrastructure")] == [State.VERIFIED] * 2


def damaged(archive: bytes, old: bytes, new: bytes, name: str = f"entries/assess.{MODEL}.jsonl") -> bytes:
    """Return an archive in one of whose members something was replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(out, "w") as target:
        for member in source.namelist():
            content = source.read(member)
            if member == name:
                assert old in content
                content = content.replace(old, new, 1)
            target.writestr(member, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (b"conditional", b"conformant", "another body"),
        (b'"seq":3', b'"seq":7', "entry 3"),
        (b'"kind":"finding"', b'"kind":"waiver"', "another hash"),
    ],
)
def test_a_changed_record_is_found(collected: Collect, old: bytes, new: bytes, fault: str) -> None:
    found = collected()
    found.files[RECORD] = damaged(found.files[RECORD], old, new)
    hop = hops(found)["status"]
    assert hop.state is State.UNVERIFIED
    assert fault in hop.summary


def test_a_forged_head_is_found(collected: Collect) -> None:
    found = collected()
    with zipfile.ZipFile(io.BytesIO(found.files[RECORD])) as archive:
        heads = [json.loads(line) for line in archive.read("heads.jsonl").splitlines()]
    last = max((head for head in heads if head["chain"].startswith("assess:")), key=lambda head: head["seq"])
    other = next(head["signature"] for head in heads if head["signature"] != last["signature"])
    old, new = last["signature"].encode(), other.encode()
    found.files[RECORD] = damaged(found.files[RECORD], old, new, "heads.jsonl")
    assert "signature" in hops(found)["status"].summary


def test_a_record_that_was_cut_off_is_found(collected: Collect) -> None:
    found = collected()
    with zipfile.ZipFile(io.BytesIO(found.files[RECORD])) as archive:
        lines = archive.read(f"entries/assess.{MODEL}.jsonl").splitlines(keepends=True)
    found.files[RECORD] = damaged(found.files[RECORD], lines[-1], b"")
    assert "no signed head" in hops(found)["status"].summary


def test_what_is_no_archive_is_no_error_of_ours(collected: Collect) -> None:
    found = collected()
    found.files[RECORD] = b"PK\x03\x04nothing"
    assert hops(found)["status"].state is State.UNVERIFIED


def test_before_the_first_status_and_operation_they_are_missing(collected: Collect) -> None:
    early = minute(-60).isoformat()
    found = hops(collected(at=early, answered_at=early))
    assert "no status yet" in found["status"].summary
    assert "no operation" in found["infrastructure"].summary
    assert {found[name].state for name in ("status", "infrastructure")} == {State.MISSING}
    assert found["image"].facts["recordedBefore"] is False


def test_each_part_that_is_away_is_named(past: Past, model: dict[str, str]) -> None:
    with log_server(prediction(model)) as log:
        told = sources(past, log.url, "http://127.0.0.1:9")
        found = hops(collect(told, REQUEST, stack="local"))
    assert found["prediction"].state is State.VERIFIED
    assert {name for name, hop in found.items() if hop.state is State.MISSING} == {"model", "run"}
    assert "does not answer" in found["model"].summary


def test_without_the_log_nothing_is_known_and_all_of_it_says_so(past: Past, registry: HttpBackend) -> None:
    found = judge(collect(sources(past, None, registry.url), REQUEST, stack="local"))
    assert {hop.state for hop in found.hops} == {State.MISSING}
    assert "no prediction log" in found.hops[0].summary


def test_a_request_that_nobody_made_is_an_error_of_the_caller(past: Past, model: dict[str, str]) -> None:
    with log_server(prediction(model)) as log, pytest.raises(InputError, match="has no request 'other'"):
        collect(sources(past, log.url, None), "other", stack="local")


def test_an_export_is_judged_again(collected: Collect, tmp_path: Path) -> None:
    found = collected()
    trace = judge(found, 1)
    number = found.export(tmp_path / "trace.zip", trace.plain())
    again, told, same = Collected.read(tmp_path / "trace.zip")
    assert same == number
    assert json.loads(json.dumps(judge(again, 1).plain())) == told == json.loads(json.dumps(trace.plain()))


def verify(file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlops", "trace", "--verify", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_export_is_checked_by_the_command_and_by_the_auditor(collected: Collect, tmp_path: Path) -> None:
    found = collected()
    found.export(tmp_path / "trace.zip", judge(found).plain())
    done = verify(tmp_path / "trace.zip")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "conditional since" in done.stdout
    with zipfile.ZipFile(tmp_path / "trace.zip") as archive:
        archive.extract(RECORD, tmp_path)
    program = [sys.executable, "-c", "from cabc.cli import main; main()"]
    command = [*program, "verify", "--no-recompute", "--archive", str(tmp_path / RECORD)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", [PREDICTION, VERSION, RUN, EVIDENCE, RECORD, "trace.json", "about.json"])
def test_an_export_that_was_changed_is_refused(collected: Collect, tmp_path: Path, name: str) -> None:
    found = collected()
    found.export(tmp_path / "trace.zip", judge(found).plain())
    with zipfile.ZipFile(tmp_path / "trace.zip") as archive:
        content = archive.read(name)
    changed = damaged((tmp_path / "trace.zip").read_bytes(), content, content + b" ", name)
    (tmp_path / "trace.zip").write_bytes(changed)
    with pytest.raises(TraceError, match="its manifest says"):
        Collected.read(tmp_path / "trace.zip")


def test_a_trace_that_its_own_files_do_not_give_is_refused(collected: Collect, tmp_path: Path) -> None:
    found = collected(digest="sha256:" + "0" * 64)
    told = judge(found).plain()
    told["verified"] = True
    found.export(tmp_path / "trace.zip", told)
    done = verify(tmp_path / "trace.zip")
    assert done.returncode == 1
    assert "another trace" in done.stderr


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x05\x06" + b"\x00" * 18])
def test_what_is_no_export_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "trace.zip").write_bytes(content)
    with pytest.raises(TraceError, match="no export"):
        Collected.read(tmp_path / "trace.zip")


NUMBERS = some.floats(allow_nan=False) | some.integers(-(2**70), 2**70) | some.booleans() | some.text() | some.none()


@given(some.dictionaries(some.text(), NUMBERS | some.lists(NUMBERS)))
def test_the_digest_is_the_prediction_logs(inputs: dict[str, Any]) -> None:
    from platform_runtime.prediction_log.canonical import digest

    rows = [{"row": 0, "inputs": inputs, "output": [0.5]}]
    assert data_digest(rows) == digest(rows)


def test_the_command_loads_no_more_of_the_auditor_than_it_needs() -> None:
    program = "import sys, mlops.trace.cli; print(*sorted(n for n in sys.modules if n.startswith('cabc.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"cabc.errors", "cabc.record", "cabc.record.canonical"}
