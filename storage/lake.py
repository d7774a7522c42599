"""The lake: a folder of Delta tables, made and brought up to date when it is opened."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError, TableNotFoundError
from pyarrow import fs

from eventlog.operators import OperatorError
from storage.config import StorageConfig
from storage.migration import known_version, migrate
from storage.object_store import filesystem, folder_of
from storage.schema import MADE_KEY, TABLES, VERSION, VERSION_KEY

_COLOUR = re.compile("\x1b\\[[0-9;]*m")
UNFINISHED = "RESTORE-UNFINISHED"
"""A file of this name says that the lake is not whole."""
MARK_RETENTION = "delta.setTransactionRetentionDuration"


class LakeUnreachable(OperatorError):
    """The lake cannot be opened; the message names it, the reason and the settings."""

    retryable = True

    def __init__(self, uri: str, error: Exception) -> None:
        reasons = [line for line in _COLOUR.sub("", str(error)).replace("↳", "").splitlines() if line.strip()]
        told = reasons[0].strip() if len(reasons) < 2 else f"{reasons[0].strip()} … {reasons[-1].strip()}"
        settings = "HELIOGRAPH_LAKE_URI and HELIOGRAPH_S3__…" if urlsplit(uri).scheme else "HELIOGRAPH_DATA_DIR or HELIOGRAPH_LAKE_URI"
        super().__init__(f"The lake at {uri} cannot be opened: {told}. See {settings}.")


class NoLake(Exception):
    """Nothing is where a lake was said to lie."""

    retryable = False


class Lake:
    """Where each table lies, and how to open it. Holds no snapshot: whoever needs one keeps its own."""

    def __init__(self, config: StorageConfig) -> None:
        self.config = config
        self._uri = config.lake_uri.rstrip("/")

    @classmethod
    def open(cls, config: StorageConfig) -> "Lake":
        """The lake at `config.lake_uri`, its tables made where they are missing, and migrated where they are older.

        Blocks. Raises LakeTooNew for one that a later program wrote, and LakeUnreachable.
        """
        lake = cls(config)
        try:
            lake._make_ready()
        except (DeltaError, OSError) as error:
            raise LakeUnreachable(lake._uri, error) from error
        return lake

    def _make_ready(self) -> None:
        files, root = self.filesystem()
        if files.get_file_info(f"{root}/{UNFINISHED}").type is fs.FileType.File:
            raise OSError(f"a restore into it has begun and not ended ({UNFINISHED}); remove it and restore again")
        if self.local:
            Path(self._uri).mkdir(parents=True, exist_ok=True)
        for name in TABLES:
            try:
                table = self.table(name)
            except TableNotFoundError:
                self._create(name)
                continue
            migrate(name, table)
            self._keep_marks(self.table(name))

    @classmethod
    def existing(cls, config: StorageConfig) -> "Lake":
        """The lake at `config.lake_uri` as it is, for those who only read: nothing is made and nothing migrated.

        Blocks. Raises NoLake, LakeTooNew and LakeUnreachable.
        """
        lake = cls(config)
        try:
            tables = list(lake._tables())
        except (DeltaError, OSError) as error:
            raise LakeUnreachable(lake._uri, error) from error
        if not tables:
            raise NoLake(f"There is no lake in {lake.directory()}.")
        for table in tables:
            known_version(table)
        return lake

    def _tables(self) -> Iterator[DeltaTable]:
        for name in TABLES:
            with suppress(TableNotFoundError):
                yield self.table(name)

    @property
    def local(self) -> bool:
        return not urlsplit(self._uri).scheme

    def exists(self) -> bool:
        """Whether there is a table in it. Blocks."""
        return any(DeltaTable.is_deltatable(self.uri_of(name), self.options()) for name in TABLES)

    def directory(self) -> str:
        """The folder that all tables lie in, absolute on a local disk."""
        return str(Path(self._uri).resolve()) if self.local else self._uri

    def filesystem(self) -> tuple[fs.FileSystem, str]:
        """Where the files lie, for those who read and write them one by one, and the folder there."""
        if self.local:
            return fs.LocalFileSystem(), self.directory()
        return filesystem(self.config.s3), folder_of(self._uri)

    def uri_of(self, table: str) -> str:
        return f"{self.directory()}/{table}"

    def table(self, name: str) -> DeltaTable:
        """A fresh snapshot. Blocks."""
        return DeltaTable(self.uri_of(name), storage_options=self.options())

    def is_newest(self, table: str, version: int) -> bool:
        """Whether a look at the folder tells that nothing was committed after this version. False: it has to be asked. Blocks."""
        this, following = (Path(self.directory(), table, "_delta_log", f"{each:020}.json") for each in (version, version + 1))
        return self.local and this.exists() and not following.exists()

    def options(self) -> dict[str, str] | None:
        """Of its store, as delta-rs takes them; None of a directory."""
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
                MADE_KEY: str(VERSION),
                "delta.checkpointInterval": "50",
                "delta.logRetentionDuration": _interval(self.config.log_retention),
                MARK_RETENTION: _interval(self.config.mark_retention),
            },
            raise_if_key_not_exists=False,
            storage_options=self.options(),
        )


def _interval(span: timedelta) -> str:
    """As Delta writes it."""
    return f"interval {int(span.total_seconds())} seconds"
