"""Rows that came to the lake though they were erased: a sink had read them, and had not heard of it yet."""

from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from eventlog.erasure import About, Erasure
from storage.erasing import COLUMN, FACTS, Subject, erase, facts_of, find, within
from storage.lake import Lake
from storage.removing import remove

CLOCKS_MS = 60_000
"""Clocks of several machines may be so far apart."""

log = structlog.get_logger()


def sweep(lake: Lake, erasure: Erasure) -> int:
    """Removes rows that came in spite of an erasure. Blocks. Answers how many there were.

    They lie in files that were written since. Of those it is asked whom they name: the erasure itself names nobody in plain text.
    """
    swept = 0
    for value in _named_since(lake, erasure):
        subject = Subject(erasure, value)
        found = find(lake, subject)
        erase(lake, subject, found, lambda _table, _rows: None)
        swept += sum(found.rows.values())
    swept += _forget_figures(lake, erasure)
    if swept:
        log.info("erased_late", erasure=erasure.id, rows=swept)
    return swept


def _named_since(lake: Lake, erasure: Erasure) -> set[str]:
    """What the erasure is about, in plain text, where rows since name it; an empty text for an organization."""
    if erasure.about == About.ORGANIZATION:
        return {""}
    found: set[str] = set()
    for table in FACTS:
        for batch in _since(lake, table, erasure, ["user_id", "request_id", "session_id", "properties"]):
            if (column := COLUMN.get(erasure.about)) is not None:
                found |= {value for value in batch.column(column).unique().to_pylist() if erasure.names(value)}
            if erasure.properties:
                pairs = (pair for row in batch.column("properties").to_pylist() for pair in row or ())
                found |= {value for key, value in pairs if key in erasure.properties and erasure.names(value)}
    for batch in _since(lake, "bodies", erasure, ["facts"]):
        for text in batch.column("facts").drop_null().to_pylist():
            call = facts_of(text)
            said = (call.user_id, call.request_id, call.session_id, *(call.properties.get(key) for key in erasure.properties))
            found |= {value for value in said if value is not None and erasure.covers_call(call) and erasure.names(value)}
    return found


def _forget_figures(lake: Lake, erasure: Erasure) -> int:
    """Figures of before name only their call: settling may have written them while the call was erased. Answers how many there were."""
    days: dict[str, date] = {}
    for batch in _since(lake, "superseded", erasure, ["call_id", "created_at"]):
        days |= {row["call_id"]: row["created_at"].date() for row in batch.to_pylist()}
    if not days:
        return 0
    left = pa.array(days, pa.string())
    pruned = [("day", ">=", min(days.values()).isoformat()), ("day", "<=", max(days.values()).isoformat())]
    for table in ("amendments", "calls"):  # a row that is folded goes from the first to the second
        rows = lake.table(table).to_pyarrow_dataset(file_pruning_predicate=pruned)
        known = rows.to_table(columns=["call_id"], filter=pc.field("call_id").isin(left)).column("call_id")
        left = left.filter(pc.invert(pc.is_in(left, value_set=known)))
    if not len(left):
        return 0
    return remove(lake, "superseded", within("superseded", Subject(erasure)) & pc.field("call_id").isin(left), pruned)


def _since(lake: Lake, table: str, erasure: Erasure, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Rows of before the erasure, of files that were written after it."""
    snapshot = lake.table(table)
    actions = pa.table(snapshot.get_add_actions(flatten=True))
    written = zip(actions.column("path").to_pylist(), actions.column("modification_time").to_pylist(), strict=True)
    since = erasure.before.timestamp() * 1000 - CLOCKS_MS
    recent = {path for path, at in written if at >= since}
    if not recent:
        return
    condition = within(table, Subject(erasure))
    for fragment in snapshot.to_pyarrow_dataset().get_fragments(filter=condition):
        if any(fragment.path.endswith(path) for path in recent):
            yield from fragment.to_batches(columns=list(columns), filter=condition)
