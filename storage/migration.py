"""A lake of an earlier version is brought along; one of a later version is refused."""

import pyarrow as pa
from deltalake import DeltaTable, Schema

from eventlog.operators import OperatorError
from storage.schema import TABLES, VERSION, VERSION_KEY


class LakeTooNew(OperatorError):
    """The lake was written by a later program than this one."""

    retryable = False


def version_of(table: DeltaTable) -> int:
    """The schema's version that a table was last migrated to; 0 when it says none."""
    return int(table.metadata().configuration.get(VERSION_KEY, "0"))


def known_version(table: DeltaTable) -> int:
    """The version of a table that this program can read. Raises LakeTooNew."""
    version = version_of(table)
    if version > VERSION:
        raise LakeTooNew(
            f"{table.table_uri} has schema version {version}, this program knows {VERSION}. Start the newer Heliograph that wrote it."
        )
    return version


def migrate(name: str, table: DeltaTable) -> None:
    """Adds the columns that a table lacks; old rows answer NULL for them. Raises LakeTooNew."""
    version = known_version(table)
    missing = missing_columns(table, TABLES[name])
    if missing:
        table.alter.add_columns(list(Schema.from_arrow(pa.schema(missing)).fields))
    if version < VERSION:
        table.alter.set_table_properties({VERSION_KEY: str(VERSION)}, raise_if_not_exists=False)


def missing_columns(table: DeltaTable, declared: pa.Schema) -> list[pa.Field]:
    present = {field.name for field in table.schema().fields}
    return [field for field in declared if field.name not in present]
