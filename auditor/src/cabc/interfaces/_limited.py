"""Start a program with less: the file is run by a Python of its own (`python -I -S`), so it imports nothing of ours.

Arguments: CPU seconds, memory bytes, file bytes, then the program and its arguments.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

__all__: list[str] = []

_NO_NEW_PRIVILEGES = 38


def _main() -> None:
    cpu, memory, size = (int(number) for number in sys.argv[1:4])
    for kind, limit in (
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, size),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(kind, (limit, limit))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    os.umask(0o077)
    os.execv(sys.argv[4], sys.argv[4:])  # noqa: S606 (no shell is the point)


if __name__ == "__main__":
    _main()
