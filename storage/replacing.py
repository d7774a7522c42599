"""Rows of the lake as they stand, with some columns changed: how rows are made that replace rows."""

# ruff: noqa: S608 the names are those of declared columns

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from storage import schema
from storage.lake import Lake
from storage.snapshots import live_files
from storage.sources import Source

KEY = "call_id"


def source_of(lake: Lake, name: str, snapshot: DeltaTable | None = None) -> Source:
    """A table of calls as it is now, or as `snapshot` has it. Blocks."""
    table = lake.table(name) if snapshot is None else snapshot
    return Source(schema=schema.CALLS, files=live_files(table, lake.uri_of(name)))


def changes_of(columns: Mapping[str, Sequence[Any]], now: datetime) -> pa.Table:
    """New values of some columns, `call_id` and `revision` among them, for `replaced`."""
    kinds = {field.name: field.type for field in schema.CALLS}
    dated = {**columns, "amended_at": [now] * len(columns[KEY])}
    return pa.table({name: pa.array(values, kinds[name]) for name, values in dated.items()})


def replaced(connection: duckdb.DuckDBPyConnection, current: str, changes: pa.Table) -> pa.Table:
    """The calls of `changes`, each as it stands in the SELECT `current`, but for the columns that `changes` has. In `amendments`' shape."""
    connection.register("changes", changes)
    replacing = ", ".join(f"changes.{name} AS {name}" for name in changes.column_names if name != KEY)
    found: pa.Table = connection.sql(f"""
        SELECT live.* REPLACE ({replacing}), CAST(live.created_at AS DATE) AS day
        FROM ({current}) live JOIN changes USING ({KEY}) ORDER BY organization, created_at""").to_arrow_table()
    columns = [found.column(field.name).cast(field.type) for field in schema.CALLS]
    return pa.Table.from_arrays(columns, schema=schema.CALLS)
