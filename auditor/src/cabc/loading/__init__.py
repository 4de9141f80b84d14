"""Loading: read, check what a document means, find its nested documents, lay out its leaves."""

from __future__ import annotations

from cabc.loading.documents import Nested, digest_of, load, load_text
from cabc.loading.frequency import parse_frequency

__all__ = ["Nested", "digest_of", "load", "load_text", "parse_frequency"]
