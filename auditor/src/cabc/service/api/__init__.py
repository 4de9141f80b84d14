"""The API under `/api/v1`: read what was found, say what people have to say, start runs, publish."""

from __future__ import annotations

from fastapi import APIRouter

from cabc.service.api import acting, published, reading, reports

__all__ = ["router"]

router = APIRouter(prefix="/api/v1")
router.include_router(published.router)
router.include_router(reading.router)
router.include_router(reports.router)
router.include_router(acting.router)
