"""HTML and SVG as a tree, so that every text and attribute is escaped by whoever writes it out."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

__all__ = ["Child", "Element", "tag", "written"]

Element = ET.Element

Child = Element | str | None


def tag(name: str, /, *children: Child | Iterable[Child], **attributes: str | float | None) -> Element:
    """Return an element; `class_` and `for_` lose their `_`, any other `_` is a `-`, None leaves an attribute out."""
    found = Element(
        name,
        {
            key.rstrip("_").replace("_", "-"): f"{value:.5g}" if isinstance(value, float) else str(value)
            for key, value in attributes.items()
            if value is not None
        },
    )
    for child in children:
        if child is None or isinstance(child, str | Element):
            _append(found, child)
        else:
            for each in child:
                _append(found, each)
    return found


def _append(parent: Element, child: Child) -> None:
    if child is None:
        return
    if isinstance(child, Element):
        parent.append(child)
    elif len(parent):
        parent[-1].tail = (parent[-1].tail or "") + child
    else:
        parent.text = (parent.text or "") + child


def written(root: Element) -> str:
    """Return a whole page."""
    return f"<!doctype html>\n{ET.tostring(root, encoding='unicode', method='html')}\n"
