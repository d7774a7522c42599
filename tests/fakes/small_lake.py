"""A lake of a few rows, written with Delta and the declared schemas, one commit for each `add`."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from storage.config import StorageConfig
from storage.lake import Lake
from storage.schema import TABLES

TIME = {
    "superseded": "created_at",
    "calls": "created_at",
    "amendments": "created_at",
    "bodies": "created_at",
    "feedback": "given_at",
    "dead_letters": "at",
}

CALL = {
    "revision": 0,
    "organization": "default",
    "provider": "openai",
    "path": "/v1/chat/completions",
    "target_url": "https://api.openai.com/v1/chat/completions",
    "model": "gpt-4o-mini",
    "status": 200,
    "outcome": "completed",
    "latency_ms": 100.0,
    "properties": {},
    "attempts": 1,
    "source": "proxy",
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "calls": CALL,
    "amendments": CALL,
    "bodies": {"organization": "default"},
    "feedback": {"organization": "default"},
}


class SmallLake:
    """Made in a folder; `lake` is what the product sees of it. `older`: with tables whose files may lack columns, for all it knows."""

    def __init__(self, folder: Path, *, older: bool = False) -> None:
        self.folder = folder
        self.config = StorageConfig(lake_uri=str(folder))
        for name, schema in TABLES.items() if older else ():
            DeltaTable.create(str(folder / name), schema=schema, partition_by=["day"], mode="ignore")
        self.lake = Lake.open(self.config)

    def add(self, table: str, *rows: dict[str, Any]) -> None:
        """Rows with the columns that matter; times as ISO 8601 text, decimals as text, maps as objects."""
        made = [_row(table, row) for row in rows]
        columns = pa.Table.from_pylist(made, schema=TABLES[table])
        write_deltalake(str(self.folder / table), columns, mode="append")

    def spoil(self, table: str) -> None:
        """Makes a table's log unreadable, for those who have read it already too."""
        log = self.folder / table / "_delta_log"
        entries = sorted(entry for entry in log.iterdir() if entry.suffix == ".json")
        for entry in (*entries, log / f"{len(entries):020}.json"):
            entry.write_text("no delta\n")


def _row(table: str, given: dict[str, Any]) -> dict[str, Any]:
    row = {**DEFAULTS.get(table, {}), **given}
    row.setdefault("request_id", row.get("call_id"))
    row.setdefault(TIME[table], "2026-01-02T03:04:05Z")
    values = {field.name: _value(row.get(field.name), field.type) for field in TABLES[table]}
    at = values[TIME[table]]
    return {**values, "day": date(at.year, at.month, at.day)}


def _value(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_timestamp(kind):
        return datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)
    if pa.types.is_decimal(kind):
        return Decimal(str(value))
    if pa.types.is_map(kind):
        return list(value.items())
    return value


def calls(count: int, **columns: Any) -> Sequence[dict[str, Any]]:
    """Some calls of one kind: c0, c1, …"""
    return [{"call_id": f"c{number}", **columns} for number in range(count)]
