"""From bytes to a value: one test for every typing trap."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cabc.document.interfaces import RestInterface
from cabc.interfaces.base import ExtractError, Value
from cabc.interfaces.extraction import extract
from hypothesis import given
from hypothesis import strategies as st

from tests.support.retrieval import spec

JSON = "application/json"


def read(body: bytes | str | object, media_type: str = JSON, **keys: Any) -> Value:
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return extract(spec(RestInterface, kind="rest", connection="x", path="/", **keys), raw, media_type)


def typed(value: Value) -> tuple[str, Value]:
    return type(value).__name__, value


# What a value is.


@pytest.mark.parametrize("value", [True, False, 0, 7, -1.5, "text", "", [1, 2], ["a"], [], [True]])
def test_json_keeps_its_types(value: Value) -> None:
    assert typed(read({"v": value}, pointer="/v")) == typed(value)


@pytest.mark.parametrize(("value", "kind"), [(None, "null"), ({}, "object"), ([None], "null"), ([[{}]], "object")])
def test_null_and_objects_are_no_values(value: object, kind: str) -> None:
    with pytest.raises(ExtractError, match=kind):
        read({"v": value}, pointer="/v")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "[1, NaN]"])
def test_numbers_that_are_not_finite_are_errors(text: str) -> None:
    with pytest.raises(ExtractError, match="finite"):
        read(text)


def test_text_is_never_a_number_without_a_cast() -> None:
    assert typed(read({"v": "0.9"}, pointer="/v")) == ("str", "0.9")
    assert typed(read({"v": "0.9"}, pointer="/v", cast="numeric")) == ("float", 0.9)


@pytest.mark.parametrize(
    ("text", "number"), [("7", 7), (" 7\n", 7), ("-0.5", -0.5), ("1e3", 1000.0), ("+.5", 0.5), ("007", 7), ("1.", 1.0)]
)
def test_cast_reads_plain_numbers(text: str, number: float) -> None:
    assert typed(read({"v": text}, pointer="/v", cast="numeric")) == typed(number)


@pytest.mark.parametrize(
    "text", ["", " ", "nan", "inf", "1_000", "0x10", "1,5", "1 000", "٣", "1e9999", "12:30", "true", "1e", "--1", "½"]
)
def test_cast_does_not_guess_numbers(text: str) -> None:
    with pytest.raises(ExtractError, match="number"):
        read({"v": text}, pointer="/v", cast="numeric")


@pytest.mark.parametrize("value", [True, None, {}])
def test_cast_makes_no_number_of_other_things(value: object) -> None:
    with pytest.raises(ExtractError):
        read({"v": value}, pointer="/v", cast="numeric")


@pytest.mark.parametrize(("value", "wanted"), [("true", True), ("False", False), (" TRUE ", True), (True, True)])
def test_cast_reads_booleans(value: object, wanted: bool) -> None:  # noqa: FBT001 (a case)
    assert read({"v": value}, pointer="/v", cast="boolean") is wanted


@pytest.mark.parametrize("value", ["yes", "no", "1", "on", "", 1, 0, None])
def test_cast_does_not_guess_booleans(value: object) -> None:
    with pytest.raises(ExtractError):
        read({"v": value}, pointer="/v", cast="boolean")


@pytest.mark.parametrize(("value", "wanted"), [(1, "1"), (0.5, "0.5"), (True, "true"), ("x", "x")])
def test_cast_writes_text(value: object, wanted: str) -> None:
    assert read({"v": value}, pointer="/v", cast="string") == wanted


def test_cast_reaches_into_lists() -> None:
    assert read({"v": ["1", "2.5"]}, pointer="/v", cast="numeric") == [1, 2.5]


# Where it is.


def test_pointer_follows_rfc_6901() -> None:
    document = {"a/b": {"m~n": [10, 20]}, "": 1, "0": "zero"}
    assert read(document, pointer="/a~1b/m~0n/1") == 20
    assert read(document, pointer="/") == 1
    assert read(document, pointer="/0") == "zero"
    assert read(5, pointer="") == 5


@pytest.mark.parametrize(
    "pointer", ["/a/-1", "/a/01", "/a/2", "/a/-", "/a/ 1", "/a/1.0", "/b", "/a/0/x", "/#a", "/s/0", "a", "/a/\u0660"]
)
def test_pointer_is_nothing_beyond_rfc_6901(pointer: str) -> None:
    with pytest.raises(ExtractError):
        read({"a": [1, 2], "s": "text"}, pointer=pointer)


def test_jsonpath_selects_one_node_or_says_how_many() -> None:
    document = {"items": [{"n": "a", "v": 1}, {"n": "b", "v": 2}]}
    assert read(document, jsonpath="$.items[?@.n == 'b'].v") == 2
    with pytest.raises(ExtractError, match="2 values"):
        read(document, jsonpath="$.items[*].v")
    with pytest.raises(ExtractError, match="nothing"):
        read(document, jsonpath="$.nothing")


def test_a_list_that_one_path_selects_is_one_value() -> None:
    assert read({"v": [1, 2]}, jsonpath="$.v") == [1, 2]


@pytest.mark.parametrize("path", ["items", "$.items[", "$.a[?match(@.b, '(')]", "$ .a", "$.a[?@.b =~ /x/]"])
def test_a_wrong_jsonpath_is_an_error_and_not_a_crash(path: str) -> None:
    with pytest.raises(ExtractError):
        read({"items": 1, "a": [{"b": "x"}]}, jsonpath=path)


def test_jsonpath_functions_use_linear_patterns() -> None:
    document = {"a": [{"n": "v1.2", "x": 1}, {"n": "other", "x": 2}]}
    assert read(document, jsonpath="$.a[?match(@.n, 'v[0-9.]+')].x") == 1
    assert read(document, jsonpath="$.a[?search(@.n, 'the')].x") == 2


def test_regex_needs_one_group_and_one_match() -> None:
    text = b"model version: v3\nother"
    assert read(text, "text/plain", regex=r"model version: (\S+)") == "v3"
    for pattern in (r"model version: \S+", r"(model) (version)"):
        with pytest.raises(ExtractError, match="group"):
            read(text, "text/plain", regex=pattern)
    with pytest.raises(ExtractError, match="2 values"):
        read(b"a=1 a=2", "text/plain", regex=r"a=(\d)")
    with pytest.raises(ExtractError, match="nothing"):
        read(text, "text/plain", regex="(nothing)")


def test_only_one_way_to_select() -> None:
    with pytest.raises(ExtractError, match="pointer and regex"):
        read({}, pointer="", regex="(a)")


def test_a_pointer_needs_a_structured_answer() -> None:
    with pytest.raises(ExtractError, match="text/html"):
        read(b"{}", "text/html", pointer="")


# How several become one.


@pytest.mark.parametrize(
    ("how", "wanted"), [("min", 1), ("max", 3), ("sum", 6), ("mean", 2), ("count", 3), ("first", 2), ("last", 3)]
)
def test_reduce(how: str, wanted: float) -> None:
    assert read([2, 1, 3], jsonpath="$[*]", reduce=how) == wanted
    assert read({"v": [2, 1, 3]}, pointer="/v", reduce=how) == wanted


def test_of_nothing_there_is_only_a_number() -> None:
    assert read([], jsonpath="$[*]", reduce="count") == 0
    for how in ("min", "max", "sum", "mean", "first", "last"):
        with pytest.raises(ExtractError, match="nothing"):
            read([], jsonpath="$[*]", reduce=how)


@pytest.mark.parametrize("items", [["1", "2"], [True, 1], [None, 1], [{}, 1]])
def test_arithmetic_takes_numbers_only(items: list[object]) -> None:
    with pytest.raises(ExtractError):
        read(items, jsonpath="$[*]", reduce="sum")


def test_arithmetic_that_overflows_is_an_error() -> None:
    with pytest.raises(ExtractError):
        read([1.7e308, 1.7e308], jsonpath="$[*]", reduce="sum")
    with pytest.raises(ExtractError):
        read(f"[{'9' * 400}, 0.5]", jsonpath="$[*]", reduce="mean")


def test_a_sum_is_exact() -> None:
    assert read([0.1] * 10, jsonpath="$[*]", reduce="sum") == 1.0


# JSON and YAML of others.


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '[{"x": {"b": 0, "b": 1}}]', "a: 1\na: 2\n"])
def test_a_name_that_stands_twice_is_refused(text: str) -> None:
    with pytest.raises(ExtractError, match="twice"):
        read(text, "application/yaml" if text.startswith("a:") else JSON, pointer="/a")


@pytest.mark.parametrize("text", ["", "{", "nul", "{'a': 1}", "1 2", "\ufeff", "[1,]", "9" * 5000])
def test_what_is_no_json_is_an_error(text: str) -> None:
    with pytest.raises(ExtractError):
        read(text)


def test_a_byte_order_mark_is_no_part_of_the_answer() -> None:
    assert read("\ufeff7") == 7


def test_bytes_that_are_no_text_are_an_error() -> None:
    for media_type in (JSON, "text/plain", "application/yaml"):
        with pytest.raises(ExtractError, match="UTF-8"):
            read(b"\xff\xfe1", media_type)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("v: no", "no"),
        ("v: on", "on"),
        ("v: 12:30", "12:30"),
        ("v: 2026-01-01", "2026-01-01"),
        ("v: 0o17", "0o17"),
        ("v: 1_000", "1_000"),
        ("v: 010", 10),
        ("v: 1.5e-3", 0.0015),
        ("v: true", True),
        ("v: '7'", "7"),
        ("v: 1.0", 1.0),
    ],
)
def test_yaml_is_read_by_the_core_schema(text: str, wanted: Value) -> None:
    assert typed(read(text, "application/yaml", pointer="/v")) == typed(wanted)


@pytest.mark.parametrize("text", ["v: .nan", "v: -.inf", "v: ~", "v:", "v: {a: 1}", "v: !!python/object:os.system {}"])
def test_yaml_that_is_no_value(text: str) -> None:
    with pytest.raises(ExtractError):
        read(text, "application/yaml", pointer="/v")


def test_text_as_a_whole() -> None:
    assert read(b" conformant \n", "text/plain") == "conformant"
    assert read(b"0.93\n", "text/plain", cast="numeric") == 0.93


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


@given(JSONS, st.text(max_size=12), st.sampled_from([None, "numeric", "boolean", "string"]))
def test_whatever_comes_is_a_value_or_an_error(document: object, pointer: str, cast: str | None) -> None:
    for keys in ({"pointer": pointer}, {"jsonpath": f"${pointer}"}, {"regex": pointer}, {}):
        try:
            found = read(document, cast=cast, **keys)
        except ExtractError:
            continue
        assert isinstance(found, bool | int | float | str | list)


@given(st.binary(max_size=200), st.sampled_from([JSON, "application/yaml", "text/plain"]))
def test_whatever_bytes_come_are_a_value_or_an_error(body: bytes, media_type: str) -> None:
    try:
        read(body, media_type)
    except ExtractError:
        return
