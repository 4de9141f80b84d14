"""The image's code is not a package of the project: it is found where its Containerfile copies it from."""

from __future__ import annotations

import sys

from components._core import paths

sys.path.insert(0, str(paths.CHECKOUT / "images" / "python"))
