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

SETTLED_ROWS = 32_768
"""Of a row group in a settled day. Looking at one call reads one, so they are small; a year has many to look through, so not smaller."""
_BLOOM_ROWS = {"call_id": SETTLED_ROWS, "request_id": SETTLED_ROWS, "session_id": SETTLED_ROWS // 4}
"""By what old calls are looked for, and how many values of it a row group may have."""


def _settled(name: str) -> ColumnProperties:
    values = _BLOOM_ROWS.get(name)
    bloom = None if values is None else BloomFilterProperties(True, fpp=0.01, ndv=values)
    return ColumnProperties(dictionary_enabled=name not in _WITHOUT_DICTIONARY, bloom_filter_properties=bloom)


SETTLED = WriterProperties(
    compression="ZSTD",
    compression_level=3,
    max_row_group_size=SETTLED_ROWS,
    column_properties={name: _settled(name) for name in {*_WITHOUT_DICTIONARY, *_BLOOM_ROWS}},
)
HOOKS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)


def append(snapshot: DeltaTable, rows: pa.Table, properties: CommitProperties) -> None:
    """In one commit on `snapshot`, which then is the newest. Blocks. Raises CommitFailedError when another commit stands in its way."""
    write_deltalake(
        snapshot, rows, mode="append", commit_properties=properties, post_commithook_properties=HOOKS, writer_properties=WRITING
    )
