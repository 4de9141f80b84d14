"""What starts a model server needs the environment of the image: `test_in_the_image.py` runs its tests in it."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [] if find_spec("kserve") else ["test_serve.py"]
