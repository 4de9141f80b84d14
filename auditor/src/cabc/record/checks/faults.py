"""A fault, and the list that checks write to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Fault", "Findings"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it was recorded: one line."""

    where: str
    """Table, chain, number, kind and key; or the file and its line."""
    what: str

    def __str__(self) -> str:
        """Return `where: what`."""
        return f"{self.where}: {self.what}"


@dataclass
class Findings:
    """What checks found, and how much they looked at."""

    faults: list[Fault] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, where: str, what: str) -> None:
        """Note a fault."""
        self.faults.append(Fault(where, what))
