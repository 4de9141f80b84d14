"""Failures that people see: one line that says what, and one that says what to do."""

from __future__ import annotations

__all__ = ["CabcError"]


class CabcError(Exception):
    """It cannot be done as asked. The command line prints it without a traceback and ends with `exit_code`.

    Exit codes everywhere: 0 done and the answer is yes; 1 done and the answer is no (not conformant, does not verify,
    a specification's test failed); 2 not done (bad input, bad settings, busy); 130 interrupted.
    """

    exit_code = 2

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.fix = fix
