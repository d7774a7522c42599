"""The declared shape of each table of the lake. Never inferred from a batch.

Times are UTC without a zone: DuckDB compares them three to four times faster than zoned ones. Money is `DECIMAL(18,12)` USD: a
millionth of a millionth is below the smallest price there is, and sums run twice as fast as on wider decimals. Durations are 32-bit
floats: seven digits of a millisecond are more than a clock knows. `day` is the partition; in the path of a file, not in it. A column may
be added, with a new `VERSION` (`storage/migration.py` brings older lakes along); none is ever renamed or given another meaning.
"""

import pyarrow as pa

from storage.rollups.measures import ROLLUPS

VERSION = 6
VERSION_KEY = "heliograph.schema_version"
MADE_KEY = "heliograph.made_version"
"""The version a table was made with: where it is this one, each of its files has all columns."""

TEXT = pa.string()
COUNT = pa.int64()
MONEY = pa.decimal128(18, 12)
SECONDS = pa.decimal128(18, 9)
TIME = pa.timestamp("us")
MILLISECONDS = pa.float32()
PROPERTIES = pa.map_(pa.string(), pa.string())
SCORES = pa.map_(pa.string(), pa.float64())
COUNTS = pa.map_(TEXT, COUNT)
JOB = pa.struct([("id", TEXT), ("cost_usd", MONEY), ("price_source", TEXT), ("price_basis", TEXT), ("rates", PROPERTIES)])
TRIES = pa.list_(
    pa.struct([("origin", TEXT), ("status", pa.int32()), ("failure", TEXT), ("began_ms", pa.float64()), ("took_ms", pa.float64())])
)

CALLS = pa.schema(
    [
        ("call_id", TEXT),
        ("request_id", TEXT),
        ("revision", pa.int32()),
        ("organization", TEXT),
        ("created_at", TIME),
        ("completed_at", TIME),
        ("provider", TEXT),
        ("dialect", TEXT),
        ("method", TEXT),
        ("path", TEXT),
        ("target_url", TEXT),
        ("model", TEXT),
        ("request_model", TEXT),
        ("response_model", TEXT),
        ("model_override", TEXT),
        ("status", pa.int32()),
        ("outcome", TEXT),
        ("stream", pa.bool_()),
        ("user_id", TEXT),
        ("session_id", TEXT),
        ("session_name", TEXT),
        ("session_path", TEXT),
        ("properties", PROPERTIES),
        ("prompt_id", TEXT),
        ("prompt_version", TEXT),
        ("prompt_inputs", PROPERTIES),
        ("traceparent", TEXT),
        ("latency_ms", MILLISECONDS),
        ("ttft_ms", MILLISECONDS),
        ("prompt_tokens", COUNT),
        ("completion_tokens", COUNT),
        ("cache_read_tokens", COUNT),
        ("cache_write_tokens", COUNT),
        ("reasoning_tokens", COUNT),
        ("audio_input_tokens", COUNT),
        ("audio_output_tokens", COUNT),
        ("audio_cache_read_tokens", COUNT),
        ("cache_write_5m_tokens", COUNT),
        ("cache_write_1h_tokens", COUNT),
        ("image_input_tokens", COUNT),
        ("image_output_tokens", COUNT),
        ("video_input_tokens", COUNT),
        ("video_output_tokens", COUNT),
        ("citation_tokens", COUNT),
        ("audio_seconds", SECONDS),
        ("web_searches", COUNT),
        ("file_searches", COUNT),
        ("total_tokens", COUNT),
        ("usage_source", TEXT),
        ("usage_method", TEXT),
        ("cost_usd", MONEY),
        ("price_source", TEXT),
        ("price_basis", TEXT),
        ("price_context", PROPERTIES),
        ("price_note", TEXT),
        ("rates", PROPERTIES),
        ("stated_cost_usd", MONEY),
        ("job", JOB),
        ("cache_hit", pa.bool_()),
        ("cache_reference_id", TEXT),
        ("cost_saved_usd", MONEY),
        ("attempts", pa.int32()),
        ("tries", TRIES),
        ("fallback_index", pa.int32()),
        ("rate_limited", pa.bool_()),
        ("request_bytes", COUNT),
        ("response_bytes", COUNT),
        ("truncated", pa.bool_()),
        ("redactions", COUNTS),
        ("finish_reason", TEXT),
        ("error", TEXT),
        ("source", TEXT),
        ("amended_at", TIME),
        ("day", pa.date32()),
    ]
)

BODIES = pa.schema(
    [
        ("call_id", TEXT),
        ("request_id", TEXT),
        ("organization", TEXT),
        ("created_at", TIME),
        ("side", TEXT),
        ("text", TEXT),
        ("base64", TEXT),
        ("tail", TEXT),
        ("assembled", TEXT),
        ("size", COUNT),
        ("content_type", TEXT),
        ("truncated", pa.bool_()),
        ("omitted", pa.bool_()),
        ("undecodable", TEXT),
        ("facts", TEXT),
        ("day", pa.date32()),
    ]
)

FEEDBACK = pa.schema(
    [
        ("feedback_id", TEXT),
        ("request_id", TEXT),
        ("organization", TEXT),
        ("given_at", TIME),
        ("rating", pa.bool_()),
        ("scores", SCORES),
        ("properties", PROPERTIES),
        ("session_id", TEXT),
        ("rating_retracted", pa.bool_()),
        ("comment", TEXT),
        ("tag", TEXT),
        ("property_count", pa.int32()),
        ("day", pa.date32()),
    ]
)

DEAD_LETTERS = pa.schema(
    [
        ("topic", TEXT),
        ("partition", pa.int32()),
        ("offset", COUNT),
        ("index", pa.int32()),
        ("reason", TEXT),
        ("error", TEXT),
        ("at", TIME),
        ("payload", TEXT),
        ("organization", TEXT),
        ("call_id", TEXT),
        ("day", pa.date32()),
    ]
)

TABLES: dict[str, pa.Schema] = {
    "calls": CALLS,
    "amendments": CALLS,
    "superseded": CALLS,
    "bodies": BODIES,
    "feedback": FEEDBACK,
    "dead_letters": DEAD_LETTERS,
    "rollups": ROLLUPS,
}

SORTED_BY: dict[str, tuple[str, ...]] = {
    "calls": ("organization", "created_at"),
    "amendments": ("organization", "created_at"),
    "superseded": ("organization", "created_at"),
    "bodies": ("organization", "created_at"),
    "feedback": ("organization", "given_at"),
    "dead_letters": ("at",),
    "rollups": ("grain", "organization", "begins"),
}

SETTLED_BY = ("organization", "user_id", "session_id", "created_at")
"""The order of `calls` in days that are settled."""
