"""The ResourceProvider service: translate between the protocol and the operations."""

# ruff: noqa: N802 (the protocol names the methods)
from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from mlops.plugins.kubernetes_provider import applying, checking, config, deleting, kinds, planning, reading
from mlops.plugins.kubernetes_provider.client import Client
from mlops.plugins.kubernetes_provider.context import Context
from mlops.plugins.kubernetes_provider.engine import Log
from mlops.plugins.kubernetes_provider.errors import PartialError, ProviderError, RefusedError
from mlops.plugins.kubernetes_provider.journal import Journal
from mlops.plugins.kubernetes_provider.names import Autonaming
from mlops.plugins.kubernetes_provider.objects import ANNOTATIONS, kind_of
from mlops.plugins.kubernetes_provider.wire import Opaque, Unknown, decode, encode, is_bulky, plain

__all__ = ["VERSION", "Servicer"]

VERSION = "4.34.2"
"""The version of the official plugin whose place this one takes."""

_PREFIX = "kubernetes:config:"
_METADATA = frozenset({"metadata"})
_SCOPE = frozenset({"group", "names", "scope"})
_BULK = frozenset({"spec", "data", "binaryData"})
Rpc = grpc.ServicerContext


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """Serves one engine; configured once."""

    def __init__(self, log: Log, journal_folder: Path, connect: Callable[[str], Log] | None = None) -> None:
        self._log = log
        self._folder = journal_folder
        self._connect = connect
        self._stop = threading.Event()
        self._context: Context | None = None

    # --- the plugin itself --------------------------------------------------------------------------------------

    def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: Rpc
    ) -> provider_pb2.ProviderHandshakeResponse:
        del request, context
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, supports_autonaming_configuration=True)

    def GetPluginInfo(self, request: empty_pb2.Empty, context: Rpc) -> plugin_pb2.PluginInfo:
        del request, context
        return plugin_pb2.PluginInfo(version=VERSION)

    def Attach(self, request: plugin_pb2.PluginAttach, context: Rpc) -> empty_pb2.Empty:
        del context
        if self._connect is not None:
            self._log = self._connect(request.address)
        return empty_pb2.Empty()

    def Cancel(self, request: empty_pb2.Empty, context: Rpc) -> empty_pb2.Empty:
        del request, context
        self._stop.set()
        return empty_pb2.Empty()

    def close(self) -> None:
        """Note that the engine ended in order."""
        self._stop.set()
        if self._context is not None:
            self._context.journal.close()

    # --- configuration ------------------------------------------------------------------------------------------

    def CheckConfig(self, request: provider_pb2.CheckRequest, context: Rpc) -> provider_pb2.CheckResponse:
        del context
        default = request.urn.rpartition("::")[2].startswith("default")
        failures = config.check(plain(decode(request.news)), default_provider=default)
        return provider_pb2.CheckResponse(
            inputs=request.news,
            failures=[provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in failures],
        )

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: Rpc) -> provider_pb2.DiffResponse:
        del context
        changed, replacing = config.difference(plain(decode(request.olds)), plain(decode(request.news)))
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=changed,
            replaces=replacing,
        )

    def Configure(self, request: provider_pb2.ConfigureRequest, context: Rpc) -> provider_pb2.ConfigureResponse:
        with _Guard(context):
            variables = {key.removeprefix(_PREFIX): value for key, value in request.variables.items()}
            variables |= _arguments(plain(decode(request.args)), variables)
            settings = config.settings(variables)
            client = Client(settings, self._stop)
            journal = Journal(self._folder, config.server_of(settings))
            self._context = Context(settings, client, self._log, journal, self._stop)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def _configured(self) -> Context:
        if self._context is None:
            raise ProviderError("the provider has not been configured")
        return self._context

    # --- resources ----------------------------------------------------------------------------------------------

    def Check(self, request: provider_pb2.CheckRequest, context: Rpc) -> provider_pb2.CheckResponse:
        with _Guard(context):
            options = request.autonaming
            autonaming = Autonaming(options.proposed_name, options.mode) if request.HasField("autonaming") else None
            news = decode(request.news, opaque=_untouched(request.news))
            if news.get("kind") == "CustomResourceDefinition" and isinstance(news.get("spec"), Opaque):
                spec = request.news.fields["spec"].struct_value
                self._configured().remember_crd({**news, "spec": decode(spec, only=_SCOPE)})
            inputs = checking.check(
                self._configured(),
                request.urn,
                decode(request.olds, only=_METADATA),
                news,
                seed=request.randomSeed,
                autonaming=autonaming,
            )
            if inputs is None:
                return provider_pb2.CheckResponse(inputs=request.olds)
            return provider_pb2.CheckResponse(inputs=encode(inputs))
        raise AssertionError

    def Diff(self, request: provider_pb2.DiffRequest, context: Rpc) -> provider_pb2.DiffResponse:
        same = request.HasField("old_inputs") and request.old_inputs == request.news
        if same and not _may_be_unready(request):
            return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE, hasDetailedDiff=True)
        with _Guard(context):
            found = planning.difference(
                self._configured(),
                request.urn,
                decode(request.olds),
                decode(request.news),
                list(request.ignoreChanges),
            )
            detailed = {
                change.text: provider_pb2.PropertyDiff(
                    kind=provider_pb2.PropertyDiff.Kind.ValueType(change.op), inputDiff=change.op.deletes
                )
                for change in found.changes
            }
            return provider_pb2.DiffResponse(
                changes=provider_pb2.DiffResponse.DIFF_SOME if found.any else provider_pb2.DiffResponse.DIFF_NONE,
                replaces=found.replaces,
                deleteBeforeReplace=found.delete_before_replace,
                detailedDiff=detailed,
                hasDetailedDiff=True,
            )
        raise AssertionError

    def Create(self, request: provider_pb2.CreateRequest, context: Rpc) -> provider_pb2.CreateResponse:
        with _Guard(context):
            properties = decode(request.properties)
            if request.preview:
                found = applying.preview_create(self._configured(), request.urn, properties)
                return provider_pb2.CreateResponse(properties=encode(found))
            created, outputs = applying.create(self._configured(), request.urn, properties, request.timeout)
            return provider_pb2.CreateResponse(id=created, properties=encode(outputs))
        raise AssertionError

    def Read(self, request: provider_pb2.ReadRequest, context: Rpc) -> provider_pb2.ReadResponse:
        with _Guard(context):
            stored = reading.Stored(request.id, request.properties, request.inputs)
            found = reading.read(self._configured(), request.urn, stored)
            if found is None:
                return provider_pb2.ReadResponse()
            if isinstance(found, reading.Stored):
                return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
            return provider_pb2.ReadResponse(id=found.id, properties=encode(found.outputs), inputs=encode(found.inputs))
        raise AssertionError

    def Update(self, request: provider_pb2.UpdateRequest, context: Rpc) -> provider_pb2.UpdateResponse:
        with _Guard(context):
            olds, news = decode(request.olds), decode(request.news)
            if request.preview:
                outputs = applying.preview_update(self._configured(), request.urn, olds, news)
            else:
                ignored = list(request.ignoreChanges)
                outputs = applying.update(
                    self._configured(), request.urn, olds, news, seconds=request.timeout, ignored=ignored
                )
            return provider_pb2.UpdateResponse(properties=encode(outputs))
        raise AssertionError

    def Delete(self, request: provider_pb2.DeleteRequest, context: Rpc) -> empty_pb2.Empty:
        with _Guard(context):
            deleting.delete(self._configured(), request.urn, request.id, decode(request.properties), request.timeout)
        return empty_pb2.Empty()

    # --- what only the official plugin does -----------------------------------------------------------------------

    def Construct(self, request: provider_pb2.ConstructRequest, context: Rpc) -> provider_pb2.ConstructResponse:
        with _Guard(context):
            raise RefusedError("component", request.type)
        raise AssertionError

    def Call(self, request: provider_pb2.CallRequest, context: Rpc) -> provider_pb2.CallResponse:
        with _Guard(context):
            raise RefusedError("method", request.tok)
        raise AssertionError

    def Invoke(self, request: provider_pb2.InvokeRequest, context: Rpc) -> provider_pb2.InvokeResponse:
        with _Guard(context):
            raise RefusedError("function", request.tok)
        raise AssertionError

    def Parameterize(
        self, request: provider_pb2.ParameterizeRequest, context: Rpc
    ) -> provider_pb2.ParameterizeResponse:
        del request
        with _Guard(context):
            raise RefusedError("parameterization (typed SDKs made from CRDs)")
        raise AssertionError

    def GetSchema(self, request: provider_pb2.GetSchemaRequest, context: Rpc) -> provider_pb2.GetSchemaResponse:
        del request
        with _Guard(context):
            raise RefusedError("the package's schema")
        raise AssertionError

    def GetMapping(self, request: provider_pb2.GetMappingRequest, context: Rpc) -> provider_pb2.GetMappingResponse:
        del request, context
        return provider_pb2.GetMappingResponse()


def _untouched(news: struct_pb2.Struct) -> frozenset[str]:
    """Return the properties that Check passes through unseen: those of large objects it does not normalize."""
    kind = kind_of({key: news.fields[key].string_value for key in ("apiVersion", "kind") if key in news.fields})
    plain_kind = kind.group not in kinds.BUILT_IN_GROUPS or kind.kind in ("ConfigMap", "CustomResourceDefinition")
    if plain_kind and is_bulky(news, "x_kubernetes_", "preserveUnknownFields"):
        return _BULK
    return frozenset()


def _may_be_unready(request: provider_pb2.DiffRequest) -> bool:
    if not kinds.type_of(request.urn).endswith(":Job"):
        return False
    metadata = request.news.fields["metadata"].struct_value.fields
    annotations = metadata["annotations"].struct_value.fields if "annotations" in metadata else {}
    return ANNOTATIONS.REPLACE_UNREADY in annotations


def _arguments(args: dict[str, Any], variables: dict[str, str]) -> dict[str, str]:
    """Return arguments sent as properties that are not among the variables, as text."""
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in args.items()
        if key not in variables and not isinstance(value, Unknown)
    }


class _Guard:
    """Turn our errors into failures of the call; anything else is a bug and keeps its traceback."""

    def __init__(self, context: Rpc) -> None:
        self._context = context

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        del kind, trace
        if isinstance(error, PartialError):
            self._abort_partially(error)
        if isinstance(error, ProviderError):
            self._context.abort(grpc.StatusCode.UNKNOWN, str(error))

    def _abort_partially(self, failure: PartialError) -> NoReturn:
        detail = _init_failed(failure)
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(failure))
        status.details.add().Pack(detail)
        self._context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        self._context.abort(grpc.StatusCode.UNKNOWN, str(failure))


def _init_failed(failure: PartialError) -> provider_pb2.ErrorResourceInitFailed:
    """Return the detail by which the engine stores the object and the reasons."""
    return provider_pb2.ErrorResourceInitFailed(
        id=failure.id,
        properties=encode(failure.outputs),
        reasons=failure.reasons,
        inputs=encode(failure.inputs),
    )
