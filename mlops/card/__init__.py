"""The model card: what people declared of a model, what was measured of it, and what the auditor says."""

from __future__ import annotations

from mlops.card.card import Card, build
from mlops.card.gather import Gathered, gather

__all__ = ["Card", "Gathered", "build", "gather"]
