"""What can go wrong with a trace and is not a bug.

TraceError           the world: somebody does not answer, a file is not what it should be
└── InputError       what was asked for: a request that the log does not have, a file that cannot be written
"""

from __future__ import annotations

from cabc.errors import CabcError

__all__ = ["InputError", "TraceError"]


class TraceError(CabcError):
    """Something about a prediction cannot be had; the text is one line."""

    exit_code = 1


class InputError(TraceError):
    """What was asked for cannot be."""

    exit_code = 2
