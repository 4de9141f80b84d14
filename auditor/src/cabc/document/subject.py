"""Which model a document is about; the interfaces that resolve it need no more of a document."""

from __future__ import annotations

from cabc.document.base import Model, Name, Slug

__all__ = ["SubjectSelector"]


class SubjectSelector(Model):
    """What is audited, by name. Facts about it (version, digest) are read anew at each run."""

    name: Slug
    """Name of the subject in records, reports and URLs."""
    connection: Slug | None = None
    """MLflow connection that resolves `registeredModel`."""
    registered_model: Name | None = None
    alias: Name | None = None
    """Alias of the version that is audited; this or `version`."""
    version: str | None = None
    inference_service: str | None = None
    """`namespace/name` of the InferenceService that serves it."""
