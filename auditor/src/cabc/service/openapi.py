"""The description of the API, with what FastAPI cannot know: problems, and who may call what."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from cabc.home import Service
from cabc.service.problems import MEDIA_TYPE, Problem

__all__ = ["describe"]

_COMMON = {"500": "The request failed."}
_GUARDED = {"401": "Nobody is logged in.", "403": "The caller's roles do not allow it.", "503": "Not now, or not here."}
_WITH_INPUT = {"422": "The request has mistakes."}
_WITH_PLACE = {"404": "There is no such thing."}
_WITH_BODY = {"400": "The body cannot be read.", "409": "It cannot be done now.", "413": "The body is too large."}
_PAGED = {"400": "The cursor is not one that this API gave."}
_HOOK = {"401": "Not genuine.", "409": "Taken already.", "429": "Too many messages.", "503": "Not this process."}
_EVIDENCE = {"410": "Retention dropped the bytes.", "409": "The record is not whole."}


def describe(app: FastAPI, settings: Service) -> dict[str, Any]:
    """Return the OpenAPI description."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title="cabc",
            version=app.version,
            summary="Conformity statuses that anyone can check.",
            description="Errors are problems (RFC 9457). Reads carry an ETag; send it back as If-None-Match.",
            routes=app.routes,
            servers=[{"url": settings.public_url}] if settings.public_url else None,
        )
        schemas = schema["components"]["schemas"]
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs", {}))
        schemas["Problem"] = problem
        if settings.oidc is not None:
            address = f"{settings.oidc.issuer.rstrip('/')}/.well-known/openid-configuration"
            schema["components"]["securitySchemes"]["oidc"] = {"type": "openIdConnect", "openIdConnectUrl": address}
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                _complete(path, method, operation, oidc=settings.oidc is not None)
        app.openapi_schema = schema
    return app.openapi_schema


def _complete(path: str, method: str, operation: dict[str, Any], *, oidc: bool) -> None:
    """Give an operation the problems that it can answer with."""
    guarded = "security" in operation
    names = {parameter["name"] for parameter in operation.get("parameters", [])}
    wanted = dict(_COMMON)
    wanted |= _GUARDED if guarded else {}
    wanted |= _WITH_INPUT if names or "requestBody" in operation else {}
    wanted |= _WITH_PLACE if "{" in path else {}
    wanted |= _PAGED if "cursor" in names else {}
    wanted |= _WITH_BODY if method == "post" else {}
    wanted |= _HOOK if path.startswith("/hooks/") else {}
    wanted |= _EVIDENCE if "{assessment}" in path else {}
    wanted |= {"503": "The file is being renewed."} if path.endswith("/{file}") else {}
    responses = operation["responses"]
    if path == "/readyz":
        responses["503"] = {**responses["200"], "description": "Not ready."}
    for status, description in wanted.items():
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        responses[status] = {"description": description, "content": content}
    if method == "get" and path.startswith("/api/"):
        responses["304"] = {"description": "What you have is still right."}
        responses["200"].setdefault("headers", {})["ETag"] = {"schema": {"type": "string"}}
    if guarded:
        operation["security"] = [{"bearer": []}, *([{"oidc": []}] if oidc else [])]
