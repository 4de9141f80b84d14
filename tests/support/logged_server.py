"""A server whose answers are told to a log by the middleware of our model server, without a model."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from platform_runtime import event_sender
from platform_runtime.event_sender import Logged, Sender, Sending
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.prediction_log import answer

__all__ = ["ANNOTATIONS", "INFER", "PREDICT", "served", "until"]

PREDICT, INFER = "/v1/models/loan:predict", "/v2/models/loan/versions/3/infer"
ANNOTATIONS = {"oss-mlops-platform/model-name": "loan", "oss-mlops-platform/model-version": "3"}


def until(condition: Callable[[], object]) -> None:
    """Return when it holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def model(request: Request) -> Response:
    """Answer as the request wishes."""
    received = b"".join([part async for part in request.stream()])
    wish = json.loads(received).get("wish")
    if wish == "fail":
        raise RuntimeError("no such column")
    if wish == "unavailable":
        return JSONResponse({"error": "not yet"}, status_code=503)
    if wish == "refuse":
        return JSONResponse({"error": "no rows"}, status_code=400)
    if wish == "long":
        return Response(b'"' + b"x" * event_sender.LARGEST + b'"', media_type="application/json")
    if wish == "parts":
        return StreamingResponse(iter([b'{"predictions": ', b"[1]", b"}"]), media_type="application/json")
    return JSONResponse(answer(rows=len(json.loads(received)["instances"])))


async def unread(_: Request) -> Response:
    """Answer without having read the request."""
    return JSONResponse({"error": "no such model"}, status_code=503)


async def other(_: Request) -> Response:
    """Answer what is no prediction."""
    return JSONResponse({})


@contextmanager
def served(url: str) -> Iterator[httpx.Client]:
    """Run a model server that logs there; whoever leaves the block has stopped it."""
    routes = [
        Route("/v1/models/unread:predict", unread, methods=["POST"]),
        Route("/v1/models/{name}:predict", model, methods=["POST"]),
        Route("/v2/models/{name}/versions/{version}/infer", model, methods=["POST"]),
        Route("/v1/models/{name}:explain", other, methods=["POST"]),
        Route("/v1/models/{name}", other),
    ]
    app = Starlette(routes=routes)
    app.add_middleware(Logged, sender=Sender(Sending(url, "loan", "models", ANNOTATIONS)))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", ws="none", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        yield client
    server.should_exit = True
    thread.join(60)
    assert not thread.is_alive()
