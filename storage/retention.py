"""What has been kept long enough leaves the lake: whole days by dropping their files, else one organization's rows of a day.

First a plan, a value; then its execution, a commit for each day, or for all days that go whole. What is lost to another commit is planned
anew an hour later; a kill between two leaves a shorter plan.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import structlog
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError
from msgspec import Struct

from eventlog.events import Organization
from eventlog.lifetimes import Lifetimes
from storage.engine import literal
from storage.lake import Lake
from storage.removing import FilesMoved, remove
from storage.writing import HOOKS

log = structlog.get_logger()

ORDER = ("bodies", "dead_letters", "feedback", "superseded", "amendments", "calls")
"""Bodies go before their calls: a request without a call would be taken for one that never ended."""
OF_BODIES = frozenset({"bodies", "dead_letters"})
"""Tables that hold what was said. A dead letter holds its event."""

Owners = frozenset[Organization | None]


class Due(Struct, frozen=True):
    """One day of a table of which something is to go."""

    table: str
    day: date
    organizations: tuple[Organization | None, ...] | None = None
    """Whose rows; None: everybody's, so that its files can be dropped."""


class Removed(Struct, frozen=True):
    """What went of a table."""

    table: str
    days: int
    rows: int


def due(table: str, owners: Mapping[date, Owners], lifetimes: Lifetimes, today: date) -> list[Due]:
    """What is to go, oldest first. `owners`: whose rows each day has."""
    found = []
    for day, whose in sorted(owners.items()):
        gone = {each for each in whose if _is_due(table, day, each, lifetimes, today)}
        if gone:
            organizations = None if gone == whose else tuple(sorted(gone, key=lambda each: each or ""))
            found.append(Due(table, day, organizations))
    return found


def _is_due(table: str, day: date, organization: Organization | None, lifetimes: Lifetimes, today: date) -> bool:
    cutoff = lifetimes.cutoff(organization, today, bodies=table in OF_BODIES)
    return cutoff is not None and day < cutoff


def expire(lake: Lake, lifetimes: Lifetimes, today: date) -> list[Removed]:
    """Removes what is due. Blocks. Answers what went; a commit that was lost to another one is left for the next time."""
    if not lifetimes.anything:
        return []
    return [removed for table in ORDER if (removed := _expired(lake, table, lifetimes, today)).days]


def _expired(lake: Lake, table: str, lifetimes: Lifetimes, today: date) -> Removed:
    snapshot = lake.table(table)
    plan = due(table, _owners(snapshot, table, lifetimes, today), lifetimes, today)
    whole = [each.day for each in plan if each.organizations is None]
    days = rows = 0
    try:
        if whole:
            days, rows = len(whole), _drop(snapshot, whole)
        for part in plan:
            if part.organizations is not None:
                rows += remove(lake, table, _rows_of(part.organizations), [("day", "=", part.day.isoformat())])
                days += 1
    except (CommitFailedError, FilesMoved) as error:
        log.info("retention_left_for_later", table=table, error=str(error))
    if days:
        log.info("rows_expired", table=table, days=days, rows=rows)
    return Removed(table, days, rows)


def _drop(snapshot: DeltaTable, days: Sequence[date]) -> int:
    """All files that these days have in the snapshot they were planned by: what came later may be somebody else's.

    Raises CommitFailedError.
    """
    predicate = f"day IN ({', '.join(literal(day.isoformat()) for day in days)})"
    told = snapshot.delete(predicate, commit_properties=CommitProperties(max_commit_retries=5), post_commithook_properties=HOOKS)
    return int(told.get("num_deleted_rows") or 0)


def _rows_of(organizations: Sequence[Organization | None]) -> pc.Expression:
    condition = pc.field("organization").isin(pa.array([each for each in organizations if each is not None], pa.string()))
    return condition | pc.field("organization").is_null() if None in organizations else condition


def _owners(snapshot: DeltaTable, table: str, lifetimes: Lifetimes, today: date) -> dict[date, Owners]:
    """Whose rows each day has, of the days of which anything can be due."""
    spans = {span.days(bodies=table in OF_BODIES) for span in (lifetimes.usual, *lifetimes.own.values())}
    shortest = min((span for span in spans if span is not None), default=None)
    if shortest is None:
        return {}
    days = {day for day in _days(snapshot) if (today - day).days > shortest}
    if len(spans) == 1:
        return dict.fromkeys(days, frozenset({None}))  # one rule for all: it does not matter whose
    return {day: _owners_of(snapshot, day) for day in days}


def _days(snapshot: DeltaTable) -> set[date]:
    return set(pa.table(snapshot.get_add_actions(flatten=True)).column("partition.day").to_pylist())


def _owners_of(snapshot: DeltaTable, day: date) -> Owners:
    dataset = snapshot.to_pyarrow_dataset(file_pruning_predicate=[("day", "=", day.isoformat())])
    found: set[Organization | None] = set()
    for batch in dataset.to_batches(columns=["organization"]):
        found |= set(batch.column("organization").unique().to_pylist())
    return frozenset(found)
