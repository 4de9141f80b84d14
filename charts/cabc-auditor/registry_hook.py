"""Have the model registry tell the auditor what changes in it; runs as a Job in the cluster and may run again.

Of several webhooks with the name the first is brought up to date: the registry lets two have one.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import httpx

__all__ = ["NAME", "subscribe"]

NAME = "cabc-auditor"

# Not tags: a verdict may be written into one, which would ask for the next verdict.
EVENTS = [
    {"entity": "MODEL_VERSION", "action": "CREATED"},
    {"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"},
    {"entity": "MODEL_VERSION_ALIAS", "action": "DELETED"},
]


def subscribe(registry: httpx.Client, url: str, secret: str) -> None:
    """Make sure that the registry posts EVENTS to this address, signed with this secret. Raises httpx.HTTPError."""
    wanted = {"name": NAME, "url": url, "events": EVENTS, "secret": secret, "status": "ACTIVE"}
    for known in _webhooks(registry):
        if known["name"] == NAME:
            registry.patch(f"/webhooks/{known['webhook_id']}", json=wanted).raise_for_status()
            return
    registry.post("/webhooks", json=wanted).raise_for_status()


def _webhooks(registry: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page: dict[str, str] = {}
    while True:
        answer = registry.get("/webhooks", params={"max_results": 100, **page}).raise_for_status().json()
        found += answer.get("webhooks", [])
        if not answer.get("next_page_token"):
            return found
        page = {"page_token": answer["next_page_token"]}


def main(patience: float = 60) -> int:
    """Subscribe with what the environment says; wait `patience` seconds for a registry that starts."""
    deadline = time.monotonic() + patience
    with httpx.Client(base_url=f"{os.environ['REGISTRY']}/api/2.0/mlflow", timeout=10) as registry:
        while True:
            try:
                subscribe(registry, os.environ["HOOK"], os.environ["HOOK_SECRET"])
            except httpx.HTTPError as error:
                if isinstance(error, httpx.TransportError) and time.monotonic() < deadline:
                    time.sleep(1)
                    continue
                said = error.response.text[:500] if isinstance(error, httpx.HTTPStatusError) else ""
                print(f"the registry does not take the webhook: {error} {said}", file=sys.stderr)  # noqa: T201 (the log)
                return 1
            else:
                return 0


if __name__ == "__main__":
    sys.exit(main())
