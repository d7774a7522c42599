"""The lake: a folder of Delta tables, made and brought up to date when it is opened."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from deltalake import DeltaTable, Schema
from deltalake.exceptions import TableNotFoundError
from pyarrow import fs

from storage.config import StorageConfig
from storage.migration import migrate
from storage.object_store import folder_of
from storage.schema import TABLES, VERSION, VERSION_KEY

MARK_RETENTION = "delta.setTransactionRetentionDuration"


class Lake:
    """Where each table lies, and how to open it. Holds no snapshot: whoever needs one keeps its own."""

    def __init__(self, config: StorageConfig) -> None:
        self.config = config
        self._uri = config.lake_uri.rstrip("/")

    @classmethod
    def open(cls, config: StorageConfig) -> "Lake":
        """The lake at `config.lake_uri`, its tables made where they are missing, and migrated where they are older.

        Blocks. Raises LakeTooNew for one that a later program wrote.
        """
        lake = cls(config)
        if lake.local:
            Path(lake._uri).mkdir(parents=True, exist_ok=True)
        for name in TABLES:
            try:
                table = lake.table(name)
            except TableNotFoundError:
                lake._create(name)
                continue
            migrate(name, table)
            lake._keep_marks(lake.table(name))
        return lake

    @property
    def local(self) -> bool:
        return not urlsplit(self._uri).scheme

    def exists(self) -> bool:
        """Whether there is a table in it. Blocks."""
        return any(DeltaTable.is_deltatable(self.uri_of(name), self._options()) for name in TABLES)

    def directory(self) -> str:
        """The folder that all tables lie in, absolute on a local disk."""
        return str(Path(self._uri).resolve()) if self.local else self._uri

    def filesystem(self) -> tuple[fs.FileSystem, str]:
        """Where the files lie, for those who read and write them one by one, and the folder there."""
        if self.local:
            return fs.LocalFileSystem(), self.directory()
        return self.config.s3.filesystem(), folder_of(self._uri)

    def uri_of(self, table: str) -> str:
        return f"{self.directory()}/{table}"

    def table(self, name: str) -> DeltaTable:
        """A fresh snapshot. Blocks."""
        return DeltaTable(self.uri_of(name), storage_options=self._options())

    def _options(self) -> dict[str, str] | None:
        return None if self.local else self.config.s3.options()

    def files(self, name: str) -> list[str]:
        """The live Parquet files of a table as of its newest commit. Blocks."""
        return self.table(name).file_uris()

    def _keep_marks(self, table: DeltaTable) -> None:
        """Marks must outlive what the log keeps, also when it was told to keep more than when the table was made."""
        wanted = _interval(self.config.mark_retention)
        if table.metadata().configuration.get(MARK_RETENTION) != wanted:
            table.alter.set_table_properties({MARK_RETENTION: wanted})

    def _create(self, name: str) -> None:
        DeltaTable.create(
            self.uri_of(name),
            schema=Schema.from_arrow(TABLES[name]),
            mode="ignore",  # another process may be making it this moment
            partition_by=["day"],
            configuration={
                VERSION_KEY: str(VERSION),
                "delta.checkpointInterval": "50",
                "delta.logRetentionDuration": _interval(self.config.log_retention),
                MARK_RETENTION: _interval(self.config.mark_retention),
            },
            raise_if_key_not_exists=False,
            storage_options=self._options(),
        )


def _interval(span: timedelta) -> str:
    """As Delta writes it."""
    return f"interval {int(span.total_seconds())} seconds"
