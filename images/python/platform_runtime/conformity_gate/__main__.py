"""Run the gate: `python -m platform_runtime.conformity_gate`, configured by environment variables."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import closing

import uvicorn

from platform_runtime.conformity_gate.auditor import Auditor
from platform_runtime.conformity_gate.cluster import Cluster
from platform_runtime.conformity_gate.gate import Gate
from platform_runtime.conformity_gate.registry import Registry
from platform_runtime.conformity_gate.server import PORT, Watch, application
from platform_runtime.conformity_gate.settings import Settings, SettingsError
from platform_runtime.conformity_gate.sides import Place


def main() -> int:
    """Serve until the process is told to stop."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = Settings.of(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    with (
        closing(Auditor(settings.auditor_url, settings.auditor_token, settings.hook)) as auditor,
        closing(Registry(settings.registry_url)) as registry,
        closing(Cluster()) as cluster,
    ):
        place = Place(settings.namespace, settings.artefact_root)
        gate = Gate(auditor=auditor, registry=registry, cluster=cluster, place=place, policy=settings.policy)
        watch = Watch(gate, settings.interval.total_seconds())
        uvicorn.run(application(gate, watch), host="0.0.0.0", port=PORT, access_log=False)  # noqa: S104 (a pod's own)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
