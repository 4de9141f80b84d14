"""A trace as HTML: one file that stands alone, and the templates that the auditor's page is made of too."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from cabc.report.pages import environment, inline_style
from jinja2 import Environment, PackageLoader

from cabc_platform.trace.hops import State, Trace

__all__ = ["page", "plain_json", "prepared", "state_tone"]

_TONES = {
    State.VERIFIED: "good",
    State.UNVERIFIED: "bad",
    State.MISSING: "warn",
    State.NONE: "mute",
    "yes": "good",
    "no": "bad",
}


def state_tone(state: str) -> str:
    """Return the tone of a hop's state or of a check, in the words of the auditor's style."""
    return _TONES[state]


def plain_json(value: Any) -> str:
    """Return data as text on one line; the template escapes it."""
    return json.dumps(value, ensure_ascii=False)


def prepared(made: Environment) -> Environment:
    """Return an environment of the auditor's with what the templates of a trace use."""
    made.globals.update(state_tone=state_tone)
    made.filters.update(plain_json=plain_json)
    return made


@cache
def _environment() -> Environment:
    return prepared(environment(PackageLoader("cabc_platform.trace", "templates")))


def page(trace: Trace) -> str:
    """Return the page: no script, nothing loaded, readable in light and dark and on paper."""
    style, style_hash = inline_style()
    return _environment().get_template("trace.html.j2").render(trace=trace, style=style, style_hash=style_hash)
