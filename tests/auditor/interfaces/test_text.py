"""Text of another party is printed without touching the terminal."""

from __future__ import annotations

import unicodedata

import pytest
from cabc.text import one_line, safe
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hconformant", "conformant"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;cm0gLXJm\x07clip", "clip"),
        ("\x1bPq#0\x1b\\after", "after"),
        ("\x1bcreset", "reset"),
        ("\x1b(0lqk", "lqk"),
        ("\x1b]0;never closed, all of it stays", "]0;never closed, all of it stays"),
        ("a\u202edrowssap\u202cb", "adrowssapb"),
        ("\u2066x\u2069\u200f\u061cy", "xy"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("tag\U000e0041\U000e0042", "tag"),
        ("lone\ud800", "lone"),
        ("null\x00bell\x07back\x08del\x7f", "nullbellbackdel"),
        ("over\rwrite\r\nline\u2028end", "over\nwrite\nline\nend"),
        ("tab\tstays", "tab\tstays"),
    ],
)
def test_what_a_terminal_would_obey_is_gone(hostile: str, shown: str) -> None:
    assert safe(hostile) == shown


@pytest.mark.parametrize("text", ["Prüfung bestanden ✓", "می‌خواهم", "👩‍👧", "日本語", "  two\n  lines"])
def test_writing_of_people_stays(text: str) -> None:
    assert safe(text) == text


@given(st.text(alphabet=st.characters(codec=None)))
def test_nothing_unprintable_survives(text: str) -> None:
    shown = safe(text)
    shown.encode()
    assert safe(shown) == shown
    for character in shown:
        assert character in "\n\t" or unicodedata.category(character) not in {"Cc", "Cs"}


def test_one_line_is_one_line_of_bounded_length() -> None:
    assert one_line("a\n\tb\r\nc") == "a b c"
    assert one_line("x" * 300, limit=10) == "x" * 9 + "…"
    assert one_line("x" * 10, limit=10) == "x" * 10
