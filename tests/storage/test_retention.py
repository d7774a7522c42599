"""What has been kept long enough leaves, and nothing else: whose, of which day, and beside whoever writes."""

import asyncio
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pytest
from deltalake import DeltaTable

from eventlog.erasure import About, erasure
from eventlog.events import Organization
from eventlog.lifetimes import Lifetimes, Span
from storage.lake import Lake
from storage.marks import position_id
from storage.retention import Due, Owners, Removed, due, expire
from storage.sink import Sink
from storage.upkeep import EXPIRY_SECONDS, Expiry, Order, main
from tests.fakes.facts import BEGAN
from tests.fakes.memory_log import MemoryLog
from tests.fakes.small_lake import SmallLake
from tests.storage.test_maintenance import lake_of_small_files, put
from tests.storage.test_sink import call_ids, names

TODAY = BEGAN.date()
OLD, OLDER, NEW = date(2026, 2, 20), date(2026, 1, 2), date(2026, 2, 27)
ACME, OTHER = Organization("acme"), Organization("other")
BOTH: Owners = frozenset({ACME, OTHER})
WEEK_OF_ACME = Lifetimes(own={ACME: Span(7, 3)})

PLANS: dict[str, tuple[str, Lifetimes, dict[date, Owners], list[Due]]] = {
    "nothing is said": ("calls", Lifetimes(), {OLDER: BOTH}, []),
    "all that a day has is due": ("calls", Lifetimes(Span(7, 7)), {OLD: BOTH, NEW: BOTH}, [Due("calls", OLD)]),
    "one of two": ("calls", WEEK_OF_ACME, {OLD: BOTH}, [Due("calls", OLD, (ACME,))]),
    "only his is there": ("calls", WEEK_OF_ACME, {OLD: frozenset({ACME})}, [Due("calls", OLD)]),
    "the last day that stays": ("calls", WEEK_OF_ACME, {date(2026, 2, 22): BOTH}, []),
    "the first that goes": ("calls", WEEK_OF_ACME, {date(2026, 2, 21): BOTH}, [Due("calls", date(2026, 2, 21), (ACME,))]),
    "bodies earlier": ("bodies", WEEK_OF_ACME, {date(2026, 2, 25): BOTH}, [Due("bodies", date(2026, 2, 25), (ACME,))]),
    "dead letters with bodies": (
        "dead_letters",
        WEEK_OF_ACME,
        {date(2026, 2, 25): BOTH},
        [Due("dead_letters", date(2026, 2, 25), (ACME,))],
    ),
    "bodies no longer than facts": ("bodies", Lifetimes(Span(7, None)), {OLD: BOTH}, [Due("bodies", OLD)]),
    "one who keeps": ("calls", Lifetimes(Span(7, 7), {ACME: Span()}), {OLD: BOTH}, [Due("calls", OLD, (OTHER,))]),
    "what is nobody's is the operator's": ("dead_letters", Lifetimes(Span(7, 7)), {OLD: frozenset({None})}, [Due("dead_letters", OLD)]),
}


@pytest.mark.parametrize(("table", "lifetimes", "owners", "plan"), PLANS.values(), ids=PLANS)
def test_plan(table: str, lifetimes: Lifetimes, owners: dict[date, Owners], plan: list[Due]) -> None:
    assert due(table, owners, lifetimes, TODAY) == plan


def ids(lake: Lake, table: str, column: str = "call_id") -> Counter[str]:
    return Counter(lake.table(table).to_pyarrow_table(columns=[column]).column(column).to_pylist())


def test_each_organization_by_its_own(tmp_path: Path) -> None:
    made = SmallLake(tmp_path)
    for name, day in (("old", "2026-02-20"), ("new", "2026-02-28"), ("last", "2026-02-01")):
        at = f"{day}T12:00:00Z"
        for whose in ("acme", "o'ther"):
            row = {"call_id": f"{name}-{whose}", "created_at": at, "organization": whose}
            for table in ("calls", "amendments", "bodies"):
                made.add(table, row)
            made.add("feedback", {"feedback_id": f"{name}-{whose}", "request_id": "r", "given_at": at, "organization": whose})
            made.add(
                "dead_letters", {"call_id": f"{name}-{whose}", "at": at, "organization": whose, "topic": "t", "reason": "x", "error": "x"}
            )
    span = Lifetimes(Span(20, 5), {ACME: Span(7, 7), Organization("o'ther"): Span(20, 5)})
    assert {each.table for each in expire(made.lake, span, TODAY)} == {"calls", "amendments", "bodies", "feedback", "dead_letters"}
    for table in ("calls", "amendments"):
        assert set(ids(made.lake, table)) == {"new-acme", "new-o'ther", "old-o'ther"}
    assert set(ids(made.lake, "feedback", "feedback_id")) == {"new-acme", "new-o'ther", "old-o'ther"}
    for table in ("bodies", "dead_letters"):
        assert set(ids(made.lake, table)) == {"new-acme", "new-o'ther"}
    versions = [made.lake.table(table).version() for table in ("calls", "bodies")]
    assert expire(made.lake, span, TODAY) == []
    assert [made.lake.table(table).version() for table in ("calls", "bodies")] == versions


def test_whole_days_are_dropped_and_positions_stay(tmp_path: Path) -> None:
    log = MemoryLog()
    lake, sink = lake_of_small_files(tmp_path, files=3, day=-30, log=log)
    put(sink, 3)
    position = position_id(log.identity("llm.calls.v1"), 0)
    (removed,) = expire(lake, Lifetimes(Span(7, 7)), TODAY)
    assert (removed.days, removed.rows) == (1, 3)
    assert call_ids(lake) == names(range(3, 4))
    assert lake.table("calls").history(1)[0]["operationMetrics"]["num_added_files"] == 0  # nothing was written anew
    assert lake.table("calls").transaction_version(position) == 4
    put(sink, 4)  # a sink that held an older snapshot
    assert call_ids(lake) == names(range(3, 5))


async def test_beside_a_sink_every_row_counts_once(tmp_path: Path) -> None:
    lake, sink = lake_of_small_files(tmp_path, files=2, day=-30)

    async def commits(sink: Sink) -> None:
        for number in range(2, 30):
            await asyncio.to_thread(put, sink, number, day=0 if number % 2 else -30)

    async def expiries() -> None:
        for _ in range(8):
            await asyncio.to_thread(expire, lake, Lifetimes(Span(7, 7), {OTHER: Span()}), TODAY)

    await asyncio.gather(commits(sink), expiries())
    expire(lake, Lifetimes(Span(7, 7)), TODAY)
    assert call_ids(lake) == names(range(3, 30, 2))


def test_every_hour_and_when_it_was_decided_anew() -> None:
    week, month, expiry = Lifetimes(Span(7, 7)), Lifetimes(Span(30, 30)), Expiry()
    assert expiry.wanted(None, 0.0) is None
    assert expiry.wanted(Lifetimes(), 0.0) is None
    assert expiry.wanted(week, 0.0) == week
    expiry.carried_out(week, 0.0)
    assert expiry.wanted(week, EXPIRY_SECONDS - 1) is None
    assert expiry.wanted(month, 1.0) == month
    assert expiry.wanted(week, EXPIRY_SECONDS) == week


def test_the_process_of_the_upkeep_carries_it_out(tmp_path: Path) -> None:
    """An order and what came of it travel as JSON."""
    lake, _ = lake_of_small_files(tmp_path, files=2, day=-30)
    about = erasure(About.REQUEST, Organization("default"), ["call-000001"], before=BEGAN, until=BEGAN + timedelta(days=1))
    keeps = Lifetimes(Span(7, 7), {Organization("default"): Span()})
    assert main(msgspec.json.encode(Order(lake.config, TODAY, False, lifetimes=keeps, erasures=(about,)))).expired == []
    assert call_ids(lake) == names(range(1))
    order = Order(lake.config, TODAY, False, lifetimes=Lifetimes(Span(7, 7), {OTHER: Span(1, 1)}))
    assert main(msgspec.json.encode(order)).expired == [Removed("calls", 1, 1)]
    assert call_ids(lake) == names(range(0))


class Overtaken(Lake):
    """Somebody else's call comes to a day the moment after it was looked at."""

    def table(self, name: str) -> DeltaTable:
        snapshot = super().table(name)
        if name == "calls":
            SmallLake(Path(self.config.lake_uri)).add(
                "calls", {"call_id": "late", "organization": "other", "created_at": f"{OLD}T00:00:00Z"}
            )
        return snapshot


def test_who_came_after_the_plan_stays(tmp_path: Path) -> None:
    made = SmallLake(tmp_path)
    made.add("calls", {"call_id": "acme's", "organization": "acme", "created_at": f"{OLD}T00:00:00Z"})
    expire(Overtaken(made.config), WEEK_OF_ACME, TODAY)
    expire(made.lake, WEEK_OF_ACME, TODAY)
    assert ids(made.lake, "calls") == Counter(["late"])
