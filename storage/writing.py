"""How files of the lake are written, whoever writes them."""

import pyarrow as pa
from deltalake import (
    BloomFilterProperties,
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    WriterProperties,
    write_deltalake,
)

_WITHOUT_DICTIONARY = ("call_id", "request_id", "created_at", "completed_at", "text")
WRITING = WriterProperties(
    compression="ZSTD",
    compression_level=3,
    max_row_group_size=32_768,
    column_properties={name: ColumnProperties(dictionary_enabled=False) for name in _WITHOUT_DICTIONARY},
)

SETTLED_ROWS = 65_536
"""Of a row group in a settled day. Looking at one call reads one, so they are small; but what Parquet tells of each is kept in memory by
whoever asks, so those of a large day are larger."""
MOST_SETTLED_ROWS = 2 * SETTLED_ROWS
SETTLED_GROUPS = 16
"""Of a day, where they are larger for it."""
_BLOOMS = {"call_id": 1.0, "request_id": 1.0, "session_id": 0.25}
"""By what old calls are looked for, and how many values of it there may be for each row of a group."""


def settled_rows(rows: int) -> int:
    """How many of a settled day's rows go into one row group."""
    return max(SETTLED_ROWS, min(MOST_SETTLED_ROWS, rows // SETTLED_GROUPS))


def settled(rows: int) -> WriterProperties:
    """How a settled day of so many rows is written."""
    many = settled_rows(rows)
    names = {*_WITHOUT_DICTIONARY, *_BLOOMS}
    return WriterProperties(
        compression="ZSTD",
        compression_level=3,
        max_row_group_size=many,
        column_properties={name: _settled(name, many) for name in names},
    )


def _settled(name: str, rows: int) -> ColumnProperties:
    bloom = BloomFilterProperties(True, fpp=0.01, ndv=int(rows * _BLOOMS[name])) if name in _BLOOMS else None
    return ColumnProperties(dictionary_enabled=name not in _WITHOUT_DICTIONARY, bloom_filter_properties=bloom)


HOOKS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)


def append(snapshot: DeltaTable, rows: pa.Table, properties: CommitProperties) -> None:
    """In one commit on `snapshot`, which then is the newest. Blocks. Raises CommitFailedError when another commit stands in its way."""
    write_deltalake(
        snapshot, rows, mode="append", commit_properties=properties, post_commithook_properties=HOOKS, writer_properties=WRITING
    )
