"""Read what the engine keeps: properties with their marks of secrets, and the way to a cluster."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

from mlops.errors import OperationError

__all__ = ["complete_kubeconfig", "plain"]

_SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105 (the engine's mark of a secret, not one)


def plain(value: Any) -> Any:
    """Return properties with the marks of secrets taken off; what is still encrypted becomes None."""
    if isinstance(value, dict):
        if _SECRET in value:
            text = value.get("plaintext")
            return json.loads(text) if isinstance(text, str) else value.get("value")
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def complete_kubeconfig(text: str | None, context: str | None) -> str:
    """Return the text of a kubeconfig whose current context is the given one.

    `text` may be a path; None means what kubectl would use.
    """
    if not text:
        text = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0] or "~/.kube/config"
    if "\n" not in text and "{" not in text:
        try:
            text = Path(text).expanduser().read_text()
        except OSError as error:
            msg = f"the kubeconfig {text} cannot be read: {error.strerror}"
            raise OperationError(msg, fix="correct its path in the order form") from error
    if context is None:
        return text
    config = yaml.safe_load(text)
    config["current-context"] = context
    found: str = yaml.safe_dump(config)
    return found
