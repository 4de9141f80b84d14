"""What is written down of the engine's operations, and what never is."""

from __future__ import annotations

import datetime as dt
import getpass
import json
from pathlib import Path

import pytest
from cabc_platform.documents import GENESIS

from components._core import paths
from mlops.engine import Stack
from mlops.errors import OperationError
from mlops.evidence import record_quietly, recording
from mlops.evidence.document import LARGEST
from mlops.evidence.keeping import FileChain
from tests.support.evidence import CIPHERTEXT, RESOURCES, SECRET, Engine, difference, operation

NOON = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
"""When the first operation of the tests begins."""


def record(stack: Stack, command: str = recording.BY_HAND) -> list[dict[str, object]]:
    return [entry.body for entry in recording.record(stack, command, None)]


def test_an_operation_becomes_one_document(engine: Engine) -> None:
    engine.history = [operation(0)]
    (document,) = recording.record(engine.write(), "mlops up", None, since=NOON)
    told = document.body
    assert document.name == "update-1"
    assert told["previous"] == GENESIS
    assert (told["stack"], told["project"]) == ("trial", "small")
    update = told["update"]
    assert (update["operation"], update["result"], update["previewed"]) == ("update", "succeeded", False)
    assert (update["started"], update["ended"]) == ("2026-11-30T12:00:00Z", "2026-11-30T12:00:01Z")
    assert update["changes"] == {"create": 3}
    assert update["appliedBy"]["user"] == getpass.getuser()
    assert update["appliedBy"]["known"] == "ran mlops up"
    assert told["commit"]["sha"] == "f" * 40
    assert told["commit"]["dirty"] is True
    assert record(engine.stack) == []


def test_images_say_where_they_come_from(engine: Engine) -> None:
    engine.history = [operation(0)]
    (told,) = recording.record(engine.write(), "mlops up", None)
    helper, proxy = told.body["images"]["items"][1:]
    local = told.body["images"]["items"][0]
    assert (local["origin"], local["recipe"], local["key"]) == ("built here", "python", "0123456789ab")
    assert (helper["registry"], helper["digest"]) == ("quay.io", None)
    assert proxy["digest"] == "sha256:" + "a" * 64
    checks = {each["check"]: each for each in told.body["checks"]}
    assert checks["images named by content"]["unpinned"] == ["quay.io/some/helper:latest"]
    assert checks["images named by content"]["result"] == "failed"
    assert checks["pod security"]["namespaces"] == {"restricted": ["mlflow"]}


def test_a_namespace_without_pod_security_is_named(engine: Engine) -> None:
    bare = {"type": "kubernetes:core/v1:Namespace", "inputs": {"metadata": {"name": "open"}}}
    engine.history, engine.resources = [operation(0)], [*RESOURCES, bare]
    (told,) = recording.record(engine.write(), "mlops up", None)
    (check,) = [each for each in told.body["checks"] if each["check"] == "pod security"]
    assert (check["namespaces"]["none"], check["result"]) == (["open"], "failed")


def test_no_secret_is_in_any_document(engine: Engine) -> None:
    engine.history, engine.refresh = [operation(0)], [difference("mlflow")]
    stack = engine.write()
    entries = recording.record(stack, "mlops up", None)
    entries.append(recording.drift(stack, "mlops evidence drift", None))
    text = FileChain.of("trial").path.read_text()
    assert len(entries) == len(text.splitlines()) == 2
    for word in (SECRET, SECRET.replace(" ", "-"), CIPHERTEXT, "an-image", "ada@example.org"):
        assert word not in text
    assert FileChain.of("trial").path.stat().st_mode & 0o077 == 0


def test_operations_that_people_typed_are_caught_up_on(engine: Engine) -> None:
    engine.history = [operation(0), operation(10, result="failed"), operation(20)]
    folder = engine.keep_files()
    found = recording.record(engine.write(), "mlops up", None, since=NOON)
    assert [entry.name for entry in found] == ["update-1", "update-2", "update-3"]
    first, second, third = (entry.body for entry in found)
    owner = next(folder.iterdir()).owner()
    assert first["update"]["appliedBy"] == {
        "user": owner,
        "host": None,
        "known": "owns the file in the state's history",
    }
    assert second["update"]["result"] == "failed"
    assert third["update"]["appliedBy"]["known"] == "ran mlops up"
    assert not first["images"]["items"], "the state after the first operation had no image yet"
    assert third["images"]["items"] == second["images"]["items"]


def test_a_command_has_applied_only_what_began_after_it(engine: Engine) -> None:
    engine.history = [operation(0)]
    folder = engine.keep_files()
    late = NOON + dt.timedelta(seconds=1, milliseconds=500)
    (told,) = recording.record(engine.write(), "mlops down", None, since=late)
    assert told.body["update"]["appliedBy"] == {
        "user": next(folder.iterdir()).owner(),
        "host": None,
        "known": "owns the file in the state's history",
    }


def test_the_engine_counts_whole_seconds(engine: Engine) -> None:
    engine.history = [operation(0)]
    (told,) = recording.record(engine.write(), "mlops up", None, since=NOON + dt.timedelta(milliseconds=900))
    assert told.body["update"]["appliedBy"]["known"] == "ran mlops up"


def test_a_command_that_only_looks_has_applied_nothing(engine: Engine) -> None:
    engine.history = [operation(0)]
    folder = engine.keep_files()
    (told,) = recording.record(engine.write(), "mlops loop", None)
    assert told.body["update"]["appliedBy"]["user"] == next(folder.iterdir()).owner()
    assert told.body["update"]["appliedBy"]["host"] is None


def test_a_backend_that_is_no_folder_names_nobody(engine: Engine) -> None:
    engine.history = [operation(0), operation(10)]
    engine.stack.environment["PULUMI_BACKEND_URL"] = "s3://bucket"
    first, _ = record(engine.write())
    assert first["update"]["appliedBy"]["user"] is None  # type: ignore[index]
    assert first["images"] is None, "what was in the state then is not known any more"


def test_a_stack_that_begins_anew_goes_on_in_the_same_chain(engine: Engine) -> None:
    engine.history = [operation(0), operation(10, kind="destroy")]
    record(engine.write(), "mlops down")
    engine.history = [operation(20)]
    (told,) = record(engine.write(), "mlops up")
    assert told["number"] == 3
    assert told["update"]["number"] == 1  # type: ignore[index]


def test_what_the_engine_changed_is_named_without_values(engine: Engine) -> None:
    engine.history = [operation(0)]
    log = paths.state("runs", "trial-up.events.jsonl")
    log.parent.mkdir(parents=True)
    at = 1796040000  # 2026-11-30T12:00:00Z
    events = [
        difference("mlflow", "update", diffs=["spec"], detailedDiff={"spec.replicas": {}}),
        difference("other", "same"),
    ]
    log.write_text("".join(json.dumps({**event, "timestamp": at + 1}) + "\n" for event in events))
    (told,) = record(engine.write(), "mlops up")
    (step,) = told["update"]["steps"]["items"]  # type: ignore[index]
    assert step == {
        "operation": "update",
        "type": "kubernetes:apps/v1:Deployment",
        "name": "mlflow",
        "object": "mlflow/mlflow",
        "changed": ["spec", "spec.replicas"],
    }


def test_the_log_of_another_operation_is_not_taken_for_this_ones(engine: Engine) -> None:
    engine.history = [operation(0)]
    log = paths.state("runs", "trial-up.events.jsonl")
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps({**difference("mlflow"), "timestamp": 1796043600}) + "\n")
    (told,) = record(engine.write(), "mlops up")
    assert told["update"]["steps"] is None  # type: ignore[index]


def test_a_preview_is_told_by_the_engines_flags(engine: Engine) -> None:
    seen = {key: value for key, value in operation(0)["environment"].items() if "skip-preview" not in key}
    engine.history = [operation(0, environment=seen)]
    (told,) = record(engine.write())
    assert told["update"]["previewed"] is True  # type: ignore[index]


def test_drift_is_kept_from_when_it_was_first_seen(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(["2026-11-30T12:01:00Z", "2026-11-30T12:02:00Z", "2026-11-30T12:03:00Z"])
    monkeypatch.setattr(recording, "_now", lambda: next(times))

    def seen(*refresh: dict[str, object]) -> dict[str, object]:
        engine.refresh = list(refresh)
        found: dict[str, object] = recording.drift(engine.write(), "test", None).body["drift"]
        return found

    first = seen(difference("a"))
    assert first["objects"] == 1
    second = seen(difference("a"), difference("b", "delete"), difference("c", "same"))
    assert [(each["name"], each["since"]) for each in second["open"]["items"]] == [  # type: ignore[index]
        ("a", "2026-11-30T12:01:00Z"),
        ("b", "2026-11-30T12:02:00Z"),
    ]
    third = seen(difference("b", "delete"))
    (resolved,) = third["resolved"]["items"]  # type: ignore[index]
    assert (resolved["name"], resolved["since"]) == ("a", "2026-11-30T12:01:00Z")
    assert (resolved["resolvedAfter"], resolved["resolved"]) == ("2026-11-30T12:02:00Z", "2026-11-30T12:03:00Z")


def test_the_next_operation_says_what_drift_was_open(engine: Engine) -> None:
    engine.history, engine.refresh = [], [difference("a")]
    recording.drift(engine.write(), "test", None)
    engine.history = [operation(0)]
    (told,) = record(engine.write())
    assert told["drift"]["open"] == 1  # type: ignore[index]


def test_nothing_is_built_on_a_broken_chain(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    engine.history = [operation(0), operation(10)]
    record(engine.write())
    file = FileChain.of("trial").path
    file.write_text(file.read_text().replace('"dirty":true', '"dirty":false', 1))
    engine.history.append(operation(20))
    with pytest.raises(OperationError, match="does not hold"):
        record(engine.write())
    record_quietly(engine.write(), "mlops up", cluster=False)
    assert "no evidence was recorded" in capsys.readouterr().err


def test_a_line_that_was_cut_off_is_written_again(engine: Engine) -> None:
    engine.history = [operation(0)]
    record(engine.write())
    file = FileChain.of("trial").path
    with file.open("a") as cut:
        cut.write('{"format":"oss-mlops-pl')
    engine.history.append(operation(10))
    (told,) = record(engine.write())
    assert told["number"] == 2
    assert [entry.number for entry in FileChain.of("trial").entries()] == [1, 2]


def test_lists_are_bounded_and_say_so(engine: Engine) -> None:
    many = [
        {"type": "kubernetes:apps/v1:Deployment", "inputs": {"image": f"quay.io/some/image-{number}:1"}}
        for number in range(450)
    ]
    engine.history, engine.resources = [operation(0)], many
    (entry,) = recording.record(engine.write(), "mlops up", None)
    assert entry.body["images"]["leftOut"] == 250
    assert len(entry.text) < LARGEST


def test_an_operation_under_way_waits(engine: Engine, tmp_path: Path) -> None:
    del tmp_path
    engine.history = [operation(0), operation(10, result="in-progress", endTime=None)]
    assert len(record(engine.write())) == 1
