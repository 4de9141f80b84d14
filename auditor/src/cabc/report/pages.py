"""The templates' environment, shared by reports and by the pages of the service: always escaping, no script."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from typing import Any
from urllib.parse import urlsplit

from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cabc.report.tokens import stylesheet
from cabc.report.wording import label, mode_text, statement, tone, words
from cabc.text import one_line, safe

__all__ = ["age", "environment", "inline_style", "moment", "shown", "weblink"]


def environment(*loaders: BaseLoader) -> Environment:
    """Return an environment that finds templates of the given loaders first, then `base.html.j2` and the macros."""
    shared = PackageLoader("cabc.report", "assets")
    result = Environment(
        loader=ChoiceLoader([*loaders, shared]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    result.filters.update(
        age=age, iso=_iso, moment=moment, safe_text=safe, shown=shown, tone=tone, weblink=weblink, words=words
    )
    result.globals.update(mode_text=mode_text, statement=statement, label=label)
    return result


def inline_style() -> tuple[Markup, str]:
    """Return the style element of a page that stands alone, and the CSP source that allows it and no other."""
    text = stylesheet()
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(f"<style>{text}</style>"), f"'sha256-{digest}'"  # noqa: S704 (our own style sheet)


def moment(at: dt.datetime) -> str:
    """Return an instant for people, always UTC."""
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def age(length: dt.timedelta | float) -> str:
    """Return a length of time in its two largest units: `3 d 4 h`."""
    seconds = int(length.total_seconds() if isinstance(length, dt.timedelta) else length)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(max(seconds, 0), size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def shown(value: Any) -> str:
    """Return a value or target as text on one line: numbers short, texts as they are, made safe."""
    match value:
        case None:
            text = "none"
        case bool():
            text = "true" if value else "false"
        case float():
            text = f"{value:.6g}"
        case dict():
            text = ", ".join(f"{key} {shown(part)}" for key, part in value.items() if part is not None)
        case list() | tuple():
            text = ", ".join(shown(part) for part in value)
        case _:
            text = str(value)
    return one_line(text)


def weblink(url: str | None) -> str | None:
    """Return an address that may become a link: http or https with a host and without credentials, else None."""
    try:
        parts = urlsplit(url or "")
        usable = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc
    except ValueError:
        return None
    return url if usable else None


def _iso(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
