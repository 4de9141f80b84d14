"""Stand-ins and official plugins: who is used, where they lie, how the stand-ins start."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from components._core import paths, sources
from components._core.sources import Source
from mlops import toolchain
from mlops.toolchain import plugins
from mlops.toolchain.environments import ROOTS, _requirements, plugin_environment
from mlops.toolchain.install import Installer
from mlops.toolchain.model import modules


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch, builds: Any, registry_only: Any) -> None:
    """Have a `pulumi`, the SDK's scripts and the plugins' packages in the cache, each a small file."""
    sources.remember(Source.REGISTRY_ONLY)
    module = modules()["pulumi"]
    Installer(registry_only, {Source.REGISTRY_ONLY: builds()})._install(module, *_progress(module))
    for script in ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python"):
        file = paths.cache("go", "mod", f"github.com/pulumi/pulumi/sdk/v3@v{module.version}", script)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('#!/bin/sh\necho "official script: $*"\n')
    _executable(plugin_environment().python, '#!/bin/sh\necho "$MLOPS_LANGUAGE_EXECUTOR" "$@"\n')
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def _progress(module: Any) -> tuple[str, Any]:
    from mlops.toolchain.progress import Progress

    return module.name, Progress([(module.name, 1)])


def _executable(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)
    return file


@pytest.mark.usefixtures("ready")
def test_stand_ins_lie_where_the_engine_looks() -> None:
    engine = plugins.ensure_engine(Source.REGISTRY_ONLY)
    provider = plugins.ensure_kubernetes(Source.REGISTRY_ONLY, {})
    assert {file.name for file in engine.iterdir()} == {
        "pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python", "sdk",
        plugins.MARKER,
    }  # fmt: skip
    assert provider == paths.pulumi_home() / "plugins" / "resource-kubernetes-v4.34.2" / "pulumi-resource-kubernetes"
    assert (provider.parent / plugins.MARKER).exists()
    assert plugins.is_installed(Source.REGISTRY_ONLY)
    assert [(plugin.official, plugin.installed) for plugin in plugins.plugins(Source.REGISTRY_ONLY)] == [
        (False, True)
    ] * 2


@pytest.mark.usefixtures("ready")
def test_launchers_start_the_plugin_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = plugins.ensure_engine(Source.REGISTRY_ONLY)
    host = engine / "pulumi-language-python"

    def told() -> list[str]:
        return subprocess.run([host, "127.0.0.1:1"], capture_output=True, text=True, check=True).stdout.split()

    entry = str(plugin_environment().entry)
    assert told() == [str(engine / "pulumi-language-python-exec"), "-I", entry, "language_host", "127.0.0.1:1"]
    monkeypatch.setenv(plugins.CODE, "/other/run.py")
    assert told()[2] == "/other/run.py"


@pytest.mark.usefixtures("ready")
def test_dynamic_provider_is_the_official_script() -> None:
    script = plugins.ensure_engine(Source.REGISTRY_ONLY) / "pulumi-resource-pulumi-python"
    told = subprocess.run([script, "a", "b c"], capture_output=True, text=True, check=True).stdout
    assert told == "official script: a b c\n"


@pytest.mark.usefixtures("ready")
def test_official_language_host_on_the_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = plugins.ensure_engine(Source.REGISTRY_ONLY)
    official = _executable(tmp_path / "official" / "pulumi-language-python", "#!/bin/sh\necho official\n")
    monkeypatch.setenv("PATH", f"{ours}:{official.parent}:/usr/bin:/bin")
    assert plugins.official_language_host() is None  # it cannot run without its script
    _executable(official.with_name("pulumi-language-python-exec"), "")
    assert plugins.official_language_host() == official
    engine = plugins.ensure_engine(Source.REGISTRY_ONLY)
    assert engine != ours
    assert (engine / "pulumi-language-python").resolve() == official
    assert plugins.plugins(Source.REGISTRY_ONLY)[0].official


@pytest.mark.usefixtures("ready")
def test_official_kubernetes_provider_wins() -> None:
    official = _executable(plugins.kubernetes_folder() / "pulumi-resource-kubernetes", "official")
    assert plugins.ensure_kubernetes(Source.REGISTRY_ONLY, {}) == official
    assert official.read_text() == "official"
    assert plugins.plugins(Source.REGISTRY_ONLY)[1].official


@pytest.mark.usefixtures("ready")
def test_upstream_replaces_a_stand_in_by_the_official_provider() -> None:
    stand_in = plugins.ensure_kubernetes(Source.REGISTRY_ONLY, {})
    pulumi = plugins.engine_folder(Source.UPSTREAM) / "pulumi"
    _executable(pulumi, f'#!/bin/sh\nmkdir -p {stand_in.parent}; echo "$@" > {stand_in}\n')
    plugins.ensure_kubernetes(Source.UPSTREAM, {"PATH": "/usr/bin:/bin"})
    assert stand_in.read_text() == "plugin install resource kubernetes v4.34.2\n"
    assert plugins.has_official_kubernetes()


@pytest.mark.usefixtures("ready")
def test_changed_code_is_picked_up_by_the_environment_alone() -> None:
    plugins.ensure_engine(Source.REGISTRY_ONLY)
    entry = plugin_environment().entry
    entry.unlink()
    entry.parent.joinpath("mlops", "__init__.py").unlink()
    for file in sorted(entry.parent.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    entry.parent.rmdir()
    assert toolchain.environment()[plugins.CODE] == str(entry)
    assert (entry.parent / "mlops" / "plugins" / "language_host" / "server.py").exists()


def test_requirements_are_the_locked_ones_with_hashes() -> None:
    locked = {each["name"]: each for each in tomllib.loads((paths.CHECKOUT / "uv.lock").read_text())["package"]}
    lines = {line.split("==")[0]: line for line in _requirements()}
    assert set(ROOTS) <= set(lines)
    assert lines["pulumi"].startswith("pulumi==3.255.0 --hash=sha256:")
    for name, line in lines.items():
        assert f"=={locked[name]['version']} " in line
        assert "--hash=sha256:" in line


def test_provider_version_is_that_of_the_python_package() -> None:
    assert f'"pulumi-kubernetes=={plugins.KUBERNETES_VERSION}"' in (paths.CHECKOUT / "pyproject.toml").read_text()
    assert f'"pulumi=={modules()["pulumi"].version}"' in (paths.CHECKOUT / "pyproject.toml").read_text()
