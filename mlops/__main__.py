"""`python -m mlops`: the same as `mlops`."""

from __future__ import annotations

from mlops.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
