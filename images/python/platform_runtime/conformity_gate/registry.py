"""The model registry over MLflow's REST API: its client library would take 200 MiB for these seven calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

__all__ = ["ModelVersion", "Registry", "RegistryError"]

PAGE = 200


class RegistryError(Exception):
    """The registry does not answer, or refuses."""


@dataclass(frozen=True)
class ModelVersion:
    """One version; the names are those of MLflow's client, which `deployment.resolve` takes as well."""

    version: str
    run_id: str
    tags: dict[str, str]


@dataclass(frozen=True)
class Model:
    """A registered model with all its versions."""

    name: str
    aliases: dict[str, str]
    versions: dict[str, ModelVersion]


class Registry:
    """MLflow at a URL."""

    def __init__(self, url: str, *, timeout: float = 15) -> None:
        self._client = httpx.Client(base_url=f"{url.rstrip('/')}/api/2.0/mlflow/", timeout=timeout)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def model(self, name: str) -> Model | None:
        """Return a model, None when nobody has registered it."""
        found = self._call("GET", "registered-models/get", {"name": name}, absent=True)
        if found is None:
            return None
        quote = '"' if "'" in name else "'"
        versions: dict[str, ModelVersion] = {}
        token = ""
        while True:
            asked = {"filter": f"name={quote}{name}{quote}", "max_results": PAGE, "page_token": token or None}
            page = self._call("GET", "model-versions/search", asked) or {}
            versions |= {str(item["version"]): _version(item) for item in page.get("model_versions", [])}
            token = page.get("next_page_token", "")
            if not token:
                break
        aliases = found["registered_model"].get("aliases", [])
        return Model(name, {item["alias"]: str(item["version"]) for item in aliases}, versions)

    def get_model_version(self, name: str, version: str) -> ModelVersion:
        """Return one version."""
        found = self._call("GET", "model-versions/get", {"name": name, "version": version}) or {}
        return _version(found["model_version"])

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        """Return where its artefacts are."""
        found = self._call("GET", "model-versions/get-download-uri", {"name": name, "version": version}) or {}
        return str(found["artifact_uri"])

    def tag(self, name: str, version: str, key: str, value: str) -> None:
        """Set a tag of a version."""
        self._call("POST", "model-versions/set-tag", {"name": name, "version": version, "key": key, "value": value})

    def alias(self, name: str, alias: str, version: str | None) -> None:
        """Move an alias; without a version nobody has it any more."""
        if version is None:
            self._call("DELETE", "registered-models/alias", {"name": name, "alias": alias}, absent=True)
        else:
            self._call("POST", "registered-models/alias", {"name": name, "alias": alias, "version": version})

    def _call(
        self, method: str, path: str, fields: Mapping[str, Any], *, absent: bool = False
    ) -> dict[str, Any] | None:
        told = {key: value for key, value in fields.items() if value is not None}
        given: dict[str, Any] = {"params": told} if method == "GET" else {"json": told}
        try:
            answer = self._client.request(method, path, **given)
        except httpx.HTTPError as error:
            msg = f"{path}: {type(error).__name__}: {error}"
            raise RegistryError(msg) from error
        if absent and "RESOURCE_DOES_NOT_EXIST" in answer.text:
            return None
        if answer.is_error:
            msg = f"{path}: HTTP {answer.status_code}: {answer.text[:200]}"
            raise RegistryError(msg)
        try:
            found: dict[str, Any] = answer.json()
        except ValueError as error:
            msg = f"{path}: the answer is no JSON: {answer.text[:100]}"
            raise RegistryError(msg) from error
        return found


def _version(item: dict[str, Any]) -> ModelVersion:
    return ModelVersion(
        version=str(item["version"]),
        run_id=str(item.get("run_id", "")),
        tags={tag["key"]: tag["value"] for tag in item.get("tags", [])},
    )
