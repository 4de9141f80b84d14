"""A look at a PromQL query before it is sent: what would read more than a connection allows is refused."""

from __future__ import annotations

import datetime as dt
import re

__all__ = ["lint"]

_STEPS = 11_000
_QUERY = 4000
_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31_536_000.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])")
_LITERAL = re.compile(r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`""")
_COMMENT = re.compile(r"""("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)|\#[^\n]*""")
_SELECTOR = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)?\s*\{([^{}]*)\}")
_MATCHER = re.compile(r"(?:([A-Za-z_][A-Za-z0-9_]*|\x00\d+\x00)\s*(=~|!~|!=|=)\s*)?(\x00\d+\x00)")
_WORDS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right", "offset", "and", "or", "unless"})


def lint(query: str, max_range: dt.timedelta) -> list[str]:
    """Return what is wrong with the query, each as one line; nothing for a query that may be sent."""
    if len(query) > _QUERY:
        return [f"the query is longer than {_QUERY} characters"]
    literals: list[str] = []

    def keep(literal: re.Match[str]) -> str:
        literals.append(literal[0][1:-1])
        return f"\x00{len(literals) - 1}\x00"

    bare = _LITERAL.sub(keep, _COMMENT.sub(lambda found: found[1] or " ", query.replace("\x00", "")))
    if set(bare) & set("\"'`"):
        return ["a quote is not closed"]
    return [*_selectors(bare, literals), *_ranges(bare, max_range)]


def _selectors(bare: str, literals: list[str]) -> list[str]:
    mistakes = []
    for name, inner in _SELECTOR.findall(bare):
        if name and name not in _WORDS:
            continue
        matchers = _MATCHER.findall(inner)
        bounded = any(
            (not operator) or (operator == "=" and literals[int(value.strip("\x00"))])
            for _, operator, value in matchers
        )
        if not bounded:
            mistakes.append(
                "a selector has neither a metric's name nor a label that equals something: it reads everything"
            )
    return mistakes


def _ranges(bare: str, max_range: dt.timedelta) -> list[str]:
    mistakes, steps = [], 1.0
    for inner in re.findall(r"\[([^\]]*)\]", bare):
        length, colon, resolution = inner.partition(":")
        seconds = _seconds(length)
        if seconds is None or (colon and resolution.strip() and _seconds(resolution) is None):
            mistakes.append(f"the range [{inner.strip()}] is not understood")
            continue
        if seconds > max_range.total_seconds():
            mistakes.append(f"the range [{inner.strip()}] is longer than the connection allows")
        if colon:
            steps *= max(1.0, seconds / max(_seconds(resolution) or 15.0, 0.001))
    if steps > _STEPS:
        mistakes.append(f"the subqueries make more than {_STEPS} steps")
    return mistakes


def _seconds(text: str) -> float | None:
    text = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNIT[unit] for number, unit in parts)
