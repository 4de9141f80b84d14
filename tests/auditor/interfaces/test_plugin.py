"""The example plugin, installed as anybody would install it: interface, type and strategy in a document."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[3] / "examples" / "cabc_plugin"
CONNECTIONS = "connections:\n  model-files: {kind: requirements, root: files}\n"
SPECIFICATION = """\
conformitySpecification:
  id: pinned
  version: 1
  mode: self-assessment
  parties: [{id: bank, role: auditee}]
  subject: {name: scoring}
  dimensions:
    - id: supply-chain
      requirements:
        - id: libraries
          severity: high
          frequency: P1D
          metrics:
            - id: versions
              measurements:
                - id: scikit-learn
                  interface: {kind: requirements, connection: model-files, path: locked.txt, package: Scikit_Learn}
                  dataType: version
                  comparison: CompatibleWith
                  target: "1.9.1"
                - id: numpy
                  interface: {kind: requirements, connection: model-files, path: locked.txt, package: numpy}
                  dataType: version
                  comparison: LessThan
                  target: "2.10"
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the plugin into a folder of its own."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PLUGIN, folder / "source")
    uv = Path(sys.executable).with_name("uv")
    command = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--target",
        folder / "site",
        folder / "source",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return folder / "site"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give an auditor's home with the plugin's connection, a requirements file and a specification."""
    (tmp_path / ".cabc" / "files").mkdir(parents=True)
    (tmp_path / ".cabc" / "files" / "locked.txt").write_text(
        "# locked\nscikit-learn[all]==1.10.0 \\\n    --hash=sha256:00\nnumpy==2.9.1  # fast\nother>=1\n"
    )
    (tmp_path / ".cabc" / "connections.yaml").write_text(CONNECTIONS)
    (tmp_path / "spec.yaml").write_text(SPECIFICATION)
    return tmp_path


def cabc(home: Path, *arguments: str, site: Path | None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site) if site else "", "PYTHONWARNINGS": ""}
    command = [sys.executable, "-c", "from cabc.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=home, env=environment, check=False)


def test_a_run_uses_all_three(installed: Path, home: Path) -> None:
    checked = cabc(home, "validate", "spec.yaml", site=installed)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    ran = cabc(home, "assess", "spec.yaml", "--json", site=installed)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["status"]["status"] == "conformant"


def test_a_library_of_another_major_version_is_found(installed: Path, home: Path) -> None:
    (home / ".cabc" / "files" / "locked.txt").write_text("scikit-learn==2.0\nnumpy==2.9.1\n")
    ran = cabc(home, "assess", "spec.yaml", site=installed)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "compatible with 1.9.1" in ran.stdout


def test_mistakes_are_found_by_the_plugins_own_rules(installed: Path, home: Path) -> None:
    text = SPECIFICATION.replace('target: "1.9.1"', "target: newest").replace("package: numpy", "pakage: numpy")
    (home / "spec.yaml").write_text(text)
    checked = cabc(home, "validate", "spec.yaml", site=installed)
    assert checked.returncode != 0
    assert "package" in checked.stdout + checked.stderr
    (home / "spec.yaml").write_text(SPECIFICATION.replace('target: "1.9.1"', "target: newest"))
    checked = cabc(home, "validate", "spec.yaml", site=installed)
    assert "spec.yaml:20:27" in checked.stdout + checked.stderr
    assert "no version" in checked.stdout + checked.stderr


def test_the_schema_knows_the_kind(installed: Path, home: Path) -> None:
    assert "requirements" in cabc(home, "schema", site=installed).stdout


def test_without_the_plugin_the_document_is_refused(home: Path) -> None:
    checked = cabc(home, "validate", "spec.yaml", site=None)
    assert checked.returncode != 0
    assert "requirements" in checked.stdout + checked.stderr
