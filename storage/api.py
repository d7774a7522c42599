"""The query port: SQL over HTTP, one call with its bodies, the tables and their files, health and metrics.

`create_api` makes the app. Everything it is asked answers JSON, errors too: `{"error": {"code", "message", "field", "fix"}}`.
"""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Path, Query, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field

from eventlog import keys
from eventlog.admission import Admission
from eventlog.events import Organization
from eventlog.keys import Caller, NotAdmitted
from storage.api_errors import ERROR_SCHEMA, error_answers, install_error_answers
from storage.asked import WIDTH, Answer, CallAsked, SqlAsked
from storage.config import StorageConfig
from storage.docs_page import install_docs_page
from storage.door import Door
from storage.exposed import registry
from storage.formats import STREAMED, Format
from storage.lacking import telling
from storage.lake import Lake
from storage.passing import Handed, Passed, answered, answered_in_stream
from storage.pool import Pool
from storage.query import Limits
from storage.refusal import Refusal, Refused
from storage.schema import TABLES
from storage.schema_page import router as schema_router
from storage.snapshots import Snapshots
from storage.spool import Room
from storage.views import VIEWS, View
from storage.whose import whose

BODY_LIMIT = 1 << 20
"""A question of 100,000 characters and its parameters."""

Headers = Sequence[tuple[bytes, bytes]]
Presented = Callable[[Headers], str | None]
"""The key by which a caller says who it is. Names of headers are lower-case."""


def no_key(_headers: Headers) -> None:
    """Where nobody has to say who they are. Where there are keys, nobody comes in."""


_MEDIA = {
    Format.JSON: "application/json",
    Format.JSONL: "application/x-ndjson",
    Format.CSV: "text/csv; charset=utf-8",
    Format.ARROW: "application/vnd.apache.arrow.stream",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.TABLE: "text/plain; charset=utf-8",
}


_WHOSE = "Whose rows. Empty: the key's own organization's. A key with the scope `admin` may name another, or `*` for all."


class Question(BaseModel):
    """One SELECT, and the values of its parameters."""

    model_config = ConfigDict(extra="forbid")

    sql: str = Field(
        description="One DuckDB SELECT over the tables of GET /v1/tables.",
        examples=["SELECT model, count(*) AS calls, sum(cost_usd) AS usd FROM calls GROUP BY model ORDER BY usd DESC"],
    )
    parameters: list[Any] | dict[str, Any] = Field(
        default=[], description="Values for `?` and `$1` as a list, for `$name` as an object.", examples=[[]]
    )
    format: Format | Literal[""] = Field(
        default="",
        description="`json`, `jsonl` (an object a line), `csv`, `arrow` (its stream), `parquet` or `table` (plain text). "
        "Empty: what the header `accept` names, else `json`.",
    )
    organization: str = Field(default="", description=_WHOSE, max_length=1000)
    width: int = Field(default=WIDTH, ge=20, le=10_000, description="Characters of a line of `table`.")


def create_api(
    config: StorageConfig,
    *,
    limits: Limits = Limits(),  # noqa: B008 frozen
    admission: Admission | None = None,
    presented: Presented = no_key,
    of_calls: Sequence[APIRouter] = (),
    own_bodies: Collection[str] = (),
    version: str = "0.1.0",
) -> FastAPI:
    """The app. It opens the lake when it starts, and never writes to it. A caller sees the rows of its organization.

    Whom `admission` lets see all may ask for another's, and is told the files, which hold rows of every one. `presented` finds a
    caller's key. `of_calls`: what else is answered about a call, at paths that go on behind its id. `own_bodies`: paths whose routes
    read what is sent themselves, of whatever type and length.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.admission = admission or Admission()
        app.state.presented = presented
        app.state.snapshots = Snapshots(Lake.open(config))
        app.state.storage = config
        app.state.pool = Pool(config, limits)
        app.state.spool_room = Room(limits.at_once * limits.result_bytes)
        app.state.met = {}
        app.state.pool.warm()
        try:
            yield
        finally:
            await app.state.pool.close()

    app = FastAPI(
        title="Heliograph",
        version=version,
        description="Facts about LLM calls, asked in SQL.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(router)
    for each in (*of_calls, calls_router):
        app.include_router(each)
    app.include_router(schema_router)
    install_docs_page(app)
    install_error_answers(app)
    app.openapi = partial(_openapi, app)  # type: ignore[method-assign]
    app.add_middleware(Door, body_limit=BODY_LIMIT, own_bodies=own_bodies)
    return app


async def end_questions(app: FastAPI, seconds: float) -> None:
    """Of an app that is to end soon: what is being answered has so many seconds; then it, and whatever is asked later, is refused."""
    pool: Pool = app.state.pool
    await pool.end(seconds)


router = APIRouter()
calls_router = APIRouter()
"""Comes behind whatever else begins with /v1/calls: an id may have slashes in it."""

_QUERY_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The columns and the rows. `truncated`: there were more rows than the limit. "
        "`unread_files`, where there are any: files of the lake that cannot be read, and whose rows are missing.",
        "content": {
            **{media: {"schema": {"type": "string"}} for form, media in _MEDIA.items() if form is not Format.JSON},
            "application/json": {
                "example": {
                    "columns": ["model", "calls", "usd"],
                    "types": ["VARCHAR", "BIGINT", "DECIMAL(38,12)"],
                    "rows": [["gpt-4o-mini", 2, 0.0045]],
                    "truncated": False,
                    "elapsed_ms": 12.5,
                }
            },
        },
    },
    **error_answers(400, 401, 403, 413, 415, 422, 503, 504),
}


@router.post("/v1/query", responses=_QUERY_ANSWERS, summary="Ask in SQL", tags=["asking"])
async def query(question: Question, request: Request) -> Response:
    """One SELECT over `calls`, `bodies`, `feedback` and `dead_letters`; DESCRIBE, SUMMARIZE and SHOW TABLES too. Times are UTC."""
    asked = SqlAsked(
        sql=question.sql,
        parameters=question.parameters,
        form=question.format or _accepted(request.headers.get("accept", "")),
        organization=rows_for(request, question.organization),
        width=question.width,
    )
    media = _MEDIA[asked.form]
    answer = await (answered_in_stream(request, asked, media) if asked.form in STREAMED else answered(request, asked))
    if isinstance(answer, Passed):
        return telling(request, answer)
    headers = {"heliograph-rows": str(answer.told.rows)} | ({"heliograph-truncated": "true"} if answer.told.truncated else {})
    return telling(request, Handed(answer, headers, media))


def _accepted(header: str) -> Format:
    """The first form that the header names."""
    named = (each.partition(";")[0].strip().lower() for each in header.split(","))
    return next((_BY_MEDIA[media] for media in named if media in _BY_MEDIA), Format.JSON)


_BY_MEDIA = {media.partition(";")[0]: form for form, media in _MEDIA.items()}


Whose = Annotated[str, Query(description=_WHOSE, max_length=1000)]
CallKey = Annotated[str, Path(description="A call id, or a request id: of several calls with it, the newest.", max_length=1000)]


@calls_router.get("/v1/calls/{id:path}", responses=error_answers(401, 403, 404, 503), summary="One call with its bodies", tags=["asking"])
async def call(id: CallKey, request: Request, organization: Whose = "") -> Response:  # noqa: A002 the name in the path
    """The columns of `calls`, and `request`, `response` and `assembled` (what a streamed answer says as one message)."""
    return Handed(await call_asked(request, CallAsked(key=id, organization=rows_for(request, organization))), {}, "application/json")


@router.get("/v1/tables", summary="The tables and their columns", tags=["tables"])
async def tables() -> dict[str, Any]:
    """What can be asked: each table with its columns, their DuckDB types and what they mean."""
    return {"tables": [_described(view) for view in VIEWS.values()]}


@router.get(
    "/v1/tables/{name}/files", responses=error_answers(401, 403, 404, 503), summary="The live Parquet files of a table", tags=["tables"]
)
def files(name: str, request: Request) -> dict[str, Any]:
    """For DuckDB, Polars and pandas. Appended facts as they rest: `calls` here is without amendments and ratings."""
    if not request.app.state.admission.sees_all(caller_of(request)) or name not in TABLES:
        raise Refused(
            Refusal(
                code="unknown_table",
                message=f"There are no files of a table {name[:100]!r} for you.",
                fix=f"The tables are {', '.join(TABLES)}.",
                field="name",
                status=404,
            )
        )
    snapshots: Snapshots = request.app.state.snapshots
    return {"table": name, "uri": snapshots.uri_of(name), "files": snapshots.paths(name)}


@router.get("/healthz", summary="Alive", tags=["health"])
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/healthcheck", summary="Alive, in Helicone's words", tags=["health"])
async def healthcheck() -> dict[str, str]:
    return {"status": "healthy :)"}


@router.get("/readyz", responses=error_answers(503), summary="Can answer questions", tags=["health"])
async def readyz(request: Request) -> dict[str, str]:
    """Asks a question of the lake, as anybody else would."""
    await answered(request, SqlAsked(sql="SELECT count(*) FROM (SELECT 1 FROM calls LIMIT 1)"), own=True)
    return {"status": "ready"}


@router.get("/metrics", summary="Prometheus metrics", tags=["health"], response_class=PlainTextResponse)
def metrics() -> Response:
    """Of all processes when they share a directory (PROMETHEUS_MULTIPROC_DIR), else of this one."""
    return Response(generate_latest(registry()), media_type=CONTENT_TYPE_LATEST)


def caller_of(request: Request, scope: keys.Scope = keys.Scope.READ) -> Caller:
    """Who asks, and may do what `scope` says. Raises Refused."""
    admission: Admission = request.app.state.admission
    try:
        return admission.known_caller(request.app.state.presented(request.headers.raw), scope)
    except NotAdmitted as error:
        raise Refused(
            Refusal(
                code=error.code,
                message=str(error),
                fix=f"Send Authorization: Bearer, then a key with the scope `{scope.value}`.",
                field="Authorization",
                status=error.status,
            )
        ) from None


def rows_for(request: Request, said: str) -> Organization | None:
    """Whose rows the caller is answered from, if `said` is what it asks for; None: all. Raises Refused."""
    caller, admission = caller_of(request), request.app.state.admission
    return whose(said, caller.organization, sees_all=admission.sees_all(caller))


def _described(view: View) -> dict[str, Any]:
    listed = [{"name": column.name, "type": column.type, "description": column.description} for column in view.columns]
    return {"name": view.name, "description": view.description, "columns": listed}


async def call_asked(request: Request, asked: CallAsked) -> Answer:
    """One call. Raises Refused also where there is none."""
    answer = await answered(request, asked, own=True)
    if not answer.told.found:
        raise Refused(
            Refusal(
                code="call_not_found",
                message=f"There is no call {asked.key[:200]!r}.",
                fix="Give a call id or a request id; a new call appears within two seconds of its answer.",
                field="id",
                status=404,
            )
        )
    return answer


_ANY_ERROR = {"description": "What went wrong.", "content": {"application/json": {}, "text/plain": {"schema": {"type": "string"}}}}


def _openapi(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.0, which the bundled page can show, with the errors' one shape."""
    if app.openapi_schema is None:
        described = get_openapi(
            title=app.title, version=app.version, openapi_version="3.0.3", description=app.description, routes=app.routes
        )
        schemas = described.setdefault("components", {}).setdefault("schemas", {})
        schemas["ErrorAnswer"] = ERROR_SCHEMA
        for methods in described["paths"].values():
            for operation in methods.values():
                operation["responses"].setdefault("default", _ANY_ERROR)
        app.openapi_schema = described
    return app.openapi_schema
