"""Lists in pages: an opaque cursor says where the next one begins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, Generic, TypeVar

from fastapi import Query

from cabc.document.base import Model
from cabc.service.problems import ProblemError

__all__ = ["Cursor", "Limit", "Page", "cursor", "place", "slice_page"]

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=500, description="Items on a page.")]
Cursor = Annotated[str | None, Query(max_length=400, description="`next` of the page before.")]


class Page(Model, Generic[T]):
    """A part of a list."""

    items: list[T]
    next: str | None = None
    """Give it as `cursor` for the next page; none on the last."""


def cursor(place: str) -> str:
    """Return the cursor for a place in a list."""
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def place(given: str) -> str:
    """Return the place that a cursor stands for."""
    try:
        return base64.b64decode(given + "=" * (-len(given) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise ProblemError(400, "The cursor is not one that this API gave.") from error


def slice_page(items: list[T], given: str | None, limit: int, key: Callable[[T], str]) -> tuple[list[T], str | None]:
    """Return the items behind the cursor's and the next cursor; items keep their order from page to page."""
    start = 0
    if given is not None:
        wanted = place(given)
        start = next((index + 1 for index, item in enumerate(items) if key(item) == wanted), -1)
        if start < 0:
            raise ProblemError(400, "The cursor's item is not in this list.")
    part = items[start : start + limit]
    more = start + limit < len(items)
    return part, cursor(key(part[-1])) if more else None
