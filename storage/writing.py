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

_PLAIN = ("call_id", "request_id", "latency_ms", "ttft_ms", "text")
"""Columns in which hardly a value comes twice: of them a dictionary is an index beside the values, larger and slower to read."""
_DELTAS = (
    "created_at",
    "completed_at",
    "cost_usd",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "request_bytes",
    "response_bytes",
)
"""Those of whole numbers, as times and decimals are here: differences to the value before, in as few bits as the largest of some needs, are
read in a third of the time, and compress as well.
"""
_ENCODED = {
    **{name: ColumnProperties(dictionary_enabled=False) for name in _PLAIN},
    **{name: ColumnProperties(dictionary_enabled=False, encoding="DELTA_BINARY_PACKED") for name in _DELTAS},
}
WRITING = WriterProperties(compression="ZSTD", compression_level=3, max_row_group_size=32_768, column_properties=_ENCODED)
WRITING_SUMS = WriterProperties(compression="ZSTD", compression_level=3, max_row_group_size=32_768)
"""Of rollups, whose decimals are wider than any whole number."""

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
    blooms = {
        name: ColumnProperties(
            dictionary_enabled=False if name in _PLAIN else None,
            bloom_filter_properties=BloomFilterProperties(True, fpp=0.01, ndv=int(many * share)),
        )
        for name, share in _BLOOMS.items()
    }
    return WriterProperties(compression="ZSTD", compression_level=3, max_row_group_size=many, column_properties={**_ENCODED, **blooms})


HOOKS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)


def append(snapshot: DeltaTable, rows: pa.Table, properties: CommitProperties) -> None:
    """In one commit on `snapshot`, which then is the newest. Blocks. Raises CommitFailedError when another commit stands in its way."""
    write_deltalake(
        snapshot, rows, mode="append", commit_properties=properties, post_commithook_properties=HOOKS, writer_properties=WRITING
    )
