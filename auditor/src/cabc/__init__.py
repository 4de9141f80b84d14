"""A continuous auditor."""
