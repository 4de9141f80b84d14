"""Dashboards as one HTML file."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from components.grafana.dashboards.definition import Kind, Unit, above
from mlops.dash import plots
from mlops.dash.markup import tag, written
from mlops.dash.page import page
from tests.support.dash import PERIOD, panel, reading, readings

SERIES = {"x": [({"pod": "a"}, [1.0, 2.0, 3.0]), ({"pod": "b"}, [5.0, 5.0, 5.5])]}


class Seen(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def text() -> str:
    kinds = [panel(kind, title=f"Panel {kind}", thresholds=above(3, 5)) for kind in Kind]
    return page([readings(SERIES, *kinds)], PERIOD, "http://p")


def test_page_loads_nothing_and_runs_nothing(text: str) -> None:
    seen = Seen(text)
    assert not {name for name, _ in seen.tags} & {"script", "link", "img", "iframe"}
    assert not [key for _, attributes in seen.tags for key in attributes if key.startswith("on") or key == "src"]
    assert "url(" not in text
    assert "@import" not in text


def test_every_id_is_there_once_and_every_reference_leads_somewhere(text: str) -> None:
    seen = Seen(text)
    ids = [str(attributes["id"]) for _, attributes in seen.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    named = " ".join(str(attributes.get("aria-labelledby") or "") for _, attributes in seen.tags).split()
    linked = [str(attributes["href"]).removeprefix("#") for attributes in seen.all("a")]
    assert {*named, *linked} <= set(ids)


def test_plot_says_in_words_what_it_shows(text: str) -> None:
    seen = Seen(text)
    (plot,) = [attributes for attributes in seen.all("svg") if attributes.get("role") == "img"]
    assert plot["aria-labelledby"]
    assert "a: now 3, lowest 1, highest 3" in "".join(seen.words)


def test_what_is_only_drawn_is_hidden_from_readers(text: str) -> None:
    silent = [attributes for attributes in Seen(text).all("svg") if attributes.get("role") != "img"]
    assert silent
    assert all(attributes["aria-hidden"] == "true" for attributes in silent)


def test_level_is_said_in_a_word(text: str) -> None:
    assert "✖ bad" in "".join(Seen(text).words)
    assert "‼ look at it" in "".join(Seen(text).words)


def test_panel_has_its_sentence_and_its_query(text: str) -> None:
    words = "".join(Seen(text).words)
    assert "What it is." in words
    assert "Does it work?" in words


def test_labels_of_strangers_stay_text() -> None:
    hostile = "<script>alert('x')</script>&\""
    values = {"x": [({"pod": hostile}, [1.0])]}
    found = page([readings(values, *(panel(kind, title=kind.value) for kind in Kind))], PERIOD, hostile)
    seen = Seen(found)
    assert not seen.all("script")
    assert hostile in "".join(seen.words)


def test_page_of_nothing_says_so() -> None:
    seen = Seen(page([readings({}, panel())], PERIOD, "p"))
    assert not seen.all("polyline")
    assert "no data" in "".join(seen.words)


def svg(values: list[float | str], **fields: object) -> Seen:
    found = reading({"x": [({"pod": "a"}, values)]}, panel(**fields))
    return Seen(written(plots.lines(found, PERIOD, "n")))


def heights(seen: Seen) -> list[float]:
    (line,) = [attributes["points"] for attributes in seen.all("polyline")]
    return [float(point.partition(",")[2]) for point in str(line).split()]


def test_line_rises_with_its_values() -> None:
    found = heights(svg([1, 2, 4, 3]))
    assert found[0] > found[1] > found[3] > found[2]


def test_line_is_not_drawn_across_a_gap() -> None:
    seen = svg([1, 2, "gap", "gap", "gap", 3, 4])
    assert len(seen.all("polyline")) == 2


def test_single_point_is_a_dot() -> None:
    assert len(svg([5]).all("circle")) == 1


def test_noise_is_not_blown_up() -> None:
    found = heights(svg([100.0, 100.1, 99.9, 100.0]))
    assert max(found) - min(found) < 2


@pytest.mark.parametrize("values", [[0, 0], [-3, -3], [7, 7], [-1, 1], [1e-9, 2e-9], [1e15, 2e15]])
def test_every_range_has_a_scale(values: list[float | str]) -> None:
    seen = svg(values)
    assert all(0 <= height <= 220 for height in heights(seen))
    assert seen.all("text")


@pytest.mark.parametrize(("limit", "drawn"), [(3, ["limit warn"]), (900, [])])
def test_limit_is_drawn_when_it_is_near(limit: float, drawn: list[str]) -> None:
    classes = [str(attributes["class"]) for attributes in svg([1, 2], thresholds=above(limit)).all("line")]
    assert [each for each in classes if "limit" in each] == drawn


def test_ticks_of_sizes_are_round() -> None:
    seen = svg([1.2 * 2**30, 3.7 * 2**30], unit=Unit.BYTES)
    labels = [word for word in seen.words if word.endswith("GiB")]
    assert labels
    assert all(re.fullmatch(r"[\d.]{1,3} GiB", label) for label in labels)


def test_more_series_than_inks_are_told() -> None:
    found = reading({"x": [({"pod": f"p{number}"}, [number, number]) for number in range(11)]}, panel())
    seen = Seen(written(plots.lines(found, PERIOD, "n")))
    assert len(seen.all("polyline")) == plots.INKS
    assert "3 more series are not drawn" in "".join(seen.words)


def test_tag_escapes_and_leaves_out_none() -> None:
    found = written(tag("p", "a<b", tag("b", "&"), "c", class_="x", title=None, aria_label='"'))
    assert found == '<!doctype html>\n<p class="x" aria-label="&quot;">a&lt;b<b>&amp;</b>c</p>\n'
