"""Work that is billed once and told of often, such as a batch or a background response: booked with one call, and once.

Whoever reads a single answer cannot know whether it is the first that tells what the work used. The lake can: of all calls that are about
it, the one that began it has the tokens and the cost; where that one is not here, the first that told of them. The others used nothing.
"""

# ruff: noqa: S608 every text that goes into the SQL passes `literal`

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import structlog
from deltalake import CommitProperties
from deltalake.exceptions import CommitFailedError
from msgspec import Struct, structs

from eventlog.events import PriceBasis, UsageSource
from storage.engine import EngineLimits, engine_of, literal
from storage.lake import Lake
from storage.replacing import changes_of, replaced, source_of
from storage.rows import COUNT_COLUMNS
from storage.sources import Source, scan_sql
from storage.views import current_calls_sql
from storage.writing import append

log = structlog.get_logger()

RECENT, LONGEST = timedelta(days=8), timedelta(days=40)
"""A call that tells of such work is looked for so long after it was made; and for so long the others that are about the same."""
LIMITS = EngineLimits(memory_bytes=512 << 20, timeout_s=600)

TOLD = (*COUNT_COLUMNS, "audio_seconds", "total_tokens", "usage_source", "usage_method", "model", "response_model", "price_context")
"""What the call that is booked takes over from the one that told."""
NOTHING: Mapping[str, Any] = dict.fromkeys(TOLD[: TOLD.index("usage_source")]) | {
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "total_tokens": 0,
}

Row = Mapping[str, Any]


class About(Struct, frozen=True):
    """A call that is about such work: its row as it stands, and as it was written first."""

    now: Row
    first: Row

    @property
    def tells(self) -> bool:
        return _elsewhere(self.first) and self.first["usage_source"] is not None

    @property
    def begins(self) -> bool:
        return _elsewhere(self.first) and not self.tells

    @property
    def is_booked(self) -> bool:
        return self.now["usage_source"] is not None and self.now["price_basis"] not in {PriceBasis.ELSEWHERE, PriceBasis.FREE}


class Change(Struct, frozen=True):
    """What becomes of a row."""

    call_id: str
    revision: int
    values: Row
    """By column."""


def decide(about: Sequence[About]) -> list[Change]:
    """What is to be changed, of all calls about one piece of work; nothing, where it is booked and no other tells of it as well."""
    in_order = sorted(about, key=lambda each: (each.now["created_at"], each.now["call_id"]))
    telling = [each for each in in_order if each.tells]
    if not telling:
        return []
    booked, changes = next((each for each in in_order if each.is_booked), None), []
    if booked is None:
        booked = next((each for each in in_order if each.begins), telling[0])
        changes.append(_change(booked, _booked(telling[0].first)))
    free = _free(booked.now["call_id"])
    return changes + [_change(each, free) for each in telling if each is not booked and _elsewhere(each.now)]


def _elsewhere(row: Row) -> bool:
    return bool(row["price_basis"] == PriceBasis.ELSEWHERE)


def _booked(told: Row) -> Row:
    job = told["job"]
    return {name: told[name] for name in TOLD} | {
        "cost_usd": job["cost_usd"],
        "price_source": job["price_source"],
        "price_basis": job["price_basis"],
        "rates": job["rates"],
        "price_note": None,
    }


def _free(booked: str) -> Row:
    why = f"booked with call {booked}"
    price = {"cost_usd": Decimal(0), "price_source": f"free: {why}", "price_basis": PriceBasis.FREE.value, "rates": [], "price_note": why}
    return {**NOTHING, **price, "usage_source": UsageSource.PROVIDER.value, "usage_method": None}


def _change(about: About, values: Row) -> Change:
    kept = {name: about.now[name] for name in TOLD if name not in values}
    return Change(about.now["call_id"], max(0, about.now["revision"]) + 1, {**kept, **values})


def book_jobs(lake: Lake, today: date, now: datetime) -> int:
    """Books what was told of in the last days; how many rows that changed. Blocks. What another process writes too is left for later."""
    amendments = lake.table("amendments")
    calls, amended = source_of(lake, "calls"), _since(source_of(lake, "amendments", amendments), today - LONGEST)
    engine = engine_of(lake, LIMITS)
    try:
        with engine.connection() as connection:
            works = _told_of(connection, current_calls_sql(_since(calls, today - RECENT), amended, None))
            if not works:
                return 0
            known = _since(calls, today - LONGEST)
            current = current_calls_sql(known, amended, None)
            before = _since(source_of(lake, "superseded"), today - LONGEST)
            changes = [change for about in _about(connection, (before, known), current, works) for change in decide(about)]
            if not changes:
                return 0
            rows = replaced(connection, current, _table(changes, now))
        append(amendments, rows, CommitProperties(max_commit_retries=0))
    except CommitFailedError as error:
        log.info("jobs_left_for_later", error=str(error))
        return 0
    finally:
        engine.close()
    log.info("jobs_booked", rows=len(changes))
    return len(changes)


def _since(source: Source, day: date) -> Source:
    return structs.replace(source, files=tuple(file for file in source.files if file.day is None or file.day >= day))


def _told_of(connection: Any, current: str) -> list[str]:
    """The ids of work that calls tell of and that is not booked; or that was, until its beginning was replayed."""
    found = connection.sql(f"""
        SELECT DISTINCT job.id FROM ({current}) WHERE job IS NOT NULL AND price_basis = {literal(PriceBasis.ELSEWHERE)}
            AND (usage_source IS NOT NULL OR revision > 0)""").fetchall()
    return [row[0] for row in found]


def _about(connection: Any, written: Sequence[Source], current: str, works: Sequence[str]) -> Iterable[list[About]]:
    """All calls about each, of one organization and provider. `written`: where their rows lie as they came first, or were replaced by."""
    names = ("call_id", "organization", "provider", "created_at", "revision", "price_basis", "job", *TOLD)
    of_them = f"job IS NOT NULL AND job.id IN ({', '.join(map(literal, works))})"
    rows = " UNION ALL BY NAME ".join(f"SELECT {', '.join(names)} FROM ({scan_sql(each, each.files, None)})" for each in written)
    oldest = f"SELECT * FROM ({rows}) WHERE {of_them} QUALIFY row_number() OVER (PARTITION BY call_id ORDER BY abs(revision)) = 1"
    first = {row["call_id"]: row for row in _rows(connection, oldest)}
    groups: dict[tuple[str, str, str], list[About]] = {}
    for row in _rows(connection, f"SELECT {', '.join(names)} FROM ({current}) WHERE {of_them}"):
        about = About(row, first.get(row["call_id"], row))
        groups.setdefault((row["organization"], row["provider"], row["job"]["id"]), []).append(about)
    return groups.values()


def _rows(connection: Any, sql: str) -> list[Row]:
    found: list[Row] = connection.sql(sql).to_arrow_table().to_pylist()
    return found


def _table(changes: Sequence[Change], now: datetime) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [change.values[name] for change in changes] for name in changes[0].values}
    columns |= {"call_id": [change.call_id for change in changes], "revision": [change.revision for change in changes]}
    return changes_of(columns, now)
