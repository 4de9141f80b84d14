"""The stages of the loop, a module each; mlops/loop/loop.py has their order."""

from __future__ import annotations

__all__: list[str] = []
