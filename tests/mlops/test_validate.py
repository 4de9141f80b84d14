"""What `mlops validate` says of broken order forms: one line each, with the place and the fix."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components._core import paths
from mlops import validate
from tests.support.house import HOUSE

DATA = paths.CHECKOUT / "tests" / "data" / "order_forms"
FORMS = sorted(DATA.glob("Pulumi.*.yaml"))
EXPECTED = DATA / "expected.txt"


@functools.cache
def findings(form: Path) -> list[str]:
    return [str(finding) for finding in validate.check(form, HOUSE)]


def lines() -> str:
    found = []
    for form in FORMS:
        found += [line.replace(str(DATA), "").lstrip("/") for line in findings(form)] or [f"{form.name}: good"]
    return "".join(f"{line.replace('tests/data/order_forms/', '')}\n" for line in found)


def test_lines_are_the_expected_ones(*, update_test_data: bool) -> None:
    found = lines()
    if update_test_data:
        EXPECTED.write_text(found)
    assert found == EXPECTED.read_text()


def test_at_least_twenty_forms_are_broken() -> None:
    assert sum(bool(findings(form)) for form in FORMS) >= 20


@pytest.mark.parametrize("form", validate.files(), ids=lambda form: form.name)
def test_the_forms_of_the_project_are_good(form: Path) -> None:
    assert validate.check(form) == []


def test_no_file(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.local.yaml").touch()
    (finding,) = validate.check(tmp_path / "Pulumi.lokal.yaml", HOUSE)
    assert finding.found == "no such file"
    assert "Pulumi.local.yaml" in finding.fix


def test_a_folder(tmp_path: Path) -> None:
    (finding,) = validate.check(tmp_path, HOUSE)
    assert finding.found == "a folder"


def test_a_device_is_not_read() -> None:
    (finding,) = validate.check(Path("/dev/zero"), HOUSE)
    assert finding.found == "no regular file"


def test_a_huge_file_is_not_parsed(tmp_path: Path) -> None:
    form = tmp_path / "Pulumi.big.yaml"
    form.write_text("a: b\n" * 200_000)
    (finding,) = validate.check(form, HOUSE)
    assert "KiB" in finding.found


def test_deep_nesting_is_refused_where_it_gets_too_deep(tmp_path: Path) -> None:
    form = tmp_path / "Pulumi.deep.yaml"
    form.write_text("[" * 5000)
    (finding,) = validate.check(form, HOUSE)
    assert (finding.line, finding.found) == (1, "more than 40 levels")


@pytest.mark.parametrize("name", ["Pulumi..yaml", f"Pulumi.{'x' * 101}.yaml", "order.yaml", "Pulumi.a b.yaml"])
def test_a_name_that_pulumi_refuses(tmp_path: Path, name: str) -> None:
    form = tmp_path / name
    form.write_text("config: {oss-mlops-platform:components: {kindCluster: {}}}\n")
    (finding,) = validate.check(form, HOUSE)
    assert finding.fix.startswith("rename it to Pulumi.")


@settings(max_examples=200, deadline=None)
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_no_content_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    form = tmp_path_factory.mktemp("any") / "Pulumi.any.yaml"
    form.write_bytes(content)
    for finding in validate.check(form, HOUSE):
        assert finding.line >= 1
        assert finding.column >= 1
        assert "\n" not in str(finding)
