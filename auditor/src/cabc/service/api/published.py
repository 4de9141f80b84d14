"""What anybody may read, without a token."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from cabc.record.types import Publication
from cabc.service import published
from cabc.service.api.paging import Cursor, Limit, Page, slice_page
from cabc.service.dependencies import StateOf, Subject

__all__ = ["router"]

router = APIRouter(prefix="/published", tags=["published"])
_OPEN = {
    "Cache-Control": "public, max-age=60",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",  # badges are shown on other people's pages
}


@router.get("", summary="Subjects with a published status")
def subjects(state: StateOf, limit: Limit = 100, cursor: Cursor = None) -> Page[str]:
    items, after = slice_page(published.published_subjects(state), cursor, limit, lambda item: item)
    return Page[str](items=items, next=after)


@router.get("/{subject}", summary="The published status and the names and digests of its files")
def publication(subject: Subject, state: StateOf, response: Response) -> Publication:
    found = published.latest(state, subject)
    response.headers.update(_OPEN)
    return found.model_copy(update={"files": published.public_files(found)})


@router.get(
    "/{subject}/{file}",
    summary="A published file: status, badge, statement, feed",
    response_class=Response,
    responses={
        200: {
            "description": "The file, byte for byte as the record has its digest.",
            "content": {media: {} for media in published.MEDIA.values()},
        }
    },
)
def file(subject: Subject, file: Annotated[str, Path(pattern=r"^[a-z0-9.]{1,40}$")], state: StateOf) -> Response:
    found = published.file_of(state, subject, file)
    return Response(found.body, media_type=found.media_type, headers=_OPEN)
