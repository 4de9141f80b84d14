"""The arithmetic of how soon a violation is visible, and what is made for it."""

from __future__ import annotations

import math

import pytest

from benchmarks.violation import Configured, first, objects, seconds, spans


@pytest.mark.parametrize(
    ("text", "wanted"), [("10s", 10), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600), ("2d", 172800), ("0s", 0)]
)
def test_durations(text: str, wanted: float) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize("text", ["", "10", "s", "1 m", "1y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        seconds(text)


def test_the_first_sample_that_holds_since_then() -> None:
    samples = [(30.0, 1.0), (10.0, 1.0), (20.0, 0.0), (40.0, 1.0)]
    assert first(samples, 0, bool) == 10
    assert first(samples, 15, bool) == 30
    assert first(samples, 15, lambda value: value == 0.0) == 20
    assert first(samples, 41, bool) is None


def test_steps_add_up_to_the_last_instant() -> None:
    found = spans({"scraped": 12.0, "alert": 15.5, "told": None, "published": 20.0}, began=10.0)
    assert found == {"scraped": 2.0, "alert": 3.5, "published": 4.5}
    assert math.fsum(found.values()) == 10.0


def test_a_clock_that_is_behind_takes_nothing_from_the_steps_after() -> None:
    found = spans({"scraped": 12.0, "alert": 11.9, "published": 14.0}, began=10.0)
    assert found == {"scraped": 2.0, "alert": 0.0, "published": 2.0}


def test_one_scrape_one_evaluation_and_the_work_are_allowed() -> None:
    assert Configured(scrape=15, evaluation=10, wait=60, alert="a", group_wait=1, severities="info").allowed == 35


def test_all_that_is_made_is_in_one_namespace_which_is_made_first() -> None:
    (collection, namespace), *others = objects("image", 10)
    assert (collection, namespace["kind"]) == ("/api/v1/namespaces", "Namespace")
    name = namespace["metadata"]["name"]
    for path, manifest in others:
        assert f"/namespaces/{name}/" in path
        assert manifest["metadata"]["namespace"] == name
