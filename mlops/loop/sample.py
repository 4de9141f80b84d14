"""The sample that the loop runs: a folder of `examples/` with a `pipeline.py`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components._core import paths
from mlops.errors import UsageError

__all__ = ["Sample", "code_version", "load", "names"]

_ROOT = paths.CHECKOUT / "examples"


@dataclass(frozen=True)
class Sample:
    """One example, as its pipeline.py declares it."""

    name: str
    model: str
    """Name of the registered model, and of the InferenceService."""

    arguments: dict[str, Any]
    features: tuple[str, ...]
    """What the model sees, in order."""

    attributes: tuple[str, ...]
    """What people are protected for: in the data, never a feature."""

    label: str
    """What the model learns."""

    build: Any
    """Makes the pipeline for an image."""

    def compile(self, image: str) -> str:
        """Return the pipeline as compiled YAML."""
        from kfp import compiler

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "pipeline.yaml")
            compiler.Compiler().compile(self.build(image), str(file))
            return file.read_text()


def names() -> list[str]:
    """Return the names of all examples."""
    return sorted(file.parent.name for file in _ROOT.glob("*/pipeline.py"))


def load(name: str) -> Sample:
    """Load one example. Raises UsageError naming those there are."""
    if name not in names():
        msg = f"there is no example {name!r}"
        raise UsageError(msg, fix=f"--example is one of {', '.join(names())}")
    spec = importlib.util.spec_from_file_location(f"examples.{name}.pipeline", _ROOT / name / "pipeline.py")
    if spec is None or spec.loader is None:
        msg = f"examples/{name}/pipeline.py cannot be loaded"
        raise UsageError(msg)
    module = importlib.util.module_from_spec(spec)
    # kfp reads the source of the steps through their module.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return Sample(
        name=name,
        model=module.MODEL,
        arguments=dict(module.ARGUMENTS),
        features=tuple(module.FEATURES),
        attributes=tuple(module.ATTRIBUTES),
        label=module.LABEL,
        build=module.pipeline,
    )


def code_version() -> str:
    """Return the checkout's commit, with `-modified` when files differ from it; `unknown` without git."""
    try:
        commit = _git("rev-parse", "HEAD")
        return f"{commit}-modified" if _git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(paths.CHECKOUT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
