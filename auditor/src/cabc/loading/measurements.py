"""Whether value, comparison and target of each measurement fit together; the framework knows."""

from __future__ import annotations

import re

from cabc.document.model import Measurement
from cabc.loading.context import Context
from cabc.loading.elements import Keys
from cabc.measurement import mistakes

__all__ = ["check_measurements"]

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def check_measurements(context: Context) -> None:
    """Check every measurement by its type, its comparison and its unit."""
    for place in context.places:
        if isinstance(place.element, Measurement):
            for mistake in mistakes(place.element):
                context.say((*place.keys, *_keys(mistake.key)), mistake.found, mistake.wanted, mistake.fix)


def _keys(text: str) -> Keys:
    return tuple(int(number) if number else name for name, number in _STEP.findall(text))
