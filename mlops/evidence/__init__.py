"""Infrastructure as evidence: who applied what, from which commit, with which images; a chain that shows its gaps."""

from mlops.evidence.recording import record_quietly

__all__ = ["record_quietly"]
