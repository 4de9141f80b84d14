"""Documents with mistakes: every one is told once, at its line and column, with what to write instead.

Beside each document stands what is said about it; `pytest --update-test-data tests/auditor/loading` writes it anew, to
be read before it is committed.
"""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from cabc.document.problems import ProblemsError
from cabc.loading import load

WORD = re.compile(r"(the key |a second )?'([\w .-]+)'")
"""What was found, when it is a plain word."""
FOLDER = Path(__file__).parents[1] / "data" / "broken"
PLUGINS = "".join(f", {point.load().kind}" for point in entry_points(group="cabc.interfaces"))
"""Kinds that a message lists after the core's: a document's model is made once in a process, with every plugin that is
installed beside the auditor."""
DOCUMENTS = sorted(path for path in FOLDER.iterdir() if path.suffix in (".yaml", ".json"))


def problems(path: Path) -> ProblemsError:
    with pytest.raises(ProblemsError) as caught:
        load(path)
    return caught.value


def test_there_are_at_least_thirty() -> None:
    assert len(DOCUMENTS) >= 30


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_mistake_is_told(path: Path, request: pytest.FixtureRequest) -> None:
    told = "".join(f"{problem}\n" for problem in problems(path).problems).replace(f"{path.parent}/", "")
    told = told.replace(f", assessor{PLUGINS}; ", ", assessor; ")
    expected = path.with_name(f"{path.name}.problems")
    if request.config.getoption("--update-test-data"):
        expected.write_text(told)
    assert told == expected.read_text()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_place_is_a_place_in_the_file(path: Path) -> None:
    for problem in problems(path).problems:
        lines = Path(problem.file).read_bytes().decode(errors="replace").split("\n")
        line = lines[problem.line - 1]
        assert 1 <= problem.column <= len(line) + 1
        if word := WORD.match(problem.found):
            there = re.sub(r"^(!!\w+ )?[\"']?", "", line[problem.column - 1 :])
            assert there.startswith(word[2])


def test_twenty_mistakes_give_twenty_problems() -> None:
    assert len(problems(FOLDER / "twenty.yaml").problems) == 20


def test_a_nested_document_is_named_as_the_file_of_its_mistakes() -> None:
    (problem,) = problems(FOLDER / "nested-with-mistake.yaml").problems
    assert problem.file == str(FOLDER / "nested-part" / "part.yaml")
