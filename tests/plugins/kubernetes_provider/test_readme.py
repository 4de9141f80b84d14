"""The table in the provider's README is true: each row names a test that exists, against a real API server."""

from __future__ import annotations

import re
from pathlib import Path

import mlops.plugins.kubernetes_provider as provider

README = Path(provider.__file__).with_name("README.md").read_text()
ROWS = [row.split("|") for row in README.splitlines() if re.search(r"`test_\w+::test_\w+` \|$", row)]


def _tests() -> set[str]:
    return {
        f"{file.stem}::{name}"
        for file in Path(__file__).parent.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }


def test_each_row_names_a_test_and_no_test_is_named_twice() -> None:
    named = [row[-2].strip().strip("`") for row in ROWS]
    assert len(named) > 70
    assert not set(named) - _tests()
    assert len(set(named)) == len(named)


def test_each_row_says_what_the_official_one_and_ours_do() -> None:
    for row in ROWS:
        assert len(row) == 6, row
        assert all(cell.strip() for cell in row[1:-1]), row
