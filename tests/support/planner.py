"""Plans order forms quickly: imports the platform once, then answers each line on stdin from a fork of its own.

A plan needs a fresh process because Pulumi's mocks are global state; a fork is one without the imports.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import tempfile
import traceback

from components._core import catalogue, plan

__all__ = ["main"]


def main() -> None:
    """Answer `{"form", "source"}` with `{"plan"}`, a text, or with `{"error"}`, what the program printed."""
    for name in catalogue.folders():
        catalogue.component_class(name)
    for name in ("apps.v1", "core.v1", "networking.v1", "rbac.v1"):  # what most components register
        importlib.import_module(f"pulumi_kubernetes.{name}")
    gc.disable()  # a fork is short, and shares memory as long as nothing looks through it
    for line in sys.stdin:
        asked = json.loads(line)
        with tempfile.TemporaryFile("w+") as answer, tempfile.TemporaryFile("w+") as errors:
            child = os.fork()
            if child == 0:
                os.dup2(errors.fileno(), sys.stderr.fileno())
                os._exit(_plan(asked["form"], asked["source"], answer.fileno()))
            _, status = os.waitpid(child, 0)
            answer.seek(0)
            errors.seek(0)
            told = {"error": errors.read().strip()} if status else {"plan": answer.read()}
        print(json.dumps(told), flush=True)  # noqa: T201 (the answer)


def _plan(form: str, source: str, answer: int) -> int:
    """Plan in this process; return its exit code."""
    os.environ["MLOPS_SOURCE"] = source
    try:
        text = json.dumps(plan.run_here(form)).encode()
    except BaseException:  # noqa: BLE001 (whatever ends the program is told)
        traceback.print_exc()
        return 1
    with os.fdopen(answer, "wb") as file:
        file.write(text)
    return 0


if __name__ == "__main__":
    main()
