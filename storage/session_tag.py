"""A session's tag, answered as Helicone's API answers it: `{"data": the tag or null, "error": null}`."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from storage.api import rows_for
from storage.api_errors import error_answers
from storage.asked import SqlAsked
from storage.passing import answered

_SQL = "SELECT tag FROM feedback WHERE session_id = $1 AND tag IS NOT NULL ORDER BY given_at DESC, feedback_id DESC LIMIT 1"

Session = Annotated[str, Path(description="What `Helicone-Session-Id` said.", max_length=1000)]

router = APIRouter(tags=["feedback"])


@router.get("/v1/session/{session_id:path}/tag", responses=error_answers(401, 403, 503), summary="The tag of a session")
async def session_tag(session_id: Session, request: Request) -> dict[str, Any]:
    """The newest one; null where none was given, or it was taken back."""
    answer = await answered(request, SqlAsked(sql=_SQL, parameters=[session_id], organization=rows_for(request, "")), own=True)
    rows = json.loads(answer.body)["rows"]
    return {"data": (rows[0][0] or None) if rows else None, "error": None}
