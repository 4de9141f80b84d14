"""The watch of the cluster, bound to the subjects of this service."""

from __future__ import annotations

import structlog

from cabc.record.chain import draft
from cabc.record.types import Trigger
from cabc.service.state import State
from cabc.triggers.watch import InferenceServiceWatch, KubernetesEvents

__all__ = ["inference_services"]

log = structlog.stdlib.get_logger("cabc.watch")


def inference_services(state: State, namespace: str | None) -> InferenceServiceWatch:
    """Return a watch of a namespace, or of all, that records a trigger for every new revision that serves."""

    def subjects_of(service: str) -> list[str]:
        documents = [state.documents.current(subject) for subject in state.documents.subjects()]
        found = [document.specification.subject for document in documents if document]
        return [item.name for item in found if item.inference_service == service]

    def services() -> list[str]:
        documents = [state.documents.current(subject) for subject in state.documents.subjects()]
        return [
            document.specification.subject.inference_service
            for document in documents
            if document and document.specification.subject.inference_service
        ]

    def changed(service: str, fingerprint: str) -> None:
        triggers = [
            Trigger(
                id=f"kubernetes-{fingerprint[:24]}",
                kind="kubernetes",
                source=service,
                subject=subject,
                received=state.now(),
            )
            for subject in subjects_of(service)
        ]
        state.record.append([draft(trigger) for trigger in triggers])
        log.info("new revision", service=service, subjects=[trigger.subject for trigger in triggers])

    def report(text: str, error: BaseException | None) -> None:
        log.warning(text, namespace=namespace or "(all)", reason=f"{type(error).__name__}: {error}"[:300])

    return InferenceServiceWatch(KubernetesEvents(namespace), services, changed, report)
