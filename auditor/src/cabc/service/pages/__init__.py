"""Pages for people: rendered here, without script, for reading and for the forms."""

from __future__ import annotations

from fastapi import APIRouter, Response

from cabc.service.pages import acting, login, public, reading
from cabc.service.pages.rendering import style

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
router.include_router(login.router)
router.include_router(public.router)
router.include_router(reading.router)
router.include_router(acting.router)


@router.get("/assets/{_version}/cabc.css")
def stylesheet(_version: str) -> Response:
    """Give the style sheet; its address changes with its bytes."""
    return Response(style(), media_type="text/css", headers={"Cache-Control": "public, max-age=31536000, immutable"})
