"""Drive the Kubernetes provider as the engine does: over gRPC, with the state an engine would keep."""

from __future__ import annotations

import json
import threading
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from mlops.plugins.kubernetes_provider import wire
from mlops.plugins.kubernetes_provider.server import Servicer

__all__ = ["CallError", "FakeEngine", "Recorder", "State", "plan"]

DIFF_SOME = provider_pb2.DiffResponse.DIFF_SOME


class Recorder:
    """Keeps what the provider tells the engine."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.statuses: list[str] = []

    def info(self, urn: str, message: str) -> None:
        del urn
        self.messages.append(message)

    def warning(self, urn: str, message: str) -> None:
        del urn
        self.messages.append(message)

    def status(self, urn: str, message: str, *, warning: bool = False) -> None:
        del urn, warning
        if message:
            self.statuses.append(message)


class CallError(Exception):
    """A call that failed; with the object that was stored nevertheless, if one was."""

    def __init__(self, error: Any) -> None:
        super().__init__(error.details())
        self.partial: provider_pb2.ErrorResourceInitFailed | None = None
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                status = status_pb2.Status.FromString(value)
                self.partial = provider_pb2.ErrorResourceInitFailed()
                status.details[0].Unpack(self.partial)


@dataclass
class State:
    """What an engine keeps of a resource."""

    token: str
    name: str
    id: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def urn(self) -> str:
        return f"urn:pulumi:test::tests::{self.token}::{self.name}"

    @property
    def plain(self) -> dict[str, Any]:
        """Return the outputs without marks of secrecy."""
        return dict(wire.plain(self.outputs))


def token_of(obj: dict[str, Any]) -> str:
    version = obj["apiVersion"]
    return f"kubernetes:{version if '/' in version else 'core/' + version}:{obj['kind']}"


class FakeEngine:
    """One provider process as seen by an engine: in this process, but over a real channel."""

    def __init__(self, folder: Path) -> None:
        self.log = Recorder()
        self.servicer = Servicer(self.log, folder)
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(self.servicer, self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        size = [("grpc.max_receive_message_length", -1)]
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=size)
        self.stub = provider_pb2_grpc.ResourceProviderStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.servicer.close()
        self.kill()

    def kill(self) -> None:
        """End without a goodbye, as `kill -9` would."""
        self._channel.close()
        self._server.stop(0)

    def configure(self, kubeconfig: dict[str, Any] | str, **arguments: Any) -> FakeEngine:
        text = kubeconfig if isinstance(kubeconfig, str) else json.dumps(kubeconfig)
        variables = {"kubernetes:config:kubeconfig": text}
        for key, value in arguments.items():
            variables[f"kubernetes:config:{key}"] = value if isinstance(value, str) else json.dumps(value)
        self._call(self.stub.Configure, provider_pb2.ConfigureRequest(variables=variables, acceptSecrets=True))
        return self

    @staticmethod
    def _call(method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=120)
        except grpc.RpcError as error:
            raise CallError(error) from error

    def check(self, state: State, news: dict[str, Any], seed: bytes = b"", **autonaming: Any) -> dict[str, Any]:
        request = provider_pb2.CheckRequest(
            urn=state.urn, olds=wire.encode(state.inputs), news=wire.encode(news), randomSeed=seed
        )
        if not state.inputs:
            request.ClearField("olds")
        if autonaming:
            request.autonaming.CopyFrom(provider_pb2.CheckRequest.AutonamingOptions(**autonaming))
        return wire.decode(self._call(self.stub.Check, request).inputs)

    def diff(self, state: State, inputs: dict[str, Any], ignore: list[str] | None = None) -> provider_pb2.DiffResponse:
        request = provider_pb2.DiffRequest(
            id=state.id,
            urn=state.urn,
            olds=wire.encode(state.outputs),
            old_inputs=wire.encode(state.inputs),
            news=wire.encode(inputs),
            ignoreChanges=ignore or [],
        )
        response: provider_pb2.DiffResponse = self._call(self.stub.Diff, request)
        return response

    def plan(self, state: State, news: dict[str, Any], ignore: list[str] | None = None) -> provider_pb2.DiffResponse:
        """Return what `preview` of a changed program would find."""
        return self.diff(state, self.check(state, news), ignore)

    def preview_create(self, obj: dict[str, Any], name: str = "r") -> dict[str, Any]:
        state = State(token_of(obj), name)
        request = provider_pb2.CreateRequest(
            urn=state.urn, properties=wire.encode(self.check(state, obj)), preview=True
        )
        return wire.decode(self._call(self.stub.Create, request).properties)

    def create(self, obj: dict[str, Any], name: str = "r", *, timeout: float = 0, checked: bool = False) -> State:
        state = State(token_of(obj), name)
        inputs = obj if checked else self.check(state, obj)
        request = provider_pb2.CreateRequest(urn=state.urn, properties=wire.encode(inputs), timeout=timeout)
        try:
            response = self._call(self.stub.Create, request)
        except CallError as failure:
            if failure.partial is not None:
                failure.add_note(str(list(failure.partial.reasons)))
            raise
        state.id, state.inputs, state.outputs = response.id, inputs, wire.decode(response.properties)
        return state

    def stored(self, error: CallError, obj: dict[str, Any], name: str = "r") -> State:
        """Return what an engine stores of a failed creation."""
        assert error.partial is not None
        state = State(token_of(obj), name)
        state.inputs = self.check(state, obj)
        state.id, state.outputs = error.partial.id, wire.decode(error.partial.properties)
        return state

    def preview_update(self, state: State, news: dict[str, Any]) -> dict[str, Any]:
        request = self._update(state, self.check(state, news))
        request.preview = True
        return wire.decode(self._call(self.stub.Update, request).properties)

    def update(
        self, state: State, news: dict[str, Any], *, timeout: float = 0, ignore: list[str] | None = None
    ) -> State:
        inputs = self.check(state, news)
        request = self._update(state, inputs)
        request.timeout = timeout
        request.ignoreChanges.extend(ignore or [])
        outputs = wire.decode(self._call(self.stub.Update, request).properties)
        return State(state.token, state.name, state.id, inputs, outputs)

    @staticmethod
    def _update(state: State, inputs: dict[str, Any]) -> provider_pb2.UpdateRequest:
        return provider_pb2.UpdateRequest(
            id=state.id,
            urn=state.urn,
            olds=wire.encode(state.outputs),
            old_inputs=wire.encode(state.inputs),
            news=wire.encode(inputs),
        )

    def read(self, state: State) -> State:
        """Return what `refresh` would store; its id is empty where the object is gone."""
        request = provider_pb2.ReadRequest(
            id=state.id,
            urn=state.urn,
            properties=wire.encode(state.outputs),
            inputs=wire.encode(state.inputs),
        )
        response: Any
        try:
            response = self._call(self.stub.Read, request)
        except CallError as error:
            if error.partial is None:
                raise
            self.log.messages += error.partial.reasons
            response = error.partial
        return State(
            state.token, state.name, response.id, wire.decode(response.inputs), wire.decode(response.properties)
        )

    def refresh(self, state: State) -> provider_pb2.DiffResponse:
        """Return the drift that `refresh --preview-only` would show."""
        return self.diff(self.read(state), state.inputs)

    def delete(self, state: State, timeout: float = 0) -> None:
        self._call(
            self.stub.Delete,
            provider_pb2.DeleteRequest(
                id=state.id,
                urn=state.urn,
                properties=wire.encode(state.outputs),
                old_inputs=wire.encode(state.inputs),
                timeout=timeout,
            ),
        )

    def cancel(self, after: float) -> None:
        """Send Cancel in a moment."""
        threading.Timer(after, lambda: self.stub.Cancel(empty_pb2.Empty())).start()


def plan(response: provider_pb2.DiffResponse) -> dict[str, str]:
    """Return the detailed diff as `path -> kind`."""
    kinds = provider_pb2.PropertyDiff.Kind
    return {path: kinds.Name(found.kind) for path, found in response.detailedDiff.items()}
