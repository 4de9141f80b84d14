"""Colours and their names, read from the one style sheet that reports and pages share."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Literal

__all__ = ["stylesheet", "tokens"]


@cache
def stylesheet() -> str:
    """Return the shared style sheet."""
    return (files("cabc.report") / "assets" / "cabc.css").read_text(encoding="utf-8")


@cache
def tokens(theme: Literal["light", "dark"] = "light") -> dict[str, str]:
    """Return the colour tokens of a theme by name, as `#rrggbb`."""
    light, dark = re.findall(r":root \{(.*?)\}", stylesheet(), re.DOTALL)[:2]
    block = light if theme == "light" else dark
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
