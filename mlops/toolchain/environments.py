"""The Python environment that the stand-in plugins run from: made once per content, never from the checkout."""

from __future__ import annotations

import compileall
import hashlib
import os
import platform
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from components._core import paths
from mlops.toolchain import uv

__all__ = ["PluginEnvironment", "plugin_environment"]

LOCK = paths.CHECKOUT / "uv.lock"
PLUGINS = paths.CHECKOUT / "mlops" / "plugins"

ROOTS = ("grpcio", "kubernetes", "protobuf", "pulumi")
"""What the stand-ins import; everything else follows from uv.lock."""

_RUN = '''\
"""Start a stand-in plugin: its name, then its arguments."""
import importlib
import sys
sys.path.insert(0, {code!r})
name = sys.argv.pop(1)
sys.exit(importlib.import_module(f"mlops.plugins.{{name}}.__main__").main())
'''


@dataclass(frozen=True)
class PluginEnvironment:
    """Two folders of the cache: third-party packages, which change with uv.lock, and our code, which changes often."""

    packages: Path
    code: Path

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.packages / "bin" / "python"

    @property
    def entry(self) -> Path:
        """The script that starts a plugin by name."""
        return self.code / "run.py"

    def ready(self) -> bool:
        """Tell whether both folders are there; they are complete when they are."""
        return self.python.exists() and self.entry.exists()

    def refresh(self) -> None:
        """Copy the code of this checkout, which takes a moment, where the packages are there already."""
        if self.python.exists() and not self.entry.exists():
            _make_code(self.code)

    def ensure(self) -> None:
        """Make what is missing."""
        self.packages.parent.mkdir(parents=True, exist_ok=True)
        if not self.python.exists():
            _make_packages(self.packages)
        if not self.entry.exists():
            _make_code(self.code)


def plugin_environment() -> PluginEnvironment:
    """Return the environment of this checkout's plugins, whether or not it is made yet."""
    packages, code = _keys()
    return PluginEnvironment(paths.cache("plugins", f"packages-{packages}"), paths.cache("plugins", f"code-{code}"))


@cache
def _keys() -> tuple[str, str]:
    packages, code = hashlib.sha256(), hashlib.sha256(b"1")
    interpreter = [platform.python_version(), sys.implementation.cache_tag, os.path.realpath(sys.executable)]
    packages.update("\n".join([*map(str, interpreter), *_requirements()]).encode())
    for file in _sources():
        code.update(f"\0{file.relative_to(PLUGINS)}\0".encode())
        code.update(file.read_bytes())
    return packages.hexdigest()[:12], code.hexdigest()[:12]


def _make_packages(target: Path) -> None:
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    requirements = target.with_name(f"{target.name}.{os.getpid()}.txt")
    try:
        requirements.write_text("\n".join(_requirements()) + "\n")
        # Relocatable: the folder gets its final name only when it is complete.
        uv.run(
            *("venv", "--quiet", "--relocatable", "--python", sys.executable, str(partial)),
            doing="the plugins' Python environment could not be made",
        )
        uv.run(
            *("pip", "install", "--quiet", "--require-hashes", "--no-deps", "--compile-bytecode"),
            *("--python", str(partial / "bin" / "python"), "-r", str(requirements)),
            doing="the plugins' Python packages could not be installed",
        )
        _put(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        requirements.unlink(missing_ok=True)


def _make_code(target: Path) -> None:
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for file in _sources():
            copy = partial / "mlops" / "plugins" / file.relative_to(PLUGINS)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        (partial / "mlops" / "__init__.py").touch()
        compileall.compile_dir(partial, quiet=2, stripdir=partial, prependdir=target)
        (partial / "run.py").write_text(_RUN.format(code=str(target)))
        _put(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put(partial: Path, target: Path) -> None:
    try:
        partial.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was first, with the same content
            raise


def _sources() -> list[Path]:
    return sorted(file for file in PLUGINS.rglob("*") if file.is_file() and file.suffix in {".py", ".json", ".pyi"})


@cache
def _requirements() -> tuple[str, ...]:
    """Return what uv.lock says of the plugins' packages and all they need, as lines of a requirements file."""
    locked = {package["name"]: package for package in tomllib.loads(LOCK.read_text())["package"]}
    found: dict[str, Mapping[str, Any]] = {}
    waiting = list(ROOTS)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = locked[name]
            # Markers are not followed: a package too many costs little, one too few is an error on some machine.
            waiting += [each["name"] for each in found[name].get("dependencies", [])]
    return tuple(_line(found[name]) for name in sorted(found))


def _line(package: Mapping[str, Any]) -> str:
    hashes = sorted(_hashes(package))
    return f"{package['name']}=={package['version']} " + " ".join(f"--hash={each}" for each in hashes)


def _hashes(package: Mapping[str, Any]) -> Iterator[str]:
    yield from (wheel["hash"] for wheel in package.get("wheels", []))
    if "sdist" in package:
        yield package["sdist"]["hash"]
