"""Models are fetched whole, from named schemes only, and never to somewhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from platform_runtime.storage import StorageError, Store, fetch, main


class FakeS3:
    """A server with one bucket."""

    def __init__(self, **objects: bytes) -> None:
        self.objects = objects

    def get_paginator(self, _name: str) -> FakeS3:
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803 (as boto3 has it)
        if Bucket != "models":
            raise KeyError(Bucket)
        keys = [key for key in self.objects if key.startswith(Prefix)]
        return [{"Contents": [{"Key": key}]} for key in keys] or [{}]

    def download_file(self, _bucket: str, key: str, target: str) -> None:
        Path(target).write_bytes(self.objects[key])

    def upload_file(self, source: str, _bucket: str, key: str) -> None:
        self.objects[key] = Path(source).read_bytes()


def store(**objects: bytes) -> Store:
    return Store(FakeS3(**objects), (KeyError,))


def test_all_files_below_the_prefix_arrive(tmp_path: Path) -> None:
    server = store(**{"a/m/MLmodel": b"x", "a/m/data/model.pkl": b"y", "a/m2/MLmodel": b"not mine"})
    assert fetch("s3://models/a/m", tmp_path, server) == 2
    assert (tmp_path / "data" / "model.pkl").read_bytes() == b"y"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("s3://models/nothing", "there are no objects"),
        ("s3://other/a", "other"),
        ("s3:///a", "wanted s3://<bucket>/<prefix>"),
        ("gs://models/a", "scheme gs is not one of mlflow, s3"),
        ("/models/a", r"scheme \(none\) is not one of"),
        ("mlflow://loan", "wanted mlflow://<model>/<version>"),
        ("mlflow://loan/latest", "wanted mlflow://<model>/<version>"),
    ],
)
def test_what_cannot_be_fetched_is_named_with_the_reason(tmp_path: Path, source: str, reason: str) -> None:
    with pytest.raises(StorageError, match=reason) as caught:
        fetch(source, tmp_path, store(**{"a/m/MLmodel": b"x"}))
    assert source in str(caught.value)


def test_nothing_is_written_outside_the_model(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    with pytest.raises(StorageError, match="outside the model"):
        fetch("s3://models/a", inside, store(**{"a/../../escaped": b"x"}))
    assert not (tmp_path / "escaped").exists()


def test_upload_keeps_the_folders(tmp_path: Path) -> None:
    (tmp_path / "step").mkdir()
    (tmp_path / "step" / "out").write_bytes(b"1")
    server = FakeS3()
    assert Store(server, ()).upload(tmp_path, "s3://models/run-1") == 1
    assert server.objects == {"run-1/step/out": b"1"}


def test_wrong_usage_and_failure_have_their_own_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["s3://models/a"]) == 2
    assert main(["ftp://models/a", str(tmp_path)]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "ftp://models/a: scheme ftp is not one of mlflow, s3"
