"""What the sink counts."""

from prometheus_client import Counter, Histogram

ROWS = Counter("heliograph_sink_rows_total", "Rows committed to the lake.", ["table"])
COMMITS = Counter("heliograph_sink_commits_total", "Commits to the lake.", ["table"])
COMMIT_SECONDS = Histogram(
    "heliograph_sink_commit_seconds", "Time a commit took.", ["table"], buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
)
REPEATS = Counter("heliograph_sink_repeats_total", "Batches skipped because the lake had them.", ["table"])
EXPIRED = Counter("heliograph_sink_expired_total", "Messages that the log forgot before the lake had them: data was lost.", ["table"])
GAPS = Counter("heliograph_sink_gaps_total", "Batches that a producer numbered and that never came: data was lost.", ["table"])
HOLES = Counter("heliograph_sink_holes_total", "Offsets without a message that were read twice and passed over.", ["table"])
FAILURES = Counter("heliograph_sink_failures_total", "Commits that the lake did not take; they are tried again.")
CONFLICTS = Counter("heliograph_sink_conflicts_total", "Commits refused because another sink was ahead.", ["table"])
COMPACTIONS = Counter("heliograph_lake_compactions_total", "Days whose small files were merged.", ["table"])
ERASED = Counter("heliograph_sink_erased_total", "Rows left out because they were erased before they came to rest.", ["table"])
EXPIRED_ROWS = Counter("heliograph_lake_expired_rows_total", "Rows removed because they had been kept long enough.", ["table"])
ROLLUPS = Counter("heliograph_lake_rollups_total", "Days whose calls were added up by hour and day.")
JOB_ROWS = Counter("heliograph_lake_job_rows_total", "Rows changed when work that is billed once, such as a batch, was booked.")
SETTLED_DAYS = Counter(
    "heliograph_lake_settled_days_total", "Days whose calls were written anew and in order, once they were over; each twice."
)
ABANDONED = Counter("heliograph_lake_abandoned_calls_total", "Calls of which only the beginning was heard, written down as abandoned.")


def committed(table: str, rows: int, seconds: float) -> None:
    """Counts one commit."""
    ROWS.labels(table).inc(rows)
    COMMITS.labels(table).inc()
    COMMIT_SECONDS.labels(table).observe(seconds)


def expect(table: str) -> None:
    """Shows at 0 what may come to be counted: a series that begins with its first count has no rate to be alarmed by."""
    for counter in (ROWS, COMMITS, REPEATS, EXPIRED, GAPS, HOLES, CONFLICTS, ERASED, EXPIRED_ROWS):
        counter.labels(table)
