"""Real decisions on loans, a model on them, and its profile.

What is tested here needs the environment of the image: `test_in_the_image.py` runs the other files in it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent

if find_spec("sklearn") is None:
    collect_ignore = [file.name for file in HERE.glob("test_*.py") if file.name != "test_in_the_image.py"]
else:
    from hypothesis import settings

    from tests.support.loans import loans, profile
    from tests.support.model_monitor import house, rows

    __all__ = ["house", "loans", "profile", "rows"]

    # How long an example takes says something of the machine and nothing of the code.
    settings.register_profile("here", deadline=None)
    settings.load_profile("here")
