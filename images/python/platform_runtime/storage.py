"""Fetch a model: `python -m platform_runtime.storage <source> <destination>`, KServe's storage initializer.

Sources: `s3://<bucket>/<prefix>`, which needs nothing but the object store, and `mlflow://<model>/<version>` or
`mlflow://<model>@<alias>`, which asks the registry at MLFLOW_TRACKING_URI.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["StorageError", "Store", "fetch", "main"]

_REGISTERED = re.compile(r"^mlflow://(?P<name>[^/@]+)(?:/(?P<version>[0-9]+)|@(?P<alias>[^/@]+))$")


class StorageError(Exception):
    """The model cannot be fetched. The text names source and reason."""


def fetch(source: str, destination: Path, store: Store | None = None) -> int:
    """Copy the artefacts of `source` into `destination`; return the number of files."""
    scheme = urlsplit(source).scheme
    if scheme not in {"mlflow", "s3"}:
        msg = f"{source}: scheme {scheme or '(none)'} is not one of mlflow, s3"
        raise StorageError(msg)
    destination.mkdir(parents=True, exist_ok=True)
    if scheme == "s3":
        (store or Store()).download(source, destination)
    else:
        _from_registry(source, destination)
    return sum(1 for path in destination.rglob("*") if path.is_file())


class Store:
    """An S3 server; without arguments the one that the AWS_* variables name."""

    def __init__(self, client: Any = None, errors: tuple[type[Exception], ...] = ()) -> None:
        if client is None:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError

            # Path-style and signature v4 are what every S3 server understands; checksum trailers are not.
            config = Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                retries={"max_attempts": 5, "mode": "standard"},
                connect_timeout=5,
                read_timeout=30,
                max_pool_connections=8,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            )
            client, errors = boto3.client("s3", config=config), (BotoCoreError, ClientError)
        self._client = client
        self._errors = errors

    def download(self, source: str, destination: Path) -> None:
        """Copy all objects below `source` (`s3://<bucket>/<prefix>`)."""
        bucket, prefix = _split(source)
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=f"{prefix}/" if prefix else ""
            )
            keys = [item["Key"] for page in pages for item in page.get("Contents", []) if not item["Key"].endswith("/")]
            if not keys:
                msg = f"{source}: there are no objects"
                raise StorageError(msg)
            targets = {key: _target(destination, key.removeprefix(prefix).lstrip("/"), source) for key in keys}

            def get(key: str) -> None:
                targets[key].parent.mkdir(parents=True, exist_ok=True)
                self._client.download_file(bucket, key, str(targets[key]))

            with ThreadPoolExecutor(max_workers=8) as pool:
                list(pool.map(get, keys))
        except self._errors as error:
            msg = f"{source}: {error}"
            raise StorageError(msg) from error

    def upload(self, folder: Path, target: str) -> int:
        """Copy the files of `folder` below `target`; return their number."""
        bucket, prefix = _split(target)
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        try:
            for file in files:
                key = "/".join(part for part in (prefix, file.relative_to(folder).as_posix()) if part)
                self._client.upload_file(str(file), bucket, key)
        except self._errors as error:
            msg = f"{target}: {error}"
            raise StorageError(msg) from error
        return len(files)


def _from_registry(source: str, destination: Path) -> None:
    found = _REGISTERED.match(source)
    if not found:
        msg = f"{source}: wanted mlflow://<model>/<version> or mlflow://<model>@<alias>"
        raise StorageError(msg)
    name, version, alias = found["name"], found["version"], found["alias"]
    with tempfile.TemporaryDirectory(dir=destination, prefix=".") as scratch:
        # The file system is read-only but for the destination, and MLflow wants a home and a place for its copy.
        os.environ.update(HOME=scratch, MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false")
        tempfile.tempdir = scratch
        import mlflow

        mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
        model = f"models:/{name}/{version}" if version else f"models:/{name}@{alias}"
        try:
            copy = Path(mlflow.artifacts.download_artifacts(model, dst_path=str(Path(scratch, "model"))))
        except Exception as error:
            msg = f"{source}: {error}"
            raise StorageError(msg) from error
        for item in copy.iterdir():
            shutil.move(str(item), destination / item.name)
        tempfile.tempdir = None


def _split(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    if parts.scheme != "s3" or not parts.netloc:
        msg = f"{address}: wanted s3://<bucket>/<prefix>"
        raise StorageError(msg)
    return parts.netloc, parts.path.strip("/")


def _target(destination: Path, name: str, source: str) -> Path:
    target = destination / name
    if not target.resolve().is_relative_to(destination.resolve()):
        msg = f"{source}: object {name} would be written outside the model"
        raise StorageError(msg)
    return target


def main(arguments: Sequence[str]) -> int:
    """Fetch every pair of source and destination; return the exit code."""
    if not arguments or len(arguments) % 2:
        print("usage: python -m platform_runtime.storage <source> <destination> …", file=sys.stderr)
        return 2
    for source, destination in zip(arguments[::2], arguments[1::2], strict=True):
        started = time.monotonic()
        try:
            number = fetch(source, Path(destination))
        except StorageError as error:
            # Kubernetes shows the last lines of the log as the container's message.
            print(error, file=sys.stderr)
            return 1
        print(f"{source}: {number} files in {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
