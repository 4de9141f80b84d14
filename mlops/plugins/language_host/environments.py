"""Where the Python of a program is: pip, poetry or uv, each found and run as the official host does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlops.plugins.language_host.errors import HostError
from mlops.plugins.language_host.options import PythonOptions

__all__ = ["Command", "Environment", "Pip", "Poetry", "Uv", "is_virtualenv", "resolve", "search_up"]

VENV_DOCS = "https://www.pulumi.com/docs/intro/languages/python/#virtual-environments"


@dataclass(frozen=True)
class Command:
    """A process to start."""

    args: Sequence[str | Path]
    env: dict[str, str]
    cwd: Path | None = None

    def output(self, doing: str) -> str:
        """Run to the end and return stdout; raises HostError with the process's stderr."""
        try:
            done = subprocess.run(self.args, env=self.env, cwd=self.cwd, capture_output=True, text=True, check=False)
        except OSError as error:
            msg = f"{doing}: {error}"
            raise HostError(msg) from error
        if done.returncode:
            msg = f"{doing}: exit status {done.returncode}: {done.stderr.strip()}"
            raise HostError(msg)
        return done.stdout


class Environment(ABC):
    """The Python of one program and the tool that installs into it."""

    tool: str
    """The word of the `toolchain` option."""

    @abstractmethod
    def python(self, *args: str) -> Command:
        """Return the command that runs the program's Python with `args`."""

    @abstractmethod
    def virtualenv(self) -> Path | None:
        """Return the folder of the virtual environment; None when the ambient Python is used."""

    @abstractmethod
    def install(self, folder: Path) -> Iterator[Command | str]:
        """Yield what installs the dependencies, in order: commands to run, lines to show."""

    @abstractmethod
    def ensure(self, folder: Path) -> Iterator[Command | str]:
        """Yield what is needed to have an environment at all; nothing when there is one."""

    @abstractmethod
    def prepare(self, folder: Path) -> Iterator[Command | str]:
        """Yield what makes a template, which has only a requirements.txt, a project of this tool."""

    @abstractmethod
    def validate(self) -> None:
        """Raise HostError when the environment that was asked for is none."""


def resolve(options: PythonOptions) -> Environment:
    """Return the environment that the options name, or that the lock files found upward from the program imply."""
    toolchain = options.toolchain
    if not toolchain:
        locks = {"uv.lock": "uv", "poetry.lock": "poetry"}
        toolchain = next((tool for lock, tool in locks.items() if search_up(options.program, lock)), "pip")
    if toolchain == "uv":
        return Uv(options.program, options.root / options.virtualenv if options.virtualenv else None)
    if toolchain == "poetry":
        return Poetry(options.program)
    return Pip(options.root, options.virtualenv)


def search_up(folder: Path, name: str) -> Path | None:
    """Return the nearest folder, from `folder` upward, that holds `name`."""
    return next((each for each in (folder, *folder.parents) if (each / name).exists()), None)


def is_virtualenv(folder: Path) -> bool:
    """Tell whether the folder has a Python of its own."""
    return (folder / "bin" / "python").is_file()


def _activated(venv: Path) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "VIRTUAL_ENV")}
    env["PATH"] = os.pathsep.join(filter(None, (str(venv / "bin"), env.get("PATH", ""))))
    env["VIRTUAL_ENV"] = str(venv)
    return env


def _ambient_python() -> str:
    """Return the Python outside of any environment: `PULUMI_PYTHON_CMD`, else python3, else python."""
    asked = os.environ.get("PULUMI_PYTHON_CMD")
    names = [asked] if asked else ["python3", "python"]
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    listed = " ".join(f'"{name}"' for name in names)
    msg = f"failed to locate any of [{listed}] on your PATH. Have you installed Python 3.6 or greater?"
    raise HostError(msg)


def _pyenv(folder: Path) -> Path | None:
    """Return the `.python-version` file that pyenv, when there is one, would follow."""
    found = search_up(folder, ".python-version")
    return found / ".python-version" if found and shutil.which("pyenv") else None


@dataclass
class Pip(Environment):
    """A virtual environment under the project's root, or the ambient Python when none is asked for."""

    root: Path
    option: str
    tool = "pip"

    def python(self, *args: str) -> Command:
        """Run `bin/python` of the environment, activated; else the ambient Python."""
        venv = self.virtualenv()
        if venv is None:
            return Command([_ambient_python(), *args], dict(os.environ))
        return Command([venv / "bin" / "python", *args], _activated(venv))

    def virtualenv(self) -> Path | None:
        """Return `virtualenv` of Pulumi.yaml, under the folder of Pulumi.yaml."""
        return self.root / self.option if self.option else None

    def validate(self) -> None:
        """Raise HostError with the commands that create the environment."""
        venv = self.virtualenv()
        if venv is None or is_virtualenv(venv):
            return
        found = "doesn't appear to be a virtual environment" if venv.exists() else "doesn't exist"
        python = venv / "bin" / "python"
        msg = (
            f'The \'virtualenv\' option in Pulumi.yaml is set to "{self.option}", but "{venv}" {found}; '
            "run the following commands to create the virtual environment and install dependencies into it:\n\n"
            f"    1. python3 -m venv {venv}\n"
            f"    2. {python} -m pip install --upgrade pip setuptools wheel\n"
            f"    3. {python} -m pip install -r requirements.txt\n\n"
            f"For more information see: {VENV_DOCS}"
        )
        raise HostError(msg)

    def ensure(self, folder: Path) -> Iterator[Command | str]:
        """Create and fill the environment when its folder is missing or empty."""
        venv = self.virtualenv()
        if venv is None or is_virtualenv(venv):
            return
        if venv.exists() and not venv.is_dir():
            msg = f"the 'virtualenv' option in Pulumi.yaml is set to \"{venv}\" but it is not a directory"
            raise HostError(msg)
        if not venv.exists() or not any(venv.iterdir()):
            yield from self.install(folder)

    def install(self, folder: Path) -> Iterator[Command | str]:
        """Create the environment, update pip in it, install requirements.txt."""
        venv = self.virtualenv()
        if venv is not None:
            yield "Creating virtual environment..."
            yield Command([_ambient_python(), "-m", "venv", venv], dict(os.environ))
            yield "Finished creating virtual environment"
        yield "Updating pip, setuptools, and wheel in virtual environment..."
        yield self._pip(folder, "--upgrade", "pip", "setuptools", "wheel")
        yield "Finished updating"
        if (folder / "requirements.txt").exists():
            yield "Installing dependencies in virtual environment..."
            yield self._pip(folder, "-r", "requirements.txt")
            yield "Finished installing dependencies"

    def prepare(self, folder: Path) -> Iterator[Command | str]:
        """Do nothing: requirements.txt is what pip wants."""
        del folder
        yield from ()

    def _pip(self, folder: Path, *args: str) -> Command:
        command = self.python("-m", "pip", "install", *args)
        return Command(command.args, command.env, folder)


@dataclass
class Uv(Environment):
    """The project's uv environment, found upward from the program and kept in step with its lock."""

    program: Path
    asked: Path | None
    synced: bool = field(default=False, init=False)
    tool = "uv"

    MINIMUM = (0, 4, 26)

    def __post_init__(self) -> None:
        """Refuse a machine without uv, or with one that is too old."""
        if not shutil.which("uv"):
            msg = "Could not find `uv` executable.\nInstall uv and make sure it is in your PATH."
            raise HostError(msg)

    def version(self) -> str:
        """Return the version of uv; raises HostError when it is older than the oldest that is supported."""
        text = self._uv("--version").output("failed to get uv version").strip()
        found = re.search(r"uv (\d+)\.(\d+)(?:\.(\d+))?", text)
        if not found:
            msg = f'unexpected output from `uv --version`: "{text}"'
            raise HostError(msg)
        numbers = tuple(int(number or 0) for number in found.groups())
        if numbers < self.MINIMUM:
            wanted = ".".join(map(str, self.MINIMUM))
            msg = f"uv version {text} is less than the minimum required version {wanted}"
            raise HostError(msg)
        return ".".join(map(str, numbers))

    def python(self, *args: str) -> Command:
        """Sync the environment once, as `uv run` would on each call, then run its Python from the program's folder."""
        if not self.synced and search_up(self.program, "pyproject.toml"):
            self._check_project(self.program)
            self.version()
            self._uv("sync", "--inexact").output("error creating virtual environment")
            self.synced = True
        venv = self.virtualenv()
        return Command([venv / "bin" / "python", *args], _activated(venv), self.program)

    def virtualenv(self) -> Path:
        """Return the option's folder, else `.venv` (or `UV_PROJECT_ENVIRONMENT`) beside the nearest uv.lock."""
        if self.asked is not None:
            return self.asked
        beside = search_up(self.program, "uv.lock") or search_up(self.program, "pyproject.toml") or self.program
        return beside / (os.environ.get("UV_PROJECT_ENVIRONMENT") or ".venv")

    def validate(self) -> None:
        """Raise HostError when there is no Python in the environment."""
        if not is_virtualenv(self.virtualenv()):
            msg = f"'{self.virtualenv()}' is not a virtualenv"
            raise HostError(msg)

    def ensure(self, folder: Path) -> Iterator[Command | str]:
        """Create an empty environment; the sync before the first command fills it."""
        if not is_virtualenv(self.virtualenv()):
            yield self._uv("venv", "--quiet", "--allow-existing", str(self.virtualenv()), cwd=folder)

    def install(self, folder: Path) -> Iterator[Command | str]:
        """Sync; a folder with only a requirements.txt becomes a uv project first, as the official host does it."""
        if not search_up(folder, "uv.lock"):
            yield from self.prepare(folder)
        self._check_project(folder)
        yield self._uv("sync", cwd=folder)

    def prepare(self, folder: Path) -> Iterator[Command | str]:
        """Create a pyproject.toml and move the requirements into it, unless there is one."""
        if search_up(folder, "pyproject.toml"):
            return
        beside = search_up(folder, "requirements.txt")
        yield self._uv("init", "--bare", "--no-package", "--no-pin-python", cwd=beside or folder)
        if beside:
            requirements = beside / "requirements.txt"
            yield self._uv("add", "--no-sync", "--no-workspace", "-r", str(requirements), cwd=beside)
            requirements.unlink()
            yield "Deleted requirements.txt, dependencies for this project are tracked in pyproject.toml"

    def _check_project(self, folder: Path) -> None:
        where = search_up(folder, "pyproject.toml")
        if where is None or search_up(folder, "uv.lock"):
            return
        if "project" not in tomllib.loads((where / "pyproject.toml").read_text()):
            msg = (
                f"{where / 'pyproject.toml'} is missing a [project] section, which uv requires to install "
                "dependencies; add a [project] section with a name and dependencies to use the uv toolchain"
            )
            raise HostError(msg)

    def _uv(self, *args: str, cwd: Path | None = None) -> Command:
        env = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(self.virtualenv())}
        return Command(["uv", *args], env, cwd or self.program)


@dataclass
class Poetry(Environment):
    """The environment that poetry keeps for the program's folder."""

    program: Path
    found: Path | None = field(default=None, init=False)
    tool = "poetry"

    def __post_init__(self) -> None:
        """Refuse a machine without poetry."""
        if not shutil.which("poetry"):
            msg = (
                "Could not find `poetry` executable.\nInstall poetry and make sure it is in your PATH, "
                "or set the toolchain option in Pulumi.yaml to `pip`."
            )
            raise HostError(msg)

    def python(self, *args: str) -> Command:
        """Run `bin/python` of the environment from the program's folder."""
        venv = self.virtualenv()
        return Command([venv / "bin" / "python", *args], _activated(venv), self.program)

    def virtualenv(self) -> Path:
        """Ask poetry, once."""
        if self.found is None:
            told = self._poetry("env", "info", "--path").output("failed to get venv path").strip()
            if not told:
                msg = "expected a virtualenv path, got empty string"
                raise HostError(msg)
            self.found = Path(told)
        return self.found

    def validate(self) -> None:
        """Raise HostError when there is no Python in the environment."""
        if not is_virtualenv(self.virtualenv()):
            msg = f"'{self.virtualenv()}' is not a virtualenv"
            raise HostError(msg)

    def ensure(self, folder: Path) -> Iterator[Command | str]:
        """Install when poetry knows no environment."""
        try:
            self.virtualenv()
        except HostError:
            yield from self.install(folder)

    def install(self, folder: Path) -> Iterator[Command | str]:
        """Run `poetry install`."""
        yield from self.prepare(folder)
        command = self._poetry("install", "--no-ansi")
        if _pyenv(folder):
            command.env["POETRY_VIRTUALENVS_PREFER_ACTIVE_PYTHON"] = "true"
        yield command

    def prepare(self, folder: Path) -> Iterator[Command | str]:
        """Refuse what the official host does here: turning a requirements.txt into a poetry project."""
        if not search_up(folder, "pyproject.toml"):
            msg = (
                "this stand-in does not create a poetry project: add a pyproject.toml beside the program, "
                "or set the toolchain option in Pulumi.yaml to `pip` or `uv`"
            )
            raise HostError(msg)
        yield from ()

    def _poetry(self, *args: str) -> Command:
        return Command(["poetry", *args], dict(os.environ), self.program)
