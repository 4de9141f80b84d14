"""Text that somebody else wrote, made harmless to print: no control sequence, no invisible or reordering character."""

from __future__ import annotations

import re

__all__ = ["one_line", "safe"]

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, erase
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC: window title, hyperlink, clipboard
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*(?:\x1b\\|\x9c)"  # DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-Z\\`-~]"  # two-character sequences and character sets
)
"""Only complete sequences: an open one would otherwise swallow, and so hide, all text behind it."""

_BREAKS = dict.fromkeys(map(ord, "\v\f\x85\u2028\u2029"), "\n")
_INVISIBLE = (
    (0x00, 0x08),
    (0x0E, 0x1F),
    (0x7F, 0x9F),
    (0xAD, 0xAD),  # soft hyphen
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x061C, 0x061C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200B),  # zero-width space; joiners are part of scripts and emoji and stay
    (0x200E, 0x200F),  # directional marks
    (0x202A, 0x202E),  # directional embeddings and overrides
    (0x2060, 0x206F),  # word joiner, invisible operators, directional isolates
    (0x3164, 0x3164),
    (0xD800, 0xDFFF),  # lone surrogates cannot be encoded
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),  # interlinear annotations
    (0xE0000, 0xE0FFF),  # tags: text that only machines see
)
_TABLE: dict[int, str | None] = {
    **{code: None for first, last in _INVISIBLE for code in range(first, last + 1)},
    **_BREAKS,
}


def safe(text: str) -> str:
    """Return the text without terminal sequences, control, bidirectional and invisible characters.

    Line breaks of every kind become one newline, tabs stay. HTML, Markdown and CSV need their own escaping besides.
    """
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    return _ESCAPES.sub("", plain).translate(_TABLE)


def one_line(text: str, *, limit: int = 200) -> str:
    """Return the safe text on one line, white space joined, cut with an ellipsis behind `limit` characters."""
    line = " ".join(safe(text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
