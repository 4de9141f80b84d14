"""Ask an interface plugin once, as the engine does, and read the value back from the bytes."""

from __future__ import annotations

import asyncio
from typing import Any

from cabc.document.base import Model
from cabc.interfaces.base import InterfacePlugin, Retrieved, SubjectFacts, Value

__all__ = ["SUBJECT", "retrieve", "spec", "value"]

SUBJECT = SubjectFacts(
    name="scoring",
    registered_model="credit-scoring",
    version="3",
    run_id="0123456789abcdef0123456789abcdef",
    digest="sha256:" + "a" * 64,
    inference_service="credit/scoring",
)


def spec(model: type[Model], /, **keys: Any) -> Any:
    """Return an interface or a connection as a document or the operator's file would give it."""
    return model.model_validate(keys)


def retrieve(
    plugin: InterfacePlugin[Any, Any], spec: Any, connection: Any, subject: SubjectFacts = SUBJECT
) -> Retrieved:
    """Retrieve once and close the plugin."""

    async def run() -> Retrieved:
        try:
            return await plugin.retrieve(spec, connection, subject)
        finally:
            await plugin.close()

    return asyncio.run(run())


def value(plugin: InterfacePlugin[Any, Any], spec: Any, connection: Any, subject: SubjectFacts = SUBJECT) -> Value:
    """Retrieve and extract."""
    answer = retrieve(plugin, spec, connection, subject)
    return plugin.extract(spec, answer.body, answer.media_type, answer.details)
