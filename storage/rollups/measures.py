"""What is added up of calls, and by what: the columns of a rollup, each once.

Sums are exact: tokens as whole numbers wide enough for any, money and time as decimals. So it makes no difference in what order, and from
how many parts, they are added.
"""

from collections.abc import Mapping

import pyarrow as pa
from msgspec import Struct

from storage.rollups.sketch import bucket_sql

KEYS = ("organization", "provider", "model", "outcome", "status")
"""What rows are kept apart by, beside the time."""
KEYS_TOLD = {
    "organization": "Whose calls they are.",
    "provider": "As `calls` has it.",
    "model": "As `calls` has it.",
    "outcome": "As `calls` has it.",
    "status": "As `calls` has it.",
}
DIMENSIONS = frozenset(KEYS)
ERROR = "coalesce(outcome NOT IN ('completed', 'interrupted_by_client'), true)"


class Measure(Struct, frozen=True, kw_only=True):
    """A column that is added up."""

    over_calls: str
    """Its aggregate over calls."""
    kind: pa.DataType
    """As it is kept."""
    type: str
    """As it is shown, by DuckDB's name."""
    description: str
    merges_by: str = "sum"
    """The aggregate over rows of it."""

    @property
    def of_calls(self) -> str:
        return f"CAST({self.over_calls} AS {self.type})"

    def of_rows(self, column: str) -> str:
        return f"CAST({self.merges_by}({column}) AS {self.type})"


def _count(of: str, description: str) -> Measure:
    return Measure(over_calls=of, kind=pa.int64(), type="BIGINT", description=description)


def _tokens(kind: str, description: str) -> Measure:
    """A call may say any number, so the sum of many needs more than 64 bits."""
    return Measure(over_calls=f"sum({kind}_tokens)", kind=pa.decimal128(38, 0), type="HUGEINT", description=description)


def _usd(column: str, description: str) -> Measure:
    return Measure(over_calls=f"sum({column})", kind=pa.decimal128(38, 12), type="DECIMAL(38,12)", description=description)


def _total_ms(column: str, description: str) -> Measure:
    exact = f"sum(TRY_CAST({column} AS DECIMAL(18,3)))"
    return Measure(over_calls=exact, kind=pa.decimal128(38, 3), type="DECIMAL(38,3)", description=description)


def _extreme(aggregate: str, description: str) -> Measure:
    over = f"{aggregate}(latency_ms)"
    return Measure(over_calls=over, merges_by=aggregate, kind=pa.float32(), type="FLOAT", description=description)


MEASURES: Mapping[str, Measure] = {
    "calls": _count("count(*)", "How many calls."),
    "errors": _count(f"count(*) FILTER ({ERROR})", "How many failed, for another reason than that their clients gave up."),
    "unpriced": _count("count(*) FILTER (cost_usd IS NULL)", "How many of them have no known cost."),
    "cost_usd": _usd("cost_usd", "What the others cost, exact; NULL when there are none."),
    "cost_saved_usd": _usd("cost_saved_usd", "What answers from the cache would have cost."),
    "uncounted": _count("count(*) FILTER (total_tokens IS NULL)", "How many calls have no known tokens."),
    "prompt_tokens": _tokens("prompt", "Tokens of prompts, of calls that know them."),
    "completion_tokens": _tokens("completion", "Tokens of answers."),
    "cache_read_tokens": _tokens("cache_read", "Part of the prompts that the provider read from its cache."),
    "cache_write_tokens": _tokens("cache_write", "Part of the prompts that the provider wrote to its cache."),
    "reasoning_tokens": _tokens("reasoning", "Part of the answers that was reasoning."),
    "total_tokens": _tokens("total", "Prompts and answers."),
    "cache_hits": _count("count(*) FILTER (cache_hit)", "How many were answered from Heliograph's cache."),
    "streams": _count("count(*) FILTER (stream)", "How many asked for a stream."),
    "rate_limited": _count("count(*) FILTER (rate_limited)", "How many a rate limit of Heliograph's refused."),
    "attempts": _count("sum(attempts)", "How often providers were asked."),
    "latency_calls": _count("count(latency_ms)", "How many calls have a known latency."),
    "latency_sum_ms": _total_ms("latency_ms", "The sum of latencies, each to a microsecond."),
    "latency_min_ms": _extreme("min", "The shortest latency."),
    "latency_max_ms": _extreme("max", "The longest."),
    "ttft_calls": _count("count(ttft_ms)", "How many calls have a known time to the first token."),
    "ttft_sum_ms": _total_ms("ttft_ms", "The sum of these times, each to a microsecond."),
}

ADDED = (
    *("outcome", "cost_usd", "cost_saved_usd", "cache_hit", "stream", "rate_limited", "attempts", "latency_ms", "ttft_ms"),
    *(f"{kind}_tokens" for kind in ("prompt", "completion", "cache_read", "cache_write", "reasoning", "total")),
)
"""The columns of calls that are added up."""
READ = frozenset({"call_id", "revision", "amended_at", "created_at", *KEYS, *ADDED})
"""With those that rows are kept apart by, and those that say which row of a call stands."""

SKETCH = pa.map_(pa.int32(), pa.int64())
SKETCHES: Mapping[str, str] = {"latency_sketch": "latency_ms", "ttft_sketch": "ttft_ms"}
"""By the sketch's column: the durations it is of."""
BUCKETS: Mapping[str, str] = {name: bucket_sql(column) for name, column in SKETCHES.items()}
SKETCH_TOLD: Mapping[str, str] = {
    "latency_sketch": "How many latencies are in each bucket. Bucket b is of 1.0202^(b-1) to 1.0202^b ms, so its middle is within 1 %.",
    "ttft_sketch": "The same of times to the first token.",
}

ROLLUPS = pa.schema(
    [
        ("grain", pa.string()),
        ("part", pa.int32()),
        ("begins", pa.timestamp("us")),
        *((name, pa.int32() if name == "status" else pa.string()) for name in KEYS),
        *((name, measure.kind) for name, measure in MEASURES.items()),
        *((name, SKETCH) for name in SKETCHES),
        ("of_day", pa.date32()),
        ("calls_files", pa.list_(pa.string())),
        ("amendments_files", pa.list_(pa.string())),
        ("answered", pa.list_(pa.string())),
        ("day", pa.date32()),
    ]
)
"""The table `rollups`. The columns from `of_day` on are of the index alone (`coverage.py`), those before `of_day` of all other rows."""
