"""Patterns that another party wrote: RE2, whose time is linear in the text."""

from __future__ import annotations

from typing import Any

__all__ = ["compile_pattern"]


def compile_pattern(pattern: str | bytes, *, memory: int = 8 << 20) -> Any:
    """Return a compiled RE2 pattern that may use so many bytes; ValueError, in RE2's words, for what it refuses."""
    import re2  # here, because documents without a pattern need not load it

    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        detail = error.args[0] if error.args else str(error)
        raise ValueError(detail.decode(errors="replace") if isinstance(detail, bytes) else detail) from error
