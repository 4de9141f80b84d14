"""The plugin is not a package of the project: it is found where the image installs it from."""

from __future__ import annotations

import sys

import cabc.document.model  # noqa: F401 (documents are made of interfaces, so they are loaded first)

from components._core import paths

sys.path.insert(0, str(paths.CHECKOUT / "images" / "cabc" / "plugin" / "src"))
