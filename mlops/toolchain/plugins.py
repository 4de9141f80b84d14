"""The plugins of the engine: beside `pulumi`, and in PULUMI_HOME. The official ones win wherever they are."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from components._core import files, paths
from components._core.artefacts import ArtefactError, GoModule
from components._core.sources import Source
from mlops.errors import OperationError
from mlops.toolchain.environments import PluginEnvironment, plugin_environment
from mlops.toolchain.model import ROOT, modules
from mlops.toolchain.store import folder_of, read_manifest

__all__ = [
    "KUBERNETES",
    "KUBERNETES_VERSION",
    "MARKER",
    "Plugin",
    "engine_folder",
    "ensure_engine",
    "ensure_kubernetes",
    "is_installed",
    "plugins",
]

KUBERNETES_VERSION = "4.34.2"
"""Version of the Kubernetes provider; the same as of the Python package in pyproject.toml."""

MARKER = ".oss-mlops-platform-stand-in"
"""Lies beside every stand-in, so that it is never taken for the official plugin."""

CODE = "MLOPS_PLUGIN_RUN"
"""Names the entry of the stand-ins; overrides what was current when a launcher was written."""

LANGUAGE = "pulumi-language-python"
KUBERNETES = "pulumi-resource-kubernetes"

DYNAMIC = "pulumi-resource-pulumi-python"

_SDK = "github.com/pulumi/pulumi/sdk/v3"
_SCRIPTS = {
    f"{LANGUAGE}-exec": f"python/cmd/{LANGUAGE}-exec",
    DYNAMIC: f"python/dist/{DYNAMIC}",
}
"""Files of the official release that its Go module carries."""

_WATCHED = """\
#!/bin/sh
# Written by `mlops toolchain`: runs the SDK's script of this name, and ends it when the engine was killed and cannot.
# Asked of this process, not of the engine: a killed engine keeps its number until somebody has waited for it.
engine=$PPID
parent() { ps -o ppid= -p $$ || sed -n 's/^PPid://p' /proc/$$/status; }
(
  trap '' TERM
  while [ "$(parent)" -eq "$engine" ]; do
    sleep 1
  done
  kill -s TERM -- "-$$"
  sleep 2
  kill -s KILL -- "-$$"
) < /dev/null > /dev/null 2>&1 &
exec "$(dirname "$(readlink -f "$0")")/sdk/$(basename "$0")" "$@"
"""
"""The engine starts every plugin as a process group of its own, which is what is ended."""

_LAYOUT = "4"
"""Part of the key of the engine's folder: raise it when what is put into that folder changes."""


@dataclass(frozen=True)
class Plugin:
    """One plugin as the engine will find it."""

    name: str
    path: Path
    official: bool
    installed: bool


def plugins(source: Source) -> list[Plugin]:
    """Return the language host and the Kubernetes provider in use."""
    language = official_language_host() if source is Source.REGISTRY_ONLY else None
    place = language or engine_folder(source) / LANGUAGE
    provider = kubernetes_folder() / KUBERNETES
    return [
        Plugin(LANGUAGE, place, language is not None or source is Source.UPSTREAM, place.exists()),
        Plugin(KUBERNETES, provider, has_official_kubernetes(), provider.exists()),
    ]


def engine_folder(source: Source) -> Path:
    """Return the folder with `pulumi` and what the engine looks for beside it, whether or not it exists.

    Upstream it is the unpacked release. Registry-only it is put together under a key of its parts, save the code of
    the stand-ins: that is named by the environment, so that checkouts with different code do not disturb each other.
    """
    built = folder_of(modules()["pulumi"], source)
    if source is Source.UPSTREAM:
        return built
    parts = [_LAYOUT, built.name, str(official_language_host() or ""), str(plugin_environment().python)]
    return paths.cache("plugins", f"engine-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:12]}")


def ensure_engine(source: Source) -> Path:
    """Make the folder of `engine_folder`; `pulumi` itself must be built already."""
    target = engine_folder(source)
    if source is Source.UPSTREAM:
        return target
    environment = plugin_environment()
    environment.ensure()
    if (target / MARKER).exists():
        if official_language_host() is None:
            _launcher(target / LANGUAGE, "language_host", environment)
        return target
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _link(folder_of(modules()["pulumi"], source) / "pulumi", partial / "pulumi")
        for name, file in _sdk_files().items():
            _script(partial / (f"sdk/{name}" if name == DYNAMIC else name), file.read_text())
        _script(partial / DYNAMIC, _WATCHED)
        official = official_language_host()
        if official is not None:
            (partial / LANGUAGE).symlink_to(official)
        else:
            _launcher(partial / LANGUAGE, "language_host", environment)
        (partial / MARKER).write_text("official\n" if official else "stand-in\n")
        try:
            partial.rename(target)
        except OSError:
            if not (target / MARKER).exists():  # else another process was first, with the same content
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def official_language_host() -> Path | None:
    """Return the official language host when the user has one on PATH with its script beside it."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        file = Path(folder or ".", LANGUAGE)
        if os.access(file, os.X_OK) and file.is_file():
            real = file.resolve()
            ours = (real.parent / MARKER).exists() or (file.parent / MARKER).exists()
            if not ours and (real.parent / f"{LANGUAGE}-exec").exists():
                return real
    return None


def kubernetes_folder() -> Path:
    """Return where the engine looks for the Kubernetes provider."""
    home = Path(os.environ.get("PULUMI_HOME") or paths.pulumi_home())
    return home / "plugins" / f"resource-kubernetes-v{KUBERNETES_VERSION}"


def has_official_kubernetes() -> bool:
    """Tell whether the official provider is installed."""
    folder = kubernetes_folder()
    return (folder / KUBERNETES).exists() and not (folder / MARKER).exists()


def ensure_kubernetes(source: Source, environment: dict[str, str]) -> Path:
    """Install the provider: upstream the official one, registry-only the stand-in unless the official one is there."""
    folder = kubernetes_folder()
    if has_official_kubernetes():
        return folder / KUBERNETES
    if source is Source.REGISTRY_ONLY:
        stand_in = plugin_environment()
        stand_in.ensure()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()
        _launcher(folder / KUBERNETES, "kubernetes_provider", stand_in)
        return folder / KUBERNETES
    shutil.rmtree(folder, ignore_errors=True)  # a stand-in of an earlier registry-only installation
    command = [str(engine_folder(source) / "pulumi"), "plugin", "install", "resource", "kubernetes"]
    done = subprocess.run(
        [*command, f"v{KUBERNETES_VERSION}"],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        msg = f"the Kubernetes provider {KUBERNETES_VERSION} could not be installed: {done.stderr.strip()}"
        raise OperationError(
            msg,
            fix="check the network, or use --source registry-only",
        )
    return folder / KUBERNETES


def _launcher(file: Path, plugin: str, environment: PluginEnvironment) -> None:
    """Write the script that the engine starts; replaced in one step, because it may be running."""
    executor = ""
    if plugin == "language_host":
        beside = f'"$(dirname "$(readlink -f "$0")")/{LANGUAGE}-exec"'
        executor = f"MLOPS_LANGUAGE_EXECUTOR={beside}\nexport MLOPS_LANGUAGE_EXECUTOR\n"
    text = (
        "#!/bin/sh\n"
        f"# Stand-in for {file.name}, written by `mlops toolchain`; the official plugin replaces it.\n"
        f"{executor}"
        # -I: neither the user's site-packages nor a PYTHONPATH of the program belong here.
        f"exec {shlex.quote(str(environment.python))} -I "
        f'"${{{CODE}:-{environment.entry}}}" {plugin} "$@"\n'
    )
    if file.exists() and file.read_text(errors="replace") == text:
        return
    files.write(file, text, mode=0o755)


def _script(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


def _sdk_files() -> dict[str, Path]:
    """Return the scripts of the SDK, from its Go module at the version and hash that the engine's go.sum locks."""
    version = f"v{modules()['pulumi'].version}"
    prefix = f"{_SDK} {version} "
    sums = (ROOT / "pulumi" / "go.sum").read_text().splitlines()
    h1 = next((line.removeprefix(prefix) for line in sums if line.startswith(prefix)), None)
    if h1 is None:
        msg = f"toolchain/pulumi/go.sum does not lock {_SDK} {version}"
        raise OperationError(msg)
    unpacked = paths.cache("go", "mod", f"{_SDK}@{version}")
    try:
        module = GoModule(_SDK, version, h1)
        return {
            # Go's own module cache holds the files verified already, on the machine that has just built `pulumi`.
            name: unpacked / path if (unpacked / path).exists() else module.file(path)
            for name, path in _SCRIPTS.items()
        }
    except ArtefactError as error:
        raise OperationError(str(error), fix="check the network and GOPROXY, then run again") from error


def is_installed(source: Source) -> bool:
    """Tell whether `pulumi` and both plugins are in place and current."""
    engine = engine_folder(source)
    if source is Source.UPSTREAM:
        return read_manifest(engine) is not None and has_official_kubernetes()
    current = has_official_kubernetes() or _is_current(kubernetes_folder() / KUBERNETES)
    return (engine / MARKER).exists() and plugin_environment().ready() and current


def _is_current(launcher: Path) -> bool:
    try:
        return str(plugin_environment().entry) in launcher.read_text()
    except OSError:
        return False
