"""Bodies laid beside the calls of an export.

A day's bodies are far more than fits into memory: so many of its calls are taken at a time as have bodies of some megabytes, and theirs
alone are read.
"""

# ruff: noqa: S608 every text that goes into the SQL passes `literal`

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
from pyarrow import compute

from storage.engine import literal
from storage.export_forms import Form, projected
from storage.formats import rows_of
from storage.rest import request_rows
from storage.rest.sql import Row
from storage.views import Column

MOST_BYTES = 8 << 20
"""Of bodies that are read at once, as they passed on the wire."""
COLUMNS = (
    Column(name="request_body", type="VARCHAR", description="The request's body as text."),
    Column(name="response_body", type="VARCHAR", description="The answer's body as text; that of a stream is put together."),
)

Finish = Callable[[duckdb.DuckDBPyConnection, str], Iterator[pa.RecordBatch]]
"""What becomes of the calls in the view `part`, given the SELECT of their bodies."""


def finish_of(form: Form, columns: Sequence[Column]) -> Finish:
    """What the form makes of calls and their bodies."""
    return _helicones if form is Form.HELICONE else _beside(projected(form, columns))


def read(connection: duckdb.DuckDBPyConnection, batches: pa.RecordBatchReader, bodies: str, finish: Finish) -> Iterator[pa.RecordBatch]:
    """The calls of `batches` with those of the SELECT `bodies` beside them; an empty batch first."""
    yield from finish(_with(connection, pa.RecordBatch.from_pylist([], batches.schema)), _said(bodies, "false"))
    for batch in batches:
        for start, count in cut(_sizes(batch), MOST_BYTES):
            part = batch.slice(start, count)
            yield from finish(_with(connection, part), _said(bodies, _theirs(part)))


def _with(connection: duckdb.DuckDBPyConnection, part: pa.RecordBatch) -> duckdb.DuckDBPyConnection:
    return connection.register("part", pa.Table.from_batches([part]))


def _theirs(part: pa.RecordBatch) -> str:
    """By their ids one by one: joined, the engine might hold the bodies to look the calls up. They began when their calls did."""
    times = compute.min_max(part.column("created_at").cast(pa.timestamp("us"))).as_py()
    first, last = (literal(times[end].isoformat(sep=" ")) for end in ("min", "max"))
    ids = ", ".join(map(literal, part.column("call_id").to_pylist()))
    return f"created_at BETWEEN TIMESTAMP {first} AND TIMESTAMP {last} AND call_id IN ({ids})"


def _said(bodies: str, condition: str) -> str:
    said = "call_id, side, omitted, undecodable, true AS inline, coalesce(assembled, text) AS said, base64"
    return f"SELECT {said} FROM ({bodies}) WHERE {condition}"


def _sizes(batch: pa.RecordBatch) -> list[int]:
    both = zip(*(batch.column(name).to_pylist() for name in ("request_bytes", "response_bytes")), strict=True)
    return [(asked or 0) + (answered or 0) for asked, answered in both]


def cut(sizes: Iterable[int], most: int) -> Iterator[tuple[int, int]]:
    """Where each piece starts and how many it has, so that none is larger than `most`; one that is larger alone stands alone."""
    start, count, taken = 0, 0, 0
    for size in sizes:
        if count and taken + size > most:
            yield start, count
            start, count, taken = start + count, 0, 0
        count, taken = count + 1, taken + size
    if count:
        yield start, count


def _beside(selected: str) -> Finish:
    def finish(connection: duckdb.DuckDBPyConnection, said: str) -> Iterator[pa.RecordBatch]:
        sides = ", ".join(f"any_value(said) FILTER (side = '{side}') AS {side}_body" for side in ("request", "response"))
        bodies = f"SELECT call_id, {sides} FROM ({said}) GROUP BY call_id"
        found = f"SELECT {selected} FROM (SELECT part.*, request_body, response_body FROM part LEFT JOIN ({bodies}) USING (call_id))"
        table: pa.Table = connection.sql(found).to_arrow_table()
        yield from table.to_batches() or [pa.RecordBatch.from_pylist([], table.schema)]

    return finish


def _helicones(connection: duckdb.DuckDBPyConnection, said: str) -> Iterator[pa.RecordBatch]:
    """Lines as Helicone's request API tells calls."""
    sides = request_rows.sides_of(_rows(connection, said))
    called = _rows(connection, f"SELECT {request_rows.COLUMNS}, rating, scores FROM part")
    lines = [_encode(_told(row, sides.get(row["call_id"], {}))).decode() for row in called]
    yield pa.RecordBatch.from_pydict({"line": pa.array(lines, pa.string())})


def _told(row: Row, sides: request_rows.Sides) -> dict[str, Any]:
    return {**request_rows.told(row, _judged(row), sides, ""), "inputs": row["prompt_inputs"] or {}}


def _judged(row: Row) -> Row:
    """When and by what it was said stands in the table `feedback`."""
    return {"rating": row["rating"], "scores": row["scores"], "given_at": None, "feedback_id": None}


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Row]:
    table = connection.sql(sql).to_arrow_table()
    return [dict(zip(table.column_names, row, strict=True)) for row in rows_of(table)]


_encode = msgspec.json.Encoder(decimal_format="number").encode
