"""The files of a model in MLflow, read through its server, whatever store they are in."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from cabc.interfaces.base import ExtractError, RetrieveError
from cabc.interfaces.connections import MlflowConnection
from cabc.interfaces.guarded import ANY, GuardedClient
from cabc.interfaces.structured import parse_json

__all__ = ["Store", "store_of"]

_SECONDS = 600.0
_FILES = 10_000
_LOGGED = re.compile(r"models:/(m-[0-9a-f]{32})")
_PROXIED = re.compile(r"mlflow-artifacts:(?://[^/]*)?/(.+)")
_NAME = re.compile(r"(?!\.{1,2}(?:/|$))[^/\\\x00-\x1f]{1,255}")


@dataclass(frozen=True)
class Store:
    """Where the server lists and gives files: addresses and the names of their parameters."""

    client: GuardedClient
    connection: MlflowConnection
    listing: str
    prefix: str
    """Path of the model inside the store."""
    list_key: str
    download: str
    file_key: str | None
    """Query parameter with the file's path; None when the path is part of the address."""
    fixed: dict[str, str] = field(default_factory=dict)
    """Parameters of both."""
    fixed_download: dict[str, str] = field(default_factory=dict)
    relative: bool = False
    """Whether listings give names inside the listed folder rather than paths inside the store."""

    async def files(self) -> list[tuple[str, int]]:
        """Return every file below the model's folder: path inside the model, and size."""
        found: list[tuple[str, int]] = []
        folders = [""]
        while folders:
            folder = folders.pop()
            for item in await self._list(folder):
                name = self._inside(str(item["path"]), folder)
                if item.get("is_dir"):
                    folders.append(name)
                else:
                    found.append((name, int(item.get("file_size") or 0)))
            if len(found) + len(folders) > _FILES:
                msg = f"the model has more than {_FILES} files"
                raise RetrieveError(msg)
        return found

    async def _list(self, folder: str) -> list[dict[str, Any]]:
        place = "/".join(part for part in (self.prefix, folder) if part)
        query = {**self.fixed, **({self.list_key: place} if place else {})}
        answer = await self.client.get(self.connection, self.listing, query=query)
        try:
            document = parse_json(answer.body)
        except ExtractError as error:
            raise RetrieveError(str(error)) from error
        if document.get("next_page_token"):
            msg = "the model's folder has more files than MLflow lists at once"
            raise RetrieveError(msg)
        files: list[dict[str, Any]] = document.get("files", [])
        return files

    def _inside(self, path: str, folder: str) -> str:
        """Return the path inside the model; a listing may not name anything outside the folder it lists."""
        name = path
        if not self.relative:
            start = f"{self.prefix}/" if self.prefix else ""
            name = path[len(start) :] if path.startswith(start) else ""
        elif folder:
            name = f"{folder}/{path}"
        parent, _, last = name.rpartition("/")
        if parent != folder or not _NAME.fullmatch(last):
            msg = "MLflow lists a file outside the model's folder"
            raise RetrieveError(msg)
        return name

    def open(self, path: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Give the chunks of a file."""
        return self._open("/".join(part for part in (self.prefix, path) if part))

    @asynccontextmanager
    async def _open(self, place: str) -> AsyncIterator[AsyncIterator[bytes]]:
        address, query = self.download, {**self.fixed, **self.fixed_download}
        if self.file_key is None:
            address = f"{address}/{quote(place)}"
        else:
            query[self.file_key] = place
        async with self.client.open(self.connection, address, query=query or None, accept=ANY, seconds=_SECONDS) as (
            _,
            chunks,
        ):
            yield chunks


def store_of(client: GuardedClient, connection: MlflowConnection, *, place: str, source: str, run: str) -> Store:
    """Return how to read a model version's files: by the artifact proxy, as a logged model, or as a run's artifacts."""
    if proxied := _PROXIED.fullmatch(place):
        base = "/api/2.0/mlflow-artifacts/artifacts"
        prefix = proxied[1].strip("/")
        return Store(client, connection, base, prefix, "path", base, None, relative=True)
    if logged := _LOGGED.fullmatch(source):
        base = f"logged-models/{logged[1]}/artifacts"
        listing, download = f"/api/2.0/mlflow/{base}/directories", f"/ajax-api/2.0/mlflow/{base}/files"
        return Store(client, connection, listing, "", "artifact_directory_path", download, "artifact_file_path")
    inside = re.search(rf"/{re.escape(run)}/artifacts/(.+)$", place) if run else None
    if inside is None:
        msg = "the model's files cannot be read through MLflow; serve them with `--serve-artifacts`"
        raise RetrieveError(msg)
    prefix = inside[1].strip("/")
    return Store(
        client,
        connection,
        "/api/2.0/mlflow/artifacts/list",
        prefix,
        "path",
        "/get-artifact",
        "path",
        {"run_id": run},
        {"run_uuid": run},
    )
