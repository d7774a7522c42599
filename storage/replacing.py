"""Rows of the lake as they stand, with some columns changed: how rows are made that replace rows."""

# ruff: noqa: S608 the names are those of declared columns

import duckdb
import pyarrow as pa

from storage import schema

KEY = "call_id"


def replaced(connection: duckdb.DuckDBPyConnection, current: str, changes: pa.Table) -> pa.Table:
    """The calls of `changes`, each as it stands in the SELECT `current`, but for the columns that `changes` has. In `amendments`' shape."""
    connection.register("changes", changes)
    replacing = ", ".join(f"changes.{name} AS {name}" for name in changes.column_names if name != KEY)
    found: pa.Table = connection.sql(f"""
        SELECT live.* REPLACE ({replacing}), CAST(live.created_at AS DATE) AS day
        FROM ({current}) live JOIN changes USING ({KEY}) ORDER BY organization, created_at""").to_arrow_table()
    columns = [found.column(field.name).cast(field.type) for field in schema.CALLS]
    return pa.Table.from_arrays(columns, schema=schema.CALLS)
