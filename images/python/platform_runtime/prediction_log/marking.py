"""Sensitive columns: dropped or hashed before anything is stored, by rules that the platform engineer writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from platform_runtime.prediction_log.canonical import canonical, keyed
from platform_runtime.prediction_log.settings import Rules

__all__ = ["HASHED", "Marking"]

HASHED = "hmac-sha256:"
"""Begins every value that was hashed: the same value of a column has the same hash, and only the key tells more."""


class Marking:
    """The rules, and the key of their hashes: without one, a column with few values would be guessed in no time."""

    def __init__(self, rules: Rules, key: bytes) -> None:
        self._rules = rules
        self._key = key

    def rules(self, *names: str) -> dict[str, str]:
        """Return the rules that hold for any of the names, of models or services; where they differ, `drop` wins."""
        found: dict[str, str] = {}
        for name in ("*", *names):
            for column, what in self._rules.get(name, {}).items():
                found[column] = "drop" if "drop" in (what, found.get(column)) else what
        return found

    def marked(self, row: dict[str, Any] | None, rules: Mapping[str, str]) -> dict[str, Any] | None:
        """Return what may be stored of one row. Where there are rules, nothing is stored of a row without names."""
        if not rules or row is None:
            return row
        if row.keys() == {str(number) for number in range(len(row))}:
            return {}
        return {
            column: self.hashed(column, value) if column in rules else value
            for column, value in row.items()
            if rules.get(column) != "drop"
        }

    def hashed(self, column: str, value: Any) -> Any:
        """Return the hash of a value; a missing value stays missing, and what is hashed stays as it is."""
        if value is None or (isinstance(value, str) and value.startswith(HASHED)):
            return value
        return keyed(self._key, column.encode(), canonical(value))
