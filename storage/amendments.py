"""Rows that replace rows: what a replay makes of a call is appended to `amendments`, and the view shows it in the place of the live row.

The messages come with those of live calls, and so does their position; it is kept in the table `calls`. What they amend is written before
that position is, and leaves its own marks in `amendments`: a message that comes again after a crash in between is known by them.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError
from msgspec import Struct

from eventlog.codec import BatchId
from eventlog.events import CallPriced
from eventlog.port import Place
from storage import telemetry
from storage.lake import Lake
from storage.marks import Mark, Seen
from storage.rows import calls_table
from storage.writing import append

TABLE = "amendments"


class Amended(Struct, frozen=True):
    """One message of a replay: the calls it replaces, and the revision they get."""

    place: Place
    batch_id: BatchId
    revision: int
    calls: tuple[CallPriced, ...]


class Amendments:
    """Writes them, each message once. Blocks."""

    def __init__(self, lake: Lake, identities: Mapping[str, str], clock: Callable[[], float]) -> None:
        self._lake = lake
        self._identities = identities
        self._clock = clock

    def write(self, amended: Sequence[Amended]) -> None:
        """What the table has already is left out. After a conflict it is judged again."""
        while amended and not self._written(amended):
            telemetry.CONFLICTS.labels(TABLE).inc()

    def _written(self, amended: Sequence[Amended]) -> bool:
        snapshot = self._lake.table(TABLE)
        seen = Seen(snapshot, self._identities, frozenset())
        new = [each for each in amended if seen.is_first(Mark(each.batch_id.epoch, *each.place), each.batch_id)]
        if not any(each.calls for each in new):
            return True
        began = time.monotonic()
        marks = {Mark(each.batch_id.epoch, *each.place) for each in new}
        now = datetime.fromtimestamp(self._clock(), UTC)
        table = amendments_table(((each.revision, call) for each in new for call in each.calls), now)
        try:
            properties = CommitProperties(app_transactions=seen.transactions((), marks, now=self._clock()), max_commit_retries=5)
            append(snapshot, table, properties)
        except CommitFailedError:
            return False
        telemetry.committed(TABLE, table.num_rows, time.monotonic() - began)
        return True


def amendments_table(rows: Iterable[tuple[int, CallPriced]], amended_at: datetime) -> pa.Table:
    """Calls with the revision of each."""
    by_revision: dict[int, list[CallPriced]] = {}
    for revision, call in rows:
        by_revision.setdefault(revision, []).append(call)
    return pa.concat_tables([calls_table(calls, revision, amended_at=amended_at) for revision, calls in by_revision.items()])


def newest_revision(lake: Lake) -> int:
    """The highest there is, also where it was folded into the calls; 0 where nothing was ever replaced. Blocks."""
    return max(0, *(_newest(lake.table(name)) for name in (TABLE, "calls")))


def _newest(table: DeltaTable) -> int:
    actions = table.get_add_actions(flatten=True)
    known: list[Any] = list(actions.column("max.revision").to_pylist()) if "max.revision" in actions.schema.names else []
    return max([0, *(int(each) for each in known if each is not None)])
