"""The columns are a promise: what the design names is there, in its order, and each is described once."""

import pytest

from storage import columns
from storage.schema import TABLES
from storage.sources import PARTITION, duckdb_type
from storage.views import VIEWS

PROMISED = """call_id request_id revision organization created_at completed_at provider dialect path target_url model request_model
response_model status outcome stream user_id session_id session_name session_path properties prompt_id
prompt_version prompt_inputs latency_ms ttft_ms prompt_tokens
completion_tokens cache_read_tokens cache_write_tokens reasoning_tokens audio_input_tokens audio_output_tokens total_tokens usage_source
cost_usd price_source cache_hit cache_reference_id cost_saved_usd attempts tries fallback_index rate_limited request_bytes response_bytes
truncated redactions finish_reason error source scores rating""".split()


def test_the_promised_columns_in_their_order() -> None:
    names = [column.name for column in VIEWS["calls"].columns]
    assert [name for name in names if name in PROMISED] == PROMISED


@pytest.mark.parametrize(("view", "docs"), [
    ("calls", columns.CALLS),
    ("bodies", columns.BODIES),
    ("feedback", columns.FEEDBACK),
    ("dead_letters", columns.DEAD_LETTERS),
])  # fmt: skip
def test_no_column_is_described_that_is_not_there(view: str, docs: dict[str, str]) -> None:
    assert docs.keys() == {column.name for column in VIEWS[view].columns}


def test_every_declared_type_has_a_name_in_duckdb() -> None:
    for schema in TABLES.values():
        assert all(duckdb_type(field.type) for field in schema if field.name != PARTITION)
