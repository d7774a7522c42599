"""How files of the lake are written, whoever writes them."""

import pyarrow as pa
from deltalake import ColumnProperties, CommitProperties, DeltaTable, PostCommitHookProperties, WriterProperties, write_deltalake

WRITING = WriterProperties(
    compression="ZSTD",
    compression_level=3,
    max_row_group_size=100_000,
    column_properties={
        name: ColumnProperties(dictionary_enabled=False) for name in ("call_id", "request_id", "created_at", "completed_at", "text")
    },
)
HOOKS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)


def append(snapshot: DeltaTable, rows: pa.Table, properties: CommitProperties) -> None:
    """In one commit on `snapshot`, which then is the newest. Blocks. Raises CommitFailedError when another commit stands in its way."""
    write_deltalake(
        snapshot, rows, mode="append", commit_properties=properties, post_commithook_properties=HOOKS, writer_properties=WRITING
    )
