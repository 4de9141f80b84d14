"""Reading YAML and JSON: YAML 1.2's types, places, limits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cabc.document.base import Model
from cabc.document.model import Document
from cabc.document.problems import ProblemsError
from cabc.document.source import Limits, read
from pydantic import Field


class Anything(Model):
    """Takes one value of each plain type."""

    text: str | None = None
    number: float | None = None
    integer: int | None = None
    flag: bool | None = None
    items: list[str] = Field(default_factory=list)
    table: dict[str, str] = Field(default_factory=dict)


def said(text: str | bytes, limits: Limits = Limits()) -> list[str]:  # noqa: B008 (frozen)
    with pytest.raises(ProblemsError) as caught:
        read(Anything, text.encode() if isinstance(text, str) else text, "f", limits)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "word", ["yes", "no", "on", "off", "Yes", "NO", "2026-01-31", "12:30", "1_000", "0b1", "0x", "1e"]
)
def test_what_yaml_1_1_reads_as_something_else_is_text(word: str) -> None:
    assert read(Anything, f"text: {word}\n".encode(), "f").text == word


@pytest.mark.parametrize(("word", "value"), [("0o17", 15), ("0x1F", 31), ("017", 17), ("-3", -3), ("+3", 3)])
def test_integers_of_yaml_1_2(word: str, value: int) -> None:
    assert read(Anything, f"integer: {word}\n".encode(), "f").integer == value


@pytest.mark.parametrize(
    ("word", "value"), [("1.", 1.0), (".5", 0.5), ("1e3", 1000.0), ("-1.5E-3", -0.0015), ("7", 7.0)]
)
def test_numbers_of_yaml_1_2(word: str, value: float) -> None:
    assert read(Anything, f"number: {word}\n".encode(), "f").number == value


@pytest.mark.parametrize("word", ["~", "null", "Null", "NULL", ""])
def test_nothing(word: str) -> None:
    assert read(Anything, f"text: {word}\n".encode(), "f") == Anything()


@pytest.mark.parametrize("word", ["true", "True", "TRUE"])
def test_booleans(word: str) -> None:
    assert read(Anything, f"flag: {word}\n".encode(), "f").flag is True


@pytest.mark.parametrize("text", ['"3"', "'3'", "!!str 3", "|\n  3", "! 3"])
def test_marked_text_stays_text(text: str) -> None:
    assert (read(Anything, f"text: {text}\n".encode(), "f").text or "").strip() == "3"


def test_a_byte_order_mark_does_not_move_columns() -> None:
    assert said("\ufefftext: 1")[0].startswith("f:1:7: text: found 1")


def test_columns_count_characters_not_bytes() -> None:
    assert said('{"text": "äöü😀", "flag": 1}')[0].startswith("f:1:26: flag: found 1")


def test_snake_case_is_another_key() -> None:
    assert (
        said("conformity: 1\nText: a")[1]
        == "f:2:1: Text: found the key 'Text', wanted a known key; did you mean `text`?"
    )


def test_json_is_read_with_its_escapes() -> None:
    text = json.dumps({"text": "a/b\u2028😀", "table": {"é": "\\ud83d"}}).replace("/", "\\/")
    assert read(Anything, text.encode(), "f") == Anything(text="a/b\u2028😀", table={"é": "\\ud83d"})


def test_an_alias_repeats_a_value_and_a_mistake_in_it_is_told_where_it_stands() -> None:
    assert read(Anything, b"text: &a x\nitems: [*a, *a]\n", "f").items == ["x", "x"]
    assert said("table: &t {a: 1}\nitems: *t\n")[0].startswith("f:1:15: table.a: found 1, wanted text")


def test_no_error_quotes_invisible_characters() -> None:
    (problem,) = said('flag: "\\u202e\\x1b[31m\\u0000 x"')
    assert problem.isprintable()
    assert "\\u202e\\x1b[31m\\x00" in problem


def test_a_long_text_is_quoted_in_part() -> None:
    (problem,) = said(f"flag: {'x' * 50_000}")
    assert len(problem) < 200


def test_many_mistakes_are_told_up_to_a_number() -> None:
    problems = said("items: [" + "1, " * 2_000 + "]")
    assert len(problems) == 501
    assert problems[0] == "f:1:9: items[0]: found 1, wanted text; put it in quotation marks"
    assert problems[-1].endswith("found more mistakes, wanted none; correct these first")


def test_indexes_stay_right_in_large_files() -> None:
    problems = said("items:\n" + "- a\n" * 30_000 + "- 1\n" + "- a\n" * 10_000 + "- 2\n")
    assert [problem.split(": found")[0] for problem in problems] == [
        "f:30002:3: items[30000]",
        "f:40003:3: items[40001]",
    ]


def test_a_large_file_without_mistakes_is_read_whole() -> None:
    assert len(read(Anything, b"items:\n" + b"- a\n" * 50_000, "f").items) == 50_000


@pytest.mark.parametrize(
    ("text", "limits", "told"),
    [
        ("text: abc", Limits(size=5), "a file of 9 bytes"),
        ("items: [a, b, c]", Limits(nodes=5), "more than 5 values"),
        ("items: [[[[a]]]]", Limits(depth=3), "more than 3 levels"),
        ("table: {a: b, c: d, e: f}", Limits(keys=2), "more than 2 keys"),
        ("text: abcdef", Limits(scalar=5), "a text of 6 characters"),
        ("items: &a [x, x]\ntable: [*a, *a]", Limits(aliased=5), "aliases that add more than 5"),
        ("text: a", Limits(seconds=0), "more than 0 s"),
    ],
)
def test_limits(text: str, limits: Limits, told: str) -> None:
    assert told in said(text, limits)[-1]


HOSTILE = {
    "a billion laughs": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "brackets": "[" * 1_000_000,
    "braces": "{a: " * 1_000_000,
    "dashes": "- " * 1_000_000,
    "question marks": "? " * 1_000_000,
    "empty measurements": "conformitySpecification: {dimensions: [{requirements: [{metrics: [{measurements: ["
    + "{}, " * 400_000
    + "]}]}]}]}",
    "targets of nothing": "conformitySpecification: {dimensions: [{requirements: [{metrics: [{measurements: ["
    + "{target: null}, " * 150_000
    + "]}]}]}]}",
    "wrong risks": "conformitySpecification: {risks: [" + "0, " * 480_000 + "]}",
    "keys": "".join(f"k{number}: 1\n" for number in range(300_000)),
    "anchors": "source:\n" + "".join(f"- &a{number} x\n" for number in range(240_000)),
    "one long text": "a: " + "x" * 4_900_000,
    "one long number": "a: " + "9" * 4_900_000,
    "documents": "---\n" * 1_000_000,
    "emoji": '{"a": "' + "\\ud83d\\ude00" * 400_000 + '"}',
    "quotes": "a: '" + "''" * 2_000_000,
}
CHILD = """
import sys
from cabc.document.model import Document
from cabc.document.problems import ProblemsError
from cabc.document.source import read
text = sys.stdin.buffer.read()
try:
    read(Document, text, "f")
except ProblemsError as error:
    # Not getrusage: its maximum counts what the parent had when it forked.
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(len(error.problems), int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.parametrize("name", HOSTILE)
def test_no_document_costs_more_than_256_mb(name: str, tmp_path: Path) -> None:
    file = tmp_path / "hostile.yaml"
    file.write_text(HOSTILE[name])
    with file.open("rb") as text:
        done = subprocess.run(
            [sys.executable, "-c", CHILD], stdin=text, capture_output=True, text=True, timeout=120, check=True
        )
    problems, megabytes = map(int, done.stdout.split())
    assert 1 <= problems <= 1_001
    assert megabytes < 256
    assert not done.stderr


def test_a_file_in_python_objects_builds_none() -> None:
    (problem,) = said("text: !!python/object/apply:os.system [echo]")
    assert "wanted plain data" in problem


def test_the_document_itself_is_left_out_of_keys() -> None:
    with pytest.raises(ProblemsError) as caught:
        read(Document, b"conformitySpecification: {version: a}", "f")
    assert {problem.key for problem in caught.value.problems} == {"id", "version", "mode", "subject"}
