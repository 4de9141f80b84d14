"""Mistakes in a file that a person wrote, each at its place."""

from __future__ import annotations

from dataclasses import dataclass

from cabc.errors import CabcError

__all__ = ["Problem", "ProblemsError"]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake. Line and column count from 1; key is the path from the top: `dimensions[0].requirements[1].id`."""

    file: str
    line: int
    column: int
    key: str
    found: str
    wanted: str
    fix: str | None = None

    def __str__(self) -> str:
        """Return one line: `spec.yaml:12:7: key: found …, wanted …; fix`; without the key for the file as a whole."""
        key = f"{self.key}: " if self.key else ""
        text = f"{self.file}:{self.line}:{self.column}: {key}found {self.found}, wanted {self.wanted}"
        return f"{text}; {self.fix}" if self.fix else text


class ProblemsError(CabcError):
    """A file has these mistakes, in the order of their lines."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))
