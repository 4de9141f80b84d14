"""`python -m platform_runtime.model_monitor`: serve until told to stop. settings.py says what the environment tells."""

from __future__ import annotations

import logging
import os
import sys

import uvicorn

from platform_runtime.model_monitor.log import PredictionLog
from platform_runtime.model_monitor.monitor import Monitor
from platform_runtime.model_monitor.registry import Registry
from platform_runtime.model_monitor.service import application
from platform_runtime.model_monitor.settings import Settings, SettingsError

__all__ = ["main"]


def main() -> int:
    """Return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    monitor = Monitor(PredictionLog(settings.database_url), Registry(settings.tracking_uri), settings)
    uvicorn.run(application(monitor), host="0.0.0.0", port=settings.port, access_log=False)  # noqa: S104 (a pod's)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
