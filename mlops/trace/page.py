"""A trace as one HTML file: no script, nothing loaded, readable in light and dark and on paper."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from mlops.trace.hops import Check, Hop, State, Trace

__all__ = ["page"]

_SIGNS = {State.VERIFIED: "✔", State.UNVERIFIED: "✖", State.MISSING: "?", State.NONE: "○"}

_STYLE = """
:root { color-scheme: light dark;
  --ground: light-dark(#f6f7f9, #14171c); --card: light-dark(#fff, #1c2128); --text: light-dark(#1b1f24, #e6e9ee);
  --soft: light-dark(#59636e, #9aa5b1); --line: light-dark(#d5dae0, #343b45);
  --verified: light-dark(#116329, #56d38a); --unverified: light-dark(#a40e26, #ff8f8f);
  --missing: light-dark(#7d4e00, #f0b75a); --none: light-dark(#59636e, #9aa5b1); }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 4rem; background: var(--ground); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0; }
p { margin: .25rem 0; }
.soft { color: var(--soft); }
ol { list-style: none; margin: 2rem 0 0; padding: 0 0 0 1.25rem; border-left: 2px solid var(--line); }
li.hop { position: relative; margin: 0 0 1.25rem; padding: 1rem 1.25rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .5rem; }
li.hop::before { content: attr(data-sign); position: absolute; left: -2.25rem; top: .9rem; width: 1.9rem;
  height: 1.9rem; border-radius: 50%; background: var(--ground); border: 2px solid currentColor; text-align: center;
  line-height: 1.65rem; font-weight: 700; color: var(--state); }
.head { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: baseline; }
.state { font-weight: 600; color: var(--state); }
.verified { --state: var(--verified); } .unverified { --state: var(--unverified); }
.missing { --state: var(--missing); } .none { --state: var(--none); }
code, td.value, pre { font: .85rem/1.45 ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
pre { margin: 0; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-top: 1px solid var(--line); }
th { font-weight: 500; color: var(--soft); width: 13rem; }
summary { cursor: pointer; color: var(--soft); }
@media (max-width: 40rem) { th { width: 8rem; } ol { padding-left: 1rem; } li.hop { padding: .75rem; } }
@media print { body { background: none; } li.hop { break-inside: avoid; } details > * { display: block; } }
"""


def page(trace: Trace) -> str:
    """Return the page."""
    hops = "".join(map(_hop, trace.hops))
    row = f", row {trace.row}" if trace.row is not None else ""
    title = f"Prediction {escape(trace.request)}{row}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{title}</h1>\n<p class="soft">The state of {escape(trace.at or "an unknown time")}, not of today.</p>\n'
        f"{_verdict(trace)}\n<ol>\n{hops}</ol>\n</main>\n</body>\n</html>\n"
    )


def _verdict(trace: Trace) -> str:
    if not trace.open:
        return '<p class="state verified">✔ Every hop is verified.</p>'
    names = ", ".join(escape(f"{hop.title} ({hop.state})") for hop in trace.open)
    return f'<p class="state unverified">✖ Not verified: {names}.</p>'


def _hop(hop: Hop) -> str:
    parts = [
        f'<li class="hop {hop.state}" data-sign="{_SIGNS[hop.state]}">',
        f'<div class="head"><h2>{escape(hop.title)}</h2><span class="state">{hop.state}</span></div>',
        f"<p>{escape(hop.summary)}</p>",
    ]
    if hop.digest:
        parts.append(f'<p class="soft">digest <code>{escape(hop.digest)}</code></p>')
    if hop.link:
        parts.append(f'<p class="soft">look at <code>{escape(hop.link)}</code></p>')
    if hop.checks:
        rows = "".join(map(_check, hop.checks))
        parts.append(f"<table><caption hidden>What was checked</caption><tbody>{rows}</tbody></table>")
    if hop.facts:
        parts.append(f"<details><summary>What is known</summary>{_facts(hop.facts)}</details>")
    return "\n".join([*parts, "</li>\n"])


def _check(check: Check) -> str:
    state, sign = ("verified", "✔") if check.holds else ("unverified", "✖")
    wanted = "" if check.holds else f"<br>wanted {escape(check.wanted)}"
    return (
        f'<tr><th scope="row">{escape(check.what)}</th><td class="value {state}">'
        f'<span class="state">{sign}</span> {escape(check.found)}{wanted}</td></tr>'
    )


def _facts(facts: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="value">{_value(value)}</td></tr>'
        for name, value in facts.items()
    )
    return f"<table><tbody>{rows}</tbody></table>"


def _value(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return f"<pre>{escape(json.dumps(value, indent=1, ensure_ascii=False))}</pre>"
    return escape("-" if value is None else str(value))
