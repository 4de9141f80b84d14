"""Starters that `cabc init` writes, one folder each, with their sources."""
