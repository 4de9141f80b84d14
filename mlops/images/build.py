"""Builds images from their recipes, once per content: Debian by debootstrap, everything else by a Containerfile."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from components._core import engine as engines
from components._core import images, sources
from components._core.artefacts import GoModule
from components._core.engine import Engine
from components._core.images import Image, Recipes, Upstream
from components._core.sources import Source
from mlops import console
from mlops.errors import OperationError
from mlops.images import layers, transfer
from mlops.images.store import Store, Stored

__all__ = ["Builder"]

_NEEDED_BYTES = 5 << 30
_LOG_LINES = 15
_DEBIAN = "http://deb.debian.org/debian"
_WASTE = (
    "var/cache/apt/archives",
    "var/lib/apt/lists",
    "var/log",
    *(f"usr/share/{x}" for x in ("doc", "man", "info", "locale")),
)
_BUNDLES = (
    *(os.environ.get(name) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")),
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
)
_SETTINGS = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_TRUSTED_HOST",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_HTTP_TIMEOUT",
    "UV_INSECURE_HOST",
)


class Builder:
    """Builds what is missing from a store of images."""

    def __init__(
        self,
        *,
        store: Store | None = None,
        engine: Engine | None = None,
        source: Source | None = None,
        recipes: Recipes = images.RECIPES,
        program: Callable[[str], Path] | None = None,
    ) -> None:
        self.store = store or Store()
        self.source = source or sources.chosen() or Source.UPSTREAM
        self.recipes = recipes
        self._engine = engine
        self._program = program or _toolchain_program

    @property
    def engine(self) -> Engine:
        """Return the container engine. Raises OperationError when there is none."""
        if self._engine is None:
            from mlops import toolchain

            # What is installed is not enough: a docker without a daemon is passed over.
            self._engine = engines.find(toolchain.environment())
        if self._engine is None:
            msg = "images are built by podman or docker, and neither is installed"
            raise OperationError(msg, fix="mlops doctor")
        return self._engine

    def ensure(self, names: Iterable[str]) -> list[Stored]:
        """Build the named images where the store lacks them, and return them. What is upstream's is left out."""
        wanted = [name for name in names if images.is_local(self.recipes.reference(name, self.source))]
        return [self._ensure(name) for name in dict.fromkeys(wanted)]

    def _ensure(self, name: str) -> Stored:
        reference = self.recipes.reference(name, self.source)
        if found := self.store.find(reference):
            return found
        recipe = self.recipes.image(name)
        base = self._base(recipe)
        programs = {name: self._program(name) for names in recipe.binaries.values() for name in names}
        with self._lock(reference):
            if found := self.store.find(reference):  # somebody else built it meanwhile
                return found
            self._check_disk(name)
            with console.step(f"image {name}", expected=recipe.seconds), self._workspace() as work:
                if recipe.layer:
                    return self._layer(work, name, reference, base, programs)
                # Under a name of its own: whatever runs from an image of the final name is left alone.
                made = f"{images.LOCAL}/{name}:building-{os.getpid()}"
                with self._lock("engine"):
                    transfer.sweep(self.engine)
                    try:
                        if recipe.debootstrap:
                            self._debootstrap(work, made, recipe.debootstrap)
                        else:
                            self._containerfile(work, name, made, base, programs)
                        return transfer.save(self.engine, self.store, made, reference)
                    finally:
                        self.engine.run("image", "rm", made, check=False)

    def _base(self, recipe: Image) -> str:
        """Return the reference of the base, built where it is ours."""
        if recipe.base is None:
            return "scratch"
        for stored in self.ensure([recipe.base]):
            return stored.reference
        return self.recipes.reference(recipe.base, self.source)

    def _layer(self, work: Path, name: str, reference: str, base: str, programs: Mapping[str, Path]) -> Stored:
        layer = self.recipes.image(name).layer
        assert layer is not None  # noqa: S101 (the caller asked)
        context = work / "context"
        _fill(context, self.recipes, name, programs)
        settings: dict[str, object] = {}
        if layer.entrypoint is not None:
            settings |= {"Entrypoint": layer.entrypoint, "Cmd": None}
        if layer.user is not None:
            settings["User"] = layer.user
        archive = work / "layer.tar"
        layers.write(archive, context, layer.files)
        with archive.open("rb") as content:
            return self.store.extend(reference, self.store.find(base), content, settings)

    def _debootstrap(self, work: Path, made: str, suite: str) -> None:
        if os.geteuid() != 0 or not shutil.which("debootstrap"):
            msg = "the base of the images is made by debootstrap, which needs root and its Debian package"
            raise OperationError(msg, fix="apt-get install debootstrap, then run again as root")
        root, archive = work / "root", work / "root.tar"
        _run(["debootstrap", "--variant=minbase", suite, str(root), _DEBIAN], work, doing=f"debootstrap of {suite}")
        for waste in _WASTE:
            shutil.rmtree(root / waste, ignore_errors=True)
            (root / waste).mkdir(parents=True)
        _run(["tar", "--numeric-owner", "-C", str(root), "-cf", str(archive), "."], work, doing="tar")
        with archive.open("rb") as content:
            self.engine.run("import", "-", made, stdin=content, timeout=600)

    def _containerfile(self, work: Path, name: str, made: str, base: str, programs: Mapping[str, Path]) -> None:
        context = work / "context"
        _fill(context, self.recipes, name, programs)
        stored = self.store.find(base) if images.is_local(base) else None
        if stored:
            transfer.into_engine(self.engine, self.store, stored)
        command = [self.engine.name, "build", "--file", str(context / "Containerfile"), "--tag", made]
        command += ["--build-arg", f"BASE={base}"]
        if self.engine.name == "podman":
            # chroot: a build step needs no more than a file system, and nested machines often allow no more.
            command += ["--layers=false", "--force-rm", "--isolation=chroot"]
            command += ["--pull=never"] if base == "scratch" or stored else []
        for key, file in _secrets(work).items():
            command += ["--secret", f"id={key},src={file}"]
        try:
            # The engine keeps its cache mounts and half-made layers there: on our disk, found again next time.
            scratch = self.store.folder / "scratch"
            scratch.mkdir(exist_ok=True)
            environment = {**self.engine.environment, "TMPDIR": str(scratch)}
            _run([*command, str(context)], work, doing=f"the build of {name}", environment=environment)
        finally:
            if stored:
                self.engine.run("image", "rm", stored.reference, check=False)

    def _check_disk(self, name: str) -> None:
        self.store.folder.mkdir(parents=True, exist_ok=True)
        left = shutil.disk_usage(self.store.folder).free
        if left < _NEEDED_BYTES:
            msg = f"building image {name} takes {_NEEDED_BYTES >> 30} GiB; {self.store.folder} has {left >> 30} free"
            raise OperationError(msg, fix="free space, run `mlops images prune`, or set MLOPS_CACHE to another disk")

    @contextmanager
    def _lock(self, reference: str) -> Iterator[None]:
        """Let one process at a time build one image, and one at a time use the engine for it."""
        file = self.store.folder / "locks" / reference.rpartition("/")[2].replace(":", "-")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _workspace(self) -> Iterator[Path]:
        """Give a folder to work in; it is removed afterwards, and so are those of builds that were killed."""
        parent = self.store.folder / "work"
        parent.mkdir(parents=True, exist_ok=True)
        for left in parent.iterdir():
            owner = left.name.partition("-")[0]
            if not owner.isdigit() or not psutil.pid_exists(int(owner)):
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _fill(context: Path, recipes: Recipes, name: str, programs: Mapping[str, Path]) -> None:
    """Lay out what a recipe may copy: its own folder, and the programs, folders and upstream files that it names."""
    ignored = shutil.ignore_patterns("image.yaml", "README.md", "__pycache__", "*.pyc")
    shutil.copytree(recipes.folder / name, context, ignore=ignored)
    for program, file in programs.items():
        target = context / "bin" / program
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, target)
        target.chmod(0o755)
    for target_name, path in recipes.image(name).folders.items():
        for file in images.whole(recipes.checkout / path):
            target = context / target_name / file.relative_to(recipes.checkout / path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    for module, wanted in recipes.image(name).sources.items():
        folder = _upstream(recipes.toolchain / module / "go.sum", wanted)
        shutil.copytree(folder, context / "upstream" / module, copy_function=shutil.copyfile)


def _upstream(sums: Path, wanted: Upstream) -> Path:
    """Return a folder of an upstream Go module, at the version and hash that a go.sum locks."""
    for line in sums.read_text().splitlines():
        path, version, h1 = line.split()
        if path == wanted.module and not version.endswith("/go.mod"):
            return GoModule(path, version, h1).file(wanted.folder)
    msg = f"{sums} does not lock {wanted.module}"
    raise OperationError(msg)


def _secrets(work: Path) -> Mapping[str, Path]:
    """Return what a build may read and never keeps: the certificates and the package indexes of this machine."""
    settings = work / "packages.env"
    lines = [f"export {name}={shlex.quote(os.environ[name])}\n" for name in _SETTINGS if os.environ.get(name)]
    settings.write_text("".join(lines))
    bundle = next((Path(file) for file in _BUNDLES if file and Path(file).is_file()), None)
    return {"packages": settings} | ({"certificates": bundle} if bundle else {})


def _run(command: Sequence[str], work: Path, *, doing: str, environment: Mapping[str, str] | None = None) -> None:
    """Run one long command, its output in a file; raise OperationError with the end of it when it fails."""
    log = work.parent.parent / "last-failure.log"
    output = work / "log"
    with output.open("wb") as sink:
        run = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=dict(environment) if environment else None,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 (one thread)
        )
        try:
            code = run.wait()
        except BaseException:
            os.killpg(run.pid, signal.SIGTERM)
            run.wait()
            raise
    if code:
        shutil.copyfile(output, log)
        end = output.read_text(errors="replace").strip().splitlines()[-_LOG_LINES:]
        msg = f"{doing} failed with exit code {code}; the end of its output:\n    " + "\n    ".join(end)
        raise OperationError(msg, fix=f"all of it is in {log}")


def _end_with_parent() -> None:
    """Ask the kernel to end a build when whoever wanted it is killed."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _toolchain_program(name: str) -> Path:
    if folder := os.environ.get("MLOPS_BIN_DIR"):
        return Path(folder, name)
    from mlops import toolchain

    return toolchain.binary(name)
