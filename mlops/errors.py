"""What can go wrong and is not a bug.

MlopsError
├── UsageError         the user's input: printed as one line, exit code 2
└── OperationError     the world: a tool, a cluster, a wait; printed as one line and a fix, exit code 1

Everything else is a bug and shows its traceback.
"""

from __future__ import annotations

__all__ = ["MlopsError", "OperationError", "UsageError"]


class MlopsError(Exception):
    """An error told to the user in one line, with the fix on the next when there is one.

    Parameters: `message` names the thing, what was found and what was wanted; `fix` is what to do or run.
    """

    exit_code = 1

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\n  fix: {self.fix}" if self.fix else self.message


class UsageError(MlopsError):
    """The input is wrong: an option, an order form, a name."""

    exit_code = 2


class OperationError(MlopsError):
    """The input is right and the world is not: a tool is missing, a wait timed out, a stage failed."""
