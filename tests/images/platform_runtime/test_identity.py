"""A served model is named by its own files; annotations count only when they name the same run."""

from __future__ import annotations

from pathlib import Path

import pytest
from platform_runtime.identity import ANNOTATION, digest, identify

from components.kserve import runtime
from mlops.loop import serving


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "MLmodel").write_text("run_id: r1\nmodel_id: m-1\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "model.pkl").write_bytes(b"abc")
    return tmp_path


def test_annotations_of_the_same_run_give_name_and_version(model: Path) -> None:
    found = identify(model, {"MODEL_NAME": "loan", "MODEL_VERSION": "3", "MODEL_RUN_ID": "r1"})
    assert (found.name, found.version, found.run_id) == ("loan", "3", "r1")


def test_annotations_of_another_run_are_not_believed(model: Path) -> None:
    found = identify(model, {"MODEL_NAME": "loan", "MODEL_VERSION": "4", "MODEL_RUN_ID": "r2"})
    assert (found.name, found.version, found.run_id) == ("", "", "r1")


def test_a_copy_from_the_registry_says_its_version(model: Path) -> None:
    before = digest(model)
    (model / "registered_model_meta").write_text("model_name: loan\nmodel_version: '7'\n")
    found = identify(model, {})
    assert (found.name, found.version) == ("loan", "7")
    assert found.digest == before


@pytest.mark.parametrize("change", ["content", "name", "more"])
def test_digest_changes_with_the_files(model: Path, change: str) -> None:
    before = digest(model)
    file = model / "data" / "model.pkl"
    if change == "content":
        file.write_bytes(b"abd")
    elif change == "name":
        file.rename(file.with_name("other.pkl"))
    else:
        (model / "extra").write_bytes(b"")
    assert digest(model) != before


def test_everybody_means_the_same_annotations() -> None:
    assert {key.partition("/")[0] for key in runtime.ANNOTATIONS.values()} == {ANNOTATION} == {serving.ANNOTATION}
