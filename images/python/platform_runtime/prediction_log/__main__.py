"""Run the collector: `python -m platform_runtime.prediction_log`, configured by PREDICTION_LOG_* (see `settings`)."""

from __future__ import annotations

import logging
import os
import sys

import pydantic
import uvicorn

from platform_runtime.prediction_log.app import Collector, create_app
from platform_runtime.prediction_log.settings import PREFIX, Settings


def main() -> int:
    """Serve until the process is told to stop."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    try:
        settings = Settings.from_environment(os.environ)
    except pydantic.ValidationError as error:
        for each in error.errors(include_input=False, include_url=False):
            name = f"{PREFIX}{each['loc'][0]}".upper() if each["loc"] else f"{PREFIX}*"
            print(f"{name}: {each['msg']}", file=sys.stderr)
        return 2
    uvicorn.run(
        create_app(Collector(settings)),
        host="0.0.0.0",  # noqa: S104 (the pod's own address; a NetworkPolicy says who may come)
        port=settings.port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=10,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
