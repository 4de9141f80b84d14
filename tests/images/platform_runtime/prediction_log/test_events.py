"""CloudEvents are taken as model servers and KServe's logger send them, and refused when they could not be kept."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

import pytest
from platform_runtime.prediction_log.events import Event, EventError, from_http

from tests.support.prediction_log import headers

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC).timestamp()


def received(body: bytes = b"{}", **attributes: str) -> Event:
    given = headers("request", attributes.pop("id", "a-1"), **attributes)
    (event,) = from_http([(name.encode(), value.encode()) for name, value in given.items()], body, NOW)
    return event


def test_binary_mode_as_the_logger_sends_it() -> None:
    event = received(b'{"instances": [[1]]}', annotations='{"oss-mlops-platform/model-version":"3"}')
    assert (event.kind, event.id, event.service, event.namespace) == ("request", "a-1", "loan", "models")
    assert event.at == dt.datetime(2026, 3, 1, 10, 0, 0, 100123, tzinfo=dt.UTC)
    assert event.annotations == {"oss-mlops-platform/model-version": "3"}
    assert Event.unpack(event.pack()) == event


@pytest.mark.parametrize("how", ["data", "data_base64"])
def test_structured_mode(how: str) -> None:
    data = {"instances": [{"a": 1}]}
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": "a-1",
        "type": "org.kubeflow.serving.inference.request",
        "source": "x",
        "inferenceservicename": "loan",
        how: data if how == "data" else base64.b64encode(json.dumps(data).encode()).decode(),
    }
    (found,) = from_http([(b"content-type", b"application/cloudevents+json")], json.dumps(event).encode(), NOW)
    assert (found.id, found.kind, found.service) == ("a-1", "request", "loan")
    assert json.loads(found.body) == data
    assert found.at.timestamp() == NOW


BATCH = [(b"content-type", b"application/cloudevents-batch+json; charset=UTF-8")]


def structured(kind: str, request_id: str, **others: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": request_id,
        "type": f"org.kubeflow.serving.inference.{kind}",
        "source": "x",
        "data_base64": base64.b64encode(b'{"instances": [[1]]}').decode(),
        **others,
    }


def test_a_batch_is_all_of_its_events_in_order() -> None:
    sent = [structured("request", "a-1"), structured("response", "a-1", status="503"), structured("request", "a-2")]
    found = from_http(BATCH, json.dumps(sent).encode(), NOW)
    assert [(event.kind, event.id, event.status) for event in found] == [
        ("request", "a-1", 200),
        ("response", "a-1", 503),
        ("request", "a-2", 200),
    ]
    assert [Event.unpack(event.pack()) for event in found] == found
    assert from_http(BATCH, b"[]", NOW) == []


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (b"{}", "the body is no list"),
        (b"[", "the body cannot be read"),
        (b"[[]]", "no object"),
        (json.dumps([structured("request", "a"), structured("request", "")]).encode(), "id is missing"),
    ],
)
def test_a_batch_with_something_that_is_no_event_is_refused(sent: bytes, problem: str) -> None:
    with pytest.raises(EventError, match=problem):
        from_http(BATCH, sent, NOW)


def test_the_content_type_of_a_prediction_is_its_clients_and_does_not_count() -> None:
    given = {**headers("request", "a-1"), "content-type": "application/cloudevents+json"}
    (found,) = from_http([(name.encode(), value.encode()) for name, value in given.items()], b"{}", NOW)
    assert found.id == "a-1"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"specversion": ""}, "specversion is missing, wanted 1.0"),
        ({"specversion": "0.3"}, "specversion is 0.3"),
        ({"id": ""}, "id is missing"),
        ({"id": "x" * 201}, "id has 201 characters, allowed are 200"),
        ({"id": "a\u202eb"}, "id has characters that cannot be printed"),
        ({"source": ""}, "source is missing"),
        ({"annotations": "x" * 9000}, "annotations has 9000 characters"),
        ({"status": "fine"}, "status is fine, wanted one of HTTP"),
        ({"status": "9" * 5000}, "status is 9999"),
        ({"status": "\u0662\u0660\u0660"}, "status is "),
    ],
)
def test_what_could_not_be_kept_is_refused_with_the_reason(change: dict[str, str], problem: str) -> None:
    with pytest.raises(EventError, match=problem):
        received(**change)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"specversion": "1.0", "data_base64": "?"}'])
def test_a_structured_event_that_is_none(body: bytes) -> None:
    with pytest.raises(EventError, match="CloudEvent"):
        from_http([(b"content-type", b"application/cloudevents+json")], body, NOW)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(EventError, match="header ce-id: wanted UTF-8"):
        from_http([(b"ce-specversion", b"1.0"), (b"ce-id", b"\xff")], b"", NOW)


@pytest.mark.parametrize(
    "said", ["", "yesterday", "2126-01-01T00:00:00Z", "0001-01-01T00:00:00+02:00", "1969-12-31T23:59:59Z"]
)
def test_a_time_that_cannot_be_is_when_it_was_received(said: str) -> None:
    assert received(time=said).at.timestamp() == NOW


def test_annotations_that_are_no_mapping_say_nothing() -> None:
    assert received(annotations="[1]").annotations == {}
    assert received(annotations="{").annotations == {}
