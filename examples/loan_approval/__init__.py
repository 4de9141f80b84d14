"""Decisions on mortgage applications."""
