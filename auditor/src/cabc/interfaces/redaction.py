"""Secrets are taken out of answers before these are hashed, stored or shown."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import re2

from cabc.errors import CabcError
from cabc.patterns import compile_pattern

__all__ = ["MARK", "redact", "redact_text"]

MARK = "[REDACTED]"

_BUILT_IN = (
    r"(?P<keep>(?i:\bbearer[ \t]+))[A-Za-z0-9._~+/=-]{16,}",
    r"(?P<keep>(?i:\bauthorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:basic|token|digest)[ \t]+))[A-Za-z0-9._~+/=-]{6,}",
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",  # JSON web tokens, service accounts' among them
    r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
    r"(?P<keep>(?i:aws_?(?:secret_?access_?key|session_?token))[\"']?\s{0,4}[:=]\s{0,4}[\"']?)[A-Za-z0-9/+=]{30,}",
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\z)",
    r"(?P<keep>\b[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s/:@\"'<>]{0,200}:)[^\s/@\"'<>]{1,200}(?P<after>@)",
    r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{20,}|xox[abprs]-[A-Za-z0-9-]{10,})",
)


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> Any:
    try:
        return compile_pattern(pattern.encode(), memory=64 << 20)
    except ValueError as error:
        msg = f"the redaction pattern {pattern!r} is no RE2 pattern: {error}"
        raise CabcError(msg, fix="Correct it under `redact` in the connections file.") from error


@cache
def _any_built_in() -> Any:
    options = re2.Options()
    options.max_mem = 64 << 20
    found = re2.Set.SearchSet(options)
    for pattern in _BUILT_IN:
        found.Add(pattern.encode())
    found.Compile()
    return found


def redact(body: bytes, patterns: Sequence[str]) -> tuple[bytes, bool]:
    """Replace what the patterns (RE2) and the built-in patterns of secrets match; tell whether anything was.

    The built-in ones know bearer tokens, JSON web tokens, keys of AWS and of code hosts, private key blocks, and
    passwords in URLs.
    """
    redacted = body
    # One look tells that none of the built-in patterns matches, as is usual; a run redacts every answer.
    for pattern in (*(_BUILT_IN if _any_built_in().Match(body) else ()), *patterns):
        redacted = _compiled(pattern).sub(_replacement, redacted)
    return redacted, redacted != body


def redact_text(text: str, patterns: Sequence[str] = ()) -> str:
    """Do the same to a message."""
    return redact(text.encode(errors="replace"), patterns)[0].decode(errors="replace")


def _replacement(match: Any) -> bytes:
    if not match.group(0):
        return b""
    groups: dict[bytes, bytes | None] = match.groupdict()
    return (groups.get(b"keep") or b"") + MARK.encode() + (groups.get(b"after") or b"")
