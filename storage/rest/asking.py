"""A question of this API, asked of the lake for whoever sent the request."""

import json

from fastapi import Request

from eventlog.events import Organization
from storage.api import rows_for
from storage.asked import SqlAsked
from storage.passing import answered
from storage.rest.envelope import Wrong
from storage.rest.sql import Row, Sql


async def rows(request: Request, question: Sql, *, organization: Organization | None) -> list[Row]:
    """The rows, as JSON has them. Raises Refused, and Wrong where there are more than an answer may have."""
    asked = SqlAsked(sql=question.text, parameters=list(question.values), organization=organization)
    found = json.loads((await answered(request, asked)).body)
    if found["truncated"]:
        raise Wrong(f"The answer would have more than {len(found['rows'])} rows; ask about a shorter time, or in wider steps.")
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


def asker(request: Request) -> Organization | None:
    """Whose rows the caller is answered from. Raises Refused."""
    return rows_for(request, "")
