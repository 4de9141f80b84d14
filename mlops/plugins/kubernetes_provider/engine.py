"""Tell the engine what happens: lasting messages and status lines beside a resource."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Protocol

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

__all__ = ["Engine", "Log", "Status"]


class Log(Protocol):
    """What the provider needs of the engine."""

    def info(self, urn: str, message: str) -> None:
        """Leave a message in the output of the update."""

    def warning(self, urn: str, message: str) -> None:
        """Leave a warning in the output of the update."""

    def status(self, urn: str, message: str, *, warning: bool = False) -> None:
        """Show a line beside the resource until the next one."""


class Engine:
    """The engine's log service; a message that cannot be delivered is not worth failing for."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._stub = engine_pb2_grpc.EngineStub(self._channel)

    def info(self, urn: str, message: str) -> None:
        self._send(urn, message, engine_pb2.INFO, ephemeral=False)

    def warning(self, urn: str, message: str) -> None:
        self._send(urn, message, engine_pb2.WARNING, ephemeral=False)

    def status(self, urn: str, message: str, *, warning: bool = False) -> None:
        self._send(urn, message, engine_pb2.WARNING if warning else engine_pb2.INFO, ephemeral=True)

    def _send(self, urn: str, message: str, severity: engine_pb2.LogSeverity.ValueType, *, ephemeral: bool) -> None:
        request = engine_pb2.LogRequest(severity=severity, message=message, urn=urn, ephemeral=ephemeral)
        with suppress(grpc.RpcError):
            self._stub.Log(request, timeout=5)

    def close(self) -> None:
        """Hang up."""
        self._channel.close()


class Status:
    """The status lines of one resource, each told once until another takes its place."""

    def __init__(self, log: Log, urn: str) -> None:
        self._log = log
        self._urn = urn
        self._last = ""
        self._lock = threading.Lock()

    def say(self, message: str, *, warning: bool = False) -> None:
        """Show a line, unless it is already shown."""
        with self._lock:
            if message == self._last:
                return
            self._last = message
        self._log.status(self._urn, message, warning=warning)

    def clear(self) -> None:
        """Take the line away."""
        self.say("")
