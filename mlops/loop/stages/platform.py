"""Stage `platform`: every part answers before any of them is needed."""

from __future__ import annotations

from mlops.loop.context import Context
from mlops.loop.ledger import Ledger, StageError
from mlops.loop.serving import agrees

__all__ = ["answers", "look"]

STAGE = "platform"


def look(context: Context) -> None:
    """See that every part answers, and that what is served now is what it claims to be."""
    with context.ledger.stage(STAGE) as stage:
        version = context.registry.check()
        context.serving.check(context.places.runtime)
        if context.monitoring:
            context.monitoring.check()
        for part in (context.log, context.monitor, context.auditor, context.gate):
            if part:
                part.check()
        context.before = served = context.serving.served()
        if served and served.version:
            _is_registered(context, served.version)
        context.known = context.registry.versions(context.sample.model)
        stage.summary = f"MLflow {version}; serving {f'version {served.version}' if served else 'nothing yet'}"


def answers(context: Context) -> None:
    """See that registry and model serving answer."""
    with context.ledger.stage(STAGE) as stage:
        stage.summary = f"MLflow {context.registry.check()}"
        context.serving.check(context.places.runtime)


def _is_registered(context: Context, version: str) -> None:
    """Raise StageError where somebody pointed the service elsewhere by hand: that is not silently replaced."""
    registered = context.registry.version(context.sample.model, version)
    if registered is None:
        subject = f"model {context.sample.model} version {version}"
        raise StageError("register", subject, f"is served by {context.serving.subject} but not registered")
    agrees(Ledger(), context.serving, registered, context.places.artefact_root, ready=False)
