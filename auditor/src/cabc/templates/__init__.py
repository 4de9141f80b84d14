"""Starters that `cabc init` writes, one folder each, with their sources."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

__all__ = ["TEMPLATES", "Template"]


@dataclass(frozen=True, slots=True)
class Template:
    """A specification to begin with, the connections that it names, and its tests."""

    name: str
    about: str

    def text(self, file: str) -> str:
        """Return one of its files: `specification.yaml`, `specification.tests.yaml`, `connections.yaml`."""
        return (files(__package__) / self.name / file).read_text(encoding="utf-8")


TEMPLATES: dict[str, Template] = {
    one.name: one
    for one in (
        Template("eu-ai-act-high-risk", "EU AI Act, high-risk systems: articles 10, 12, 13 and 15"),
        Template("iso-25012-data-quality", "ISO/IEC 25012: the fifteen characteristics of data quality"),
        Template("ai-ethics-metrics", "AI ethics in the seven categories of metrics of IML4E D4.4, section 5.1"),
    )
}
