"""How files of the lake are written, whoever writes them."""

from deltalake import ColumnProperties, PostCommitHookProperties, WriterProperties

WRITING = WriterProperties(
    compression="ZSTD",
    compression_level=3,
    max_row_group_size=100_000,
    column_properties={
        name: ColumnProperties(dictionary_enabled=False) for name in ("call_id", "request_id", "created_at", "completed_at", "text")
    },
)
HOOKS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
