"""Serve one MLflow model over the v1 and v2 protocols: `python -m platform_runtime.serve --model_name=… --model_dir=…`.

Every answer says which model it is from. GET /metrics has `model_request_seconds` besides KServe's own histograms;
GET /drain, called before the pod is stopped, makes clients let go of their connections. Where PREDICTION_LOG_URL is
set, requests and answers are told to the prediction log there.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import sys
import time
import uuid
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kserve
import kserve.logging
import mlflow.pyfunc
import numpy as np
from kserve import model_server
from kserve.errors import InferenceError, InvalidInput
from kserve.protocol.infer_type import InferOutput, InferRequest, InferResponse
from kserve.utils.numpy_codec import from_np_dtype
from mlflow.exceptions import MlflowException
from prometheus_client import Gauge, Histogram

from platform_runtime import conversion
from platform_runtime.event_sender import FLUSH_SECONDS, Logged, Sender, Sending
from platform_runtime.identity import ANNOTATION, Identity, identify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow.types import Schema

__all__ = ["Answers", "Drain", "MlflowModel", "main"]

REQUESTS = Histogram(
    "model_request_seconds",
    "Time from a decoded request to its answer.",
    ["model_name", "model_version", "protocol", "outcome"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
INFO = Gauge("model_info", "The model this server serves.", ["model_name", "model_version", "run_id", "digest"])

DRAIN_SECONDS = 5.0
"""How long a server that is to stop still answers; kube-proxy needs that long to send nothing more."""


class MlflowModel(kserve.Model):  # type: ignore[misc]
    """Any model with the pyfunc flavour."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__(name)
        self._folder = folder
        self._environment = environment
        # One at a time: few models may be called from two threads at once. Health checks stay answered meanwhile.
        self._worker = ThreadPoolExecutor(max_workers=1)
        self.identity = Identity(name="", version="", run_id="", digest="")

    def load(self) -> bool:
        self._model = mlflow.pyfunc.load_model(str(self._folder))
        self._signature = self._model.metadata.signature
        self.identity = identify(self._folder, self._environment)
        if self._environment.get("MODEL_RUN_ID") not in {None, "", self.identity.run_id}:
            logging.getLogger("kserve").warning(
                "annotated as version %s of run %s, but the model is of run %s",
                self._environment.get("MODEL_VERSION"),
                self._environment.get("MODEL_RUN_ID"),
                self.identity.run_id,
            )
        INFO.labels(self.name, self.identity.version, self.identity.run_id, self.identity.digest).set(1)
        self.ready = True
        return self.ready

    def get_input_types(self) -> list[dict[str, Any]]:
        return _types(self._signature.inputs if self._signature else None)

    def get_output_types(self) -> list[dict[str, Any]]:
        return _types(self._signature.outputs if self._signature else None)

    async def predict(
        self,
        payload: Any,
        headers: Mapping[str, str] | None = None,  # noqa: ARG002 (the base class names it)
    ) -> dict[str, Any] | InferResponse:
        """Answer one request of either protocol."""
        version_2 = isinstance(payload, InferRequest)
        answer = self._answer_v2 if version_2 else self._answer_v1
        outcome, started = "failed", time.perf_counter()
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._worker, answer, payload)
            outcome = "answered"
        except (InvalidInput, conversion.ConversionError) as error:
            outcome = "refused"
            raise InvalidInput(str(error)) from error
        except Exception as error:
            # What nobody catches is answered outside of all middleware: without the model's name and without an id.
            logging.getLogger("kserve").exception("the model failed")
            msg = f"{type(error).__name__}: {error}"
            raise InferenceError(msg) from error
        finally:
            labels = (self.name, self.identity.version, "v2" if version_2 else "v1", outcome)
            REQUESTS.labels(*labels).observe(time.perf_counter() - started)
        return found

    def _answer_v1(self, payload: Any) -> dict[str, Any]:
        if isinstance(payload, bytes | str):
            try:
                payload = json.loads(payload)
            except ValueError as error:
                msg = f"the body is not JSON: {error}"
                raise InvalidInput(msg) from error
        rows = payload.get("instances", payload.get("inputs")) if isinstance(payload, dict) else None
        if rows is None:
            msg = 'wanted {"instances": [row, …]}'
            raise InvalidInput(msg)
        answer = self._ask(conversion.from_rows(rows, self._signature))
        return {"predictions": conversion.to_rows(answer), **self.identity.fields()}

    def _answer_v2(self, request: InferRequest) -> InferResponse:
        tensors = [(tensor.name, _values(tensor)) for tensor in request.inputs]
        answer = self._ask(conversion.from_tensors(tensors, self._signature))
        outputs = []
        for name, values in conversion.to_tensors(answer):
            output = InferOutput(name=name, shape=list(values.shape), datatype=from_np_dtype(values.dtype))
            output.set_data_from_numpy(values, binary_data=request.use_binary_outputs)
            outputs.append(output)
        return InferResponse(
            response_id=request.id or str(uuid.uuid4()),
            model_name=self.name,
            model_version=self.identity.version or None,
            infer_outputs=outputs,
            parameters=self.identity.fields(),
            use_binary_outputs=request.use_binary_outputs,
            requested_outputs=request.request_outputs,
        )

    def _ask(self, rows: Any) -> Any:
        try:
            return self._model.predict(rows)
        except MlflowException as error:
            if error.error_code == "INVALID_PARAMETER_VALUE":
                raise InvalidInput(error.message) from error
            raise


class Drain:
    """Whether this server is to stop."""

    def __init__(self, sender: Sender | None = None) -> None:
        self.started = False
        self._sender = sender

    async def endpoint(self) -> dict[str, float]:
        """Start draining and return when the pod may be stopped: Kubernetes waits for the answer."""
        self.started = True
        await asyncio.sleep(DRAIN_SECONDS)
        if self._sender is not None:
            await self._sender.flush(FLUSH_SECONDS)
        return {"drained": DRAIN_SECONDS}


class Answers:
    """ASGI middleware: every answer names the model; those of a draining server also ask to close the connection."""

    def __init__(self, app: Any, identity: Identity, drain: Drain) -> None:
        self._app = app
        self._names = [(name.encode(), value.encode()) for name, value in identity.headers().items()]
        self._drain = drain

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def named(message: Any) -> None:
            if message["type"] == "http.response.start":
                closing = [(b"connection", b"close")] if self._drain.started else []
                message = {**message, "headers": [*message.get("headers", []), *self._names, *closing]}
            await send(message)

        await self._app(scope, receive, named)


def _values(tensor: Any) -> np.ndarray[Any, Any]:
    try:
        values: np.ndarray[Any, Any] = tensor.as_numpy()
    except (ValueError, TypeError) as error:
        msg = f"{tensor.name}: data, shape {tensor.shape} and datatype {tensor.datatype} do not fit ({error})"
        raise InvalidInput(msg) from error
    return values


def _types(schema: Schema | None) -> list[dict[str, Any]]:
    """Describe a signature as the v2 protocol does."""
    names = {"boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32", "double": "FP64"}
    found = []
    for number, spec in enumerate(schema.inputs if schema else []):
        if schema is not None and schema.is_tensor_spec():
            datatype, shape = from_np_dtype(spec.type), list(spec.shape)
        else:
            datatype, shape = names.get(getattr(spec.type, "name", ""), "BYTES"), [-1]
        found.append({"name": spec.name or str(number), "datatype": datatype, "shape": shape})
    return found


def _sender(service: str, identity: Identity, environment: Mapping[str, str]) -> Sender | None:
    """Return who tells the prediction log, None where nobody asked for that."""
    if not (url := environment.get("PREDICTION_LOG_URL")):
        return None
    said = {
        "model-name": identity.name,
        "model-version": identity.version,
        "run-id": identity.run_id,
        "digest": identity.digest,
    }
    annotations = {f"{ANNOTATION}/{name}": value for name, value in said.items()}
    return Sender(Sending(url, service, environment.get("POD_NAMESPACE", ""), annotations))


def main(arguments: Sequence[str]) -> int:
    """Load the model, then serve it until the process is told to stop."""
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--model_dir", type=Path, default=Path("/mnt/models"), help="Folder with the MLmodel file.")
    options, _ = parser.parse_known_args(arguments)
    kserve.logging.configure_logging()
    for noisy in ("kserve.trace", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")
    model = MlflowModel(options.model_name, options.model_dir, os.environ)
    model.load()
    logging.getLogger("kserve").info("serving %s", model.identity)
    sender = _sender(options.model_name, model.identity, os.environ)
    drain = Drain(sender)
    if sender is not None:
        model_server.app.add_middleware(Logged, sender=sender)
    model_server.app.add_middleware(Answers, identity=model.identity, drain=drain)
    model_server.app.add_api_route("/drain", drain.endpoint, methods=["GET"])
    # A collection that goes through all that was imported and loaded stops every answer, for 170 ms with the example's
    # model (benchmarks/README.md). What is there now stays for as long as the server does.
    gc.collect()
    gc.freeze()
    model_server.ModelServer(
        http_port=options.http_port, enable_grpc=False, enable_latency_logging=False, workers=1
    ).start([model])
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
