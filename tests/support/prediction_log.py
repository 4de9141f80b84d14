"""A collector of the prediction log as a process that can be killed, its database, and a client that keeps a ledger."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from components._core import paths
from tests.support.postgresql import PostgreSQL

__all__ = ["Client", "Collector", "Database", "Server", "answer", "ask", "headers"]

TYPES = {kind: f"org.kubeflow.serving.inference.{kind}" for kind in ("request", "response")}


def headers(kind: str, request_id: str, **others: str) -> dict[str, str]:
    """Return the headers of an event in binary mode, as KServe's logger sends them."""
    attributes = {
        "specversion": "1.0",
        "id": request_id,
        "type": TYPES.get(kind, kind),
        "source": "loan-predictor-5d8",
        "time": f"2026-03-01T10:00:00.{'250' if kind == 'response' else '100'}123456Z",
        "recordedtime": "2026-03-01T10:00:01Z",
        "inferenceservicename": "loan",
        "namespace": "models",
        "component": "predictor",
        "endpoint": "",
        "metadata": "{}",
        **others,
    }
    return {
        "content-type": "application/json",
        **{f"ce-{name}": value for name, value in attributes.items() if value},
    }


def ask(number: int = 1, rows: int = 1) -> dict[str, Any]:
    """Return the body of a v1 request."""
    return {"instances": [{"income": 1.5 + number, "race": "a"} for _ in range(rows)]}


def answer(number: int = 1, rows: int = 1, version: str = "3") -> dict[str, Any]:
    """Return the body of our model server's answer to it."""
    identity = {"model_name": "loan", "model_version": version, "run_id": "r1", "digest": "sha256:d"}
    return {"predictions": [[0.25, 0.75 + number] for _ in range(rows)], **identity}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Collector:
    """One collector over a folder; what it is told can be changed between two starts."""

    folder: Path
    database: str
    others: Mapping[str, str] = field(default_factory=dict)
    python: Path = Path(sys.executable)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Collector:
        """Start it and return when it accepts events."""
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(paths.CHECKOUT / "images" / "python"),
            "PREDICTION_LOG_DATABASE": self.database,
            "PREDICTION_LOG_KEY": "0123456789abcdef",
            "PREDICTION_LOG_SPOOL": str(self.folder / "spool"),
            "PREDICTION_LOG_ARCHIVE": (self.folder / "archive").as_uri(),
            "PREDICTION_LOG_PORT": str(self.port),
            **self.others,
        }
        (self.folder / "archive").mkdir(exist_ok=True)
        with (self.folder / "collector.log").open("ab") as stream:
            self.process = subprocess.Popen(
                [self.python, "-m", "platform_runtime.prediction_log"], env=environment, stdout=stream, stderr=stream
            )
        deadline = time.monotonic() + 60
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self.folder / "collector.log").read_text())
            time.sleep(0.05)
        return self

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """End it without a word."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Tell it to stop, and wait."""
        assert self.process
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    def post(self, kind: str, request_id: str, body: Any, **others: str) -> httpx.Response:
        """Send one event."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.post(f"{self.url}/", content=content, headers=headers(kind, request_id, **others), timeout=30)

    def metric(self, name: str, **labels: str) -> float:
        """Return the value of a series."""
        wanted = name + ("{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}" if labels else "")
        for line in httpx.get(f"{self.url}/metrics", timeout=30).text.splitlines():
            series, _, value = line.rpartition(" ")
            if series == wanted:
                return float(value)
        msg = f"{wanted} is not exposed"
        raise AssertionError(msg)

    def settle(self, seconds: float = 120) -> None:
        """Return when nothing waits in the spool any more."""
        deadline = time.monotonic() + seconds
        while self.metric("prediction_log_spooled_events") or not self.metric("prediction_log_database_up"):
            if time.monotonic() > deadline:
                raise AssertionError((self.folder / "collector.log").read_text())
            time.sleep(0.05)


class Server:
    """A server for tests that can be stopped as by a crash, and started again where it was."""

    def __init__(self, found: PostgreSQL) -> None:
        self.found = found
        with self.connect("postgres") as connection:
            row = connection.execute("SHOW data_directory").fetchone()
        assert row
        self._data = Path(row[0])
        self._started: subprocess.Popen[bytes] | None = None
        process = Path("/proc", str(self._pid()))
        self._command = [part.decode() for part in process.joinpath("cmdline").read_bytes().split(b"\0") if part]
        self._owner = process.stat().st_uid, process.stat().st_gid

    def connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        """Open a connection as superuser."""
        return psycopg.connect(host=self.found.host, port=self.found.port, dbname=database, user="postgres")

    def _pid(self) -> int:
        return int((self._data / "postmaster.pid").read_text().splitlines()[0])

    def stop(self) -> None:
        """End all of its processes at once; what is committed is in its log."""
        pid = self._pid()
        os.kill(pid, signal.SIGQUIT)
        if self._started is not None:
            self._started.wait(30)
            self._started = None
        while _runs(pid):
            time.sleep(0.02)

    def start(self) -> None:
        """Start it again and return when it answers."""
        user, group = self._owner
        identity: dict[str, Any] = {"user": user, "group": group, "extra_groups": []} if os.geteuid() == 0 else {}
        with (self._data / "server.log").open("ab") as stream:
            self._started = subprocess.Popen(self._command, stdout=stream, stderr=stream, cwd=self._data, **identity)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connect("postgres").close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def end(self) -> None:
        """Stop what was started here."""
        if self._started is not None:
            self.stop()


@dataclass(frozen=True)
class Database:
    """An empty database of one test."""

    server: Server
    name: str

    @property
    def url(self) -> str:
        """As SQLAlchemy has it."""
        return self.server.found.url(self.name)

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return rows."""
        with self.server.connect(self.name) as connection:
            return connection.execute(statement.encode(), values or None).fetchall()

    def run(self, statement: str) -> None:
        """Change something."""
        with self.server.connect(self.name) as connection:
            connection.execute(statement.encode())


def _runs(pid: int) -> bool:
    """Whether a process is there, and no zombie that nobody has waited for."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Client:
    """Sends events over connections of its own, and writes down which were acknowledged."""

    def __init__(self, port: int, *, workers: int = 8, pause: float = 0.01) -> None:
        self._port = port
        self._pause = pause  # after an event that found nobody
        self._workers = workers
        self.acknowledged: set[tuple[str, str]] = set()
        """Kind and id of every event that got 200."""

        self.refused = 0
        self.seconds: list[float] = []
        """How long each acknowledgement took."""

    async def send(self, events: list[tuple[str, str, bytes]]) -> None:
        """Send events (kind, id, body), each once; one without an answer is not tried again, as by KServe's logger."""
        waiting = iter(events)
        await asyncio.gather(*(self._work(waiting) for _ in range(self._workers)))

    async def _work(self, waiting: Any) -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for kind, request_id, body in waiting:
            started = time.perf_counter()
            try:
                connection = connection or await asyncio.open_connection("127.0.0.1", self._port)
                status = await _exchange(*connection, kind, request_id, body)
            except (OSError, asyncio.IncompleteReadError):
                self.refused += 1
                if connection:
                    connection[1].close()
                connection = None
                await asyncio.sleep(self._pause)
                continue
            if status == httpx.codes.OK:
                self.acknowledged.add((kind, request_id))
                self.seconds.append(time.perf_counter() - started)
            else:
                self.refused += 1
        if connection:
            connection[1].close()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: str, request_id: str, body: bytes
) -> int:
    lines = [f"{name}: {value}" for name, value in headers(kind, request_id).items()]
    head = "\r\n".join(["POST / HTTP/1.1", "host: log", f"content-length: {len(body)}", *lines, "", ""])
    writer.write(head.encode() + body)
    await writer.drain()
    found = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next((int(line[15:]) for line in found.splitlines() if line.startswith("content-length:")), 0)
    await reader.readexactly(length)
    return int(found.split()[1])
