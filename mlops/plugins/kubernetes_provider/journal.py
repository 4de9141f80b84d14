"""Remember creations until the engine has certainly stored them, so that a killed run is continued and not orphaned.

A killed engine may leave an object that no state knows. Its next run creates the same resource again, and the API
server answers AlreadyExists (or, for an autonamed object, a second one appears). An entry here, written before the
request and dropped when the plugin ends in order, is the proof that such an object is ours: same URN, same API
server, created after the entry was written. Without an entry an existing object is never touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mlops.plugins.kubernetes_provider.objects import dig, kind_of, name_of, namespace_of

__all__ = ["Journal", "default_folder"]

_SKEW = timedelta(seconds=2)
"""By how much the clock of the API server may be behind ours."""


def default_folder() -> Path:
    """Return where entries are kept: in Pulumi's own folder."""
    return Path(os.environ.get("PULUMI_HOME") or Path("~/.pulumi").expanduser()) / "kubernetes-creations"


class Journal:
    """The creations of this process and of those that were killed."""

    def __init__(self, folder: Path, cluster: str) -> None:
        self._folder = folder
        self._cluster = cluster
        self._written: set[str] = set()
        self._lock = threading.Lock()

    def _file(self, urn: str) -> Path:
        return self._folder / f"{hashlib.sha256(f'{self._cluster} {urn}'.encode()).hexdigest()[:32]}.json"

    def begin(self, urn: str, obj: dict[str, Any]) -> None:
        """Write down that the object is about to be created."""
        entry = {
            "urn": urn,
            "kind": list(kind_of(obj)),
            "namespace": namespace_of(obj),
            "name": name_of(obj),
            "at": datetime.now(UTC).isoformat(),
        }
        with suppress(OSError):  # a folder that cannot be written costs this comfort, not the update
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._folder)
            with os.fdopen(handle, "w") as file:
                json.dump(entry, file)
            Path(temporary).replace(self._file(urn))

    def failed(self, urn: str) -> None:
        """Strike the entry of a creation that came to nothing."""
        with suppress(OSError):
            self._file(urn).unlink(missing_ok=True)

    def done(self, urn: str) -> None:
        """Note that the engine was told of the object; it may still be killed before it stores that."""
        with self._lock:
            self._written.add(urn)

    def stored(self, urn: str, name: str) -> None:
        """Strike an entry for which the engine's state has the object."""
        entry = self._read(urn)
        if entry is not None and entry.get("name") == name and urn not in self._written:
            self.failed(urn)

    def close(self) -> None:
        """Strike the entries of this process: the engine ends plugins after it has stored everything."""
        with self._lock:
            done, self._written = self._written, set()
        for urn in done:
            self.failed(urn)

    def _read(self, urn: str) -> dict[str, Any] | None:
        try:
            entry = json.loads(self._file(urn).read_text())
        except (OSError, ValueError):
            return None
        return entry if isinstance(entry, dict) and entry.get("urn") == urn else None

    def name(self, urn: str) -> str:
        """Return the name an interrupted creation of the resource used, or an empty string."""
        with self._lock:
            if urn in self._written:
                return ""
        return str((self._read(urn) or {}).get("name", ""))

    def began(self, urn: str, live: dict[str, Any]) -> bool:
        """Say whether an existing object is the one an interrupted creation of this resource made."""
        entry = self._read(urn)
        if entry is None or entry["kind"] != list(kind_of(live)):
            return False
        if (entry["namespace"], entry["name"]) != (namespace_of(live), name_of(live)):
            return False
        created = dig(live, "metadata", "creationTimestamp", default="")
        try:
            return datetime.fromisoformat(created) >= datetime.fromisoformat(entry["at"]) - _SKEW
        except ValueError:
            return False
