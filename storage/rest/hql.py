"""SQL by Helicone's endpoints (`/v1/helicone-sql/…`): DuckDB's, over `request_response_rmt` and over our own tables.

Any SELECT, WITH too, in the sandbox and the limits of `POST /v1/query`. Functions of ClickHouse that DuckDB has not are not translated.
"""

import asyncio
import base64
import binascii
import zlib
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Struct
from pydantic import Field

from eventlog.events import Organization
from storage.asked import Answer, SqlAsked
from storage.formats import Format, distinct_names
from storage.passing import Handed, answered
from storage.refusal import Refused
from storage.rest.asking import asker
from storage.rest.bodies import Body
from storage.rest.envelope import ANSWERS, Enveloped, Wrong, data, failed
from storage.rest.links import links_of
from storage.views import VIEWS

router = APIRouter(route_class=Enveloped, tags=["sql"], responses=ANSWERS)

LINK = "/v1/helicone-sql/csv"
LONGEST_LINK = 8_000
"""Characters of a statement in a link, packed: what proxies and browsers carry."""
MOST_SQL = 1 << 20
MOST_BYTES = 8 << 20
"""Of an answer whose rows become objects, which takes several times as much; what is larger has `POST /v1/query`, whose answers pass."""


class Statement(Body):
    sql: str = Field(
        description="One DuckDB SELECT.",
        examples=["SELECT model, sum(cost) / 1e9 AS usd FROM request_response_rmt GROUP BY model ORDER BY usd DESC"],
    )


@router.post("/v1/helicone-sql/execute", summary="Ask in SQL, as by Helicone's HQL")
async def execute(body: Statement, request: Request) -> Response:
    """Rows as objects. `size` is their bytes as JSON. There is no limit of 100 rows; that of `HELIOGRAPH_QUERY__ROWS` holds."""
    answer = await _asked(request, body.sql, Format.JSON, asker(request))
    if sum(map(len, answer.pieces)) > MOST_BYTES:
        raise Wrong(f"[HQL_RESULT_TOO_LARGE] The answer has more than {MOST_BYTES >> 20} MiB: ask for less, or POST /v1/query", 503)
    return await asyncio.to_thread(_told, answer)


def _told(answer: Answer) -> Response:
    """Columns of the same name get a number."""
    found = msgspec.json.decode(answer.body, type=_Found)
    names = distinct_names(found.columns)
    rows = [dict(zip(names, row, strict=True)) for row in found.rows]
    shown = {"rows": rows, "elapsedMilliseconds": found.elapsed_ms, "size": len(msgspec.json.encode(rows)), "rowCount": len(rows)}
    return data(shown, truncated=found.truncated)


class _Found(Struct):
    columns: list[str]
    rows: list[list[msgspec.Raw]]
    truncated: bool
    elapsed_ms: float


@router.post("/v1/helicone-sql/download", summary="A link to the answer as CSV")
async def download(body: Statement, request: Request) -> Response:
    """It opens for a day, without a key, and asks anew each time it is followed."""
    organization = asker(request)
    packed = base64.urlsafe_b64encode(zlib.compress(body.sql.encode(errors="replace"))).decode()
    if len(packed) > LONGEST_LINK:
        raise Wrong("The statement is too long for a link; POST /v1/query answers CSV at once.")
    return data(links_of(request).to(LINK, request, sql=packed, **_named(organization)))


@router.get(LINK, summary="The answer to a statement as CSV, by a signed link", response_class=Response)
async def csv(request: Request) -> Response:
    """The link is the one that `POST /v1/helicone-sql/download` answered."""
    said = dict(request.query_params)
    if not links_of(request).opens(LINK, said):
        return failed("This link has ended, or is none of ours. Ask for it again.", 403)
    organization = Organization(said["organization"]) if "organization" in said else None
    answer = await _asked(request, _unpacked(said["sql"]), Format.CSV, organization)
    return Handed(answer, {"content-disposition": 'attachment; filename="answer.csv"'}, "text/csv; charset=utf-8")


@router.get("/v1/helicone-sql/schema", summary="Tables and columns that SQL may name")
async def schema(request: Request) -> Response:
    """Helicone's table first, then our own."""
    asker(request)
    listed = sorted(VIEWS.values(), key=lambda view: view.name != "request_response_rmt")
    return data(
        [{"table_name": view.name, "columns": [{"name": each.name, "type": each.type} for each in view.columns]} for view in listed]
    )


def _named(organization: Organization | None) -> dict[str, str]:
    return {} if organization is None else {"organization": organization}


def _unpacked(packed: str) -> str:
    """Of a link that was signed here. Raises Wrong."""
    try:
        return zlib.decompressobj().decompress(base64.urlsafe_b64decode(packed), MOST_SQL).decode()
    except (binascii.Error, ValueError, zlib.error):
        raise Wrong("The link holds no statement.") from None


STATUSES = {"query_timeout": 503, "result_too_large": 503}
"""Where Helicone's endpoint answers another status than ours for the same."""


async def _asked(request: Request, sql: str, form: Format, organization: Organization | None) -> Any:
    """Raises Wrong, in Helicone's words: `[HQL_…] what is wrong: what to do`."""
    try:
        return await answered(request, SqlAsked(sql=sql, form=form, organization=organization))
    except Refused as error:
        refusal = error.refusal
        message = f"[HQL_{refusal.code.upper()}] {refusal.message.rstrip('.')}: {refusal.fix}"
        raise Wrong(message, STATUSES.get(refusal.code, refusal.status)) from None
