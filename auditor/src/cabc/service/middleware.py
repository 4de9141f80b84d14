"""What every request passes: an id, a line in the log, a limit of size, headers that browsers and caches obey."""

from __future__ import annotations

import hashlib
import re
import secrets
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cabc.service.problems import Problem, problem_response

__all__ = ["BODY_LIMIT", "CONTENT_POLICY", "EntityTags", "RequestContext"]

BODY_LIMIT = 256 * 1024
CONTENT_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
log = structlog.stdlib.get_logger("cabc.service")


class RequestContext:
    """Name the request, log how it ended, refuse bodies that are too large, set headers that no route set."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self._app = app
        self._headers = {**HEADERS, "Strict-Transport-Security": "max-age=31536000"} if secure else HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        started, status, begun = time.perf_counter(), 500, False

        async def reply(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._limited(scope, receive, reply)
            except Exception:
                log.exception("request failed")
                if begun:
                    raise
                await problem_response(_failed(request_id))(scope, receive, reply)
            finally:
                route = getattr(scope.get("route"), "path", None)
                log.info(
                    "request",
                    method=scope["method"],
                    route=route or "none",
                    status=status,
                    seconds=round(time.perf_counter() - started, 4),
                    caller=scope["state"].get("caller"),
                )

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = Problem(title="Content Too Large", status=413, detail=f"A body has at most {BODY_LIMIT} bytes.")
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdigit() or int(length) > BODY_LIMIT:
            await problem_response(refusal)(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > BODY_LIMIT:
                raise HTTPException(413, refusal.detail)  # FastAPI lets only these through while it reads a body
            return message

        await self._app(scope, counted, send)


class EntityTags:
    """Tag answers of the API by their bytes, and answer 304 to whom has them already."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"} or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        start: Message = {}
        body: list[bytes] = []

        async def held(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body.append(message.get("body", b""))
            if not message.get("more_body"):
                await self._finish(scope, start, b"".join(body), send)

        await self._app(scope, receive, held)

    async def _finish(self, scope: Scope, start: Message, body: bytes, send: Send) -> None:
        headers = MutableHeaders(raw=list(start["headers"]))
        if start["status"] == 200:  # noqa: PLR2004 (only whole answers have a tag)
            tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            headers["ETag"] = tag
            headers["Vary"] = "Authorization, Accept"
            headers.setdefault("Cache-Control", "private, no-cache")
            known = Headers(scope=scope).get("if-none-match", "")
            if known.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in known.split(",")):
                start = {**start, "status": 304}
                body = b""
                for name in ("content-length", "content-type"):
                    del headers[name]
        await send({**start, "headers": headers.raw})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _failed(request_id: str) -> Problem:
    return Problem(
        title="Internal Server Error",
        status=500,
        detail="The request failed; the log has the reason under this id.",
        instance=f"urn:request:{request_id}",
    )
