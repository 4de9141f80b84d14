"""A document's model is made with the interfaces of the plugins, so it is loaded before a plugin is on its own."""

from __future__ import annotations

import cabc.document.model  # noqa: F401 (for the order)
