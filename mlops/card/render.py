"""Write a card down: Markdown, HTML that needs nothing else, JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from html import escape

from mlops.card.card import Card, Section
from mlops.card.gather import Gathered

__all__ = ["SCHEMA", "html", "markdown", "plain"]

SCHEMA = "model-card/1"

_STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --soft: #57606a; --back: #ffffff; --line: #d0d7de; --head: #f3f5f7 }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --soft: #9aa4af; --back: #0f1318; --line: #30363d; --head: #1a2027 }
}
body { margin: 0 auto; max-width: 54rem; padding: 2rem 1rem; background: var(--back); color: var(--text);
  font: 1rem/1.55 system-ui, sans-serif }
h1 { font-size: 1.7rem; margin: 0 0 .5rem } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem }
p.lead { color: var(--soft); font-size: 1.1rem }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid var(--line); padding: .4rem .6rem; text-align: left; vertical-align: top;
  overflow-wrap: anywhere }
thead th { background: var(--head) }
"""

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~])")
"""Signs that Markdown reads as something else than text."""


def markdown(card: Card) -> str:
    """Return the card as Markdown."""
    lines = [f"# {_text(card.title)}", "", _text(card.lead), ""]
    for section in card.sections:
        lines += [f"## {_text(section.title)}", "", *_markdown(section)]
    return "\n".join(lines).rstrip() + "\n"


def html(card: Card) -> str:
    """Return the card as one file of HTML, for light and dark screens."""
    body = "\n".join(_html(section) for section in card.sections)
    title = escape(card.title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        f'<p class="lead">{escape(card.lead)}</p>\n{body}\n</main>\n</body>\n</html>\n'
    )


def plain(card: Card, found: Gathered) -> str:
    """Return the card as JSON: the facts as they were found, and the card as it reads."""
    document = {
        "schema": SCHEMA,
        "model": {**found.facts["model"], **asdict(found.version)},
        "declared": found.facts["declared"],
        "data": found.facts["data"],
        "metrics": found.facts["metrics"],
        "monitoring": found.monitoring,
        "conformity": found.conformity,
        "card": asdict(card),
    }
    return f"{json.dumps(document, indent=2, sort_keys=True, default=str)}\n"


def _markdown(section: Section) -> Iterable[str]:
    if section.text:
        yield from (_text(section.text), "")
    if section.points:
        yield from (*(f"- {_text(point)}" for point in section.points), "")
    if section.rows:
        yield f"| {' | '.join(map(_text, section.header))} |"
        yield f"|{'---|' * len(section.header)}"
        yield from (f"| {' | '.join(map(_text, row))} |" for row in section.rows)
        yield ""


def _text(words: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(words.split()))


def _html(section: Section) -> str:
    parts = [f"<section>\n<h2>{escape(section.title)}</h2>"]
    if section.text:
        parts.append(f"<p>{escape(section.text)}</p>")
    if section.points:
        parts.append(f"<ul>{''.join(f'<li>{escape(point)}</li>' for point in section.points)}</ul>")
    if section.rows:
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in section.header)
        rows = "".join(
            f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
            for first, *cells in section.rows
        )
        # A table wider than a small screen is scrolled, also with the keyboard.
        label = escape(section.title)
        parts.append(
            f'<div class="wide" role="region" tabindex="0" aria-label="{label}"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div>"
        )
    return "\n".join([*parts, "</section>"])
