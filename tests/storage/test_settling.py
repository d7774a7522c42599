"""Days that are over: every question has the same answer before, between and after each of the commits that settle them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from storage import schema
from storage.amendments import newest_revision
from storage.engine import engine_of
from storage.lake import Lake
from storage.maintenance import maintain
from storage.query import run_query
from storage.settling import LATE_FILES, LIMITS, SORTED, DayFiles, Order, days_due, due, settle, settle_all, settled_days
from storage.snapshots import Snapshots
from storage.views import current_calls_sql
from tests.fakes.small_lake import SmallLake

DAY, TODAY = date(2026, 1, 2), date(2026, 1, 20)
NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
QUIET = timedelta(minutes=2)
LONG_AGO = NOW - timedelta(hours=1)
LATER = NOW.replace(year=2100)

ASKED = {
    "calls": "SELECT * EXCLUDE (scores) FROM calls ORDER BY call_id",
    "costs": "SELECT organization, sum(cost_usd), count(*) FROM calls GROUP BY 1 ORDER BY 1",
    "history": "SELECT call_id, revision, cost_usd, booked_at FROM cost_history ORDER BY call_id, revision",
}


def answers(lake: SmallLake) -> dict[str, list[dict[str, Any]]]:
    return {name: run_query(lake.lake, sql).table.to_pylist() for name, sql in ASKED.items()}


def call(number: int, **more: Any) -> dict[str, Any]:
    at = f"2026-01-02T{number % 24:02}:00:00"
    return {"call_id": f"c-{number:03}", "request_id": f"r-{number}", "created_at": at, "completed_at": at, "day": "2026-01-02"} | more


@pytest.fixture
def lake(tmp_path: Path) -> SmallLake:
    made = SmallLake(tmp_path)
    made.add("calls", *(call(n, user_id=f"u-{n % 3}", session_id=f"s-{n % 7}", cost_usd="0.5") for n in range(20)))
    made.add("calls", *(call(n, organization="other", cost_usd="0.25") for n in range(20, 30)))
    return made


def amended(lake: SmallLake) -> None:
    lake.add("amendments", call(3, revision=1, cost_usd="0.7", amended_at="2026-01-03T00:00:00"))
    lake.add("amendments", call(3, revision=2, cost_usd="0.9", amended_at="2026-01-04T00:00:00"))
    lake.add("amendments", call(4, revision=1, amended_at="2026-01-03T00:00:00"))
    lake.add("amendments", call(90, revision=-1, outcome="abandoned"), call(5, revision=-1, outcome="abandoned"))


@pytest.mark.parametrize("with_amendments", [False, True], ids=["as written", "amended"])
def test_a_settled_day_answers_as_before(lake: SmallLake, with_amendments: bool) -> None:
    if with_amendments:
        amended(lake)
    before = answers(lake)
    assert settle(lake.lake, DAY)
    assert answers(lake) == before
    assert len(lake.lake.files("calls")) == 1
    assert lake.lake.files("amendments") == []
    assert settled_days(lake.lake.table("calls")) == {DAY: Order.BY_USER}
    assert newest_revision(lake.lake) == (2 if with_amendments else 0)


def test_it_is_in_the_order_of_users_and_has_bloom_filters(lake: SmallLake) -> None:
    settle(lake.lake, DAY)
    [path] = lake.lake.files("calls")
    file = pq.ParquetFile(path)
    rows = [(row["organization"], row["user_id"] or "~", row["session_id"] or "~") for row in file.read().to_pylist()]
    assert rows == sorted(rows)
    with_bloom = {
        row["path_in_schema"]
        for row in run_on_file(path, "SELECT path_in_schema FROM parquet_metadata('{}') WHERE bloom_filter_offset IS NOT NULL")
    }
    assert with_bloom == {"call_id", "request_id", "session_id"}


@pytest.mark.parametrize("order", Order)
def test_a_large_day_is_sorted_slice_by_slice(lake: SmallLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: Order) -> None:
    """To the same file as at once, in one commit."""
    at_once = SmallLake(tmp_path / "copy")
    rows = [call(n, user_id=f"u-{n % 3}" if n % 4 else None, organization="other" if n > 25 else "default") for n in range(40)]
    for each in (lake, at_once):
        each.add("calls", *(row | {"call_id": f"d-{row['call_id']}"} for row in rows))
        amended(each)
    at_once.add("calls", *(call(n, user_id=f"u-{n % 3}", session_id=f"s-{n % 7}", cost_usd="0.5") for n in range(20)))
    at_once.add("calls", *(call(n, organization="other", cost_usd="0.25") for n in range(20, 30)))
    before = answers(lake)
    assert settle(at_once.lake, DAY, order)
    monkeypatch.setattr("storage.settling.SLICE_ROWS", 9)
    assert settle(lake.lake, DAY, order)
    assert answers(lake) == before == answers(at_once)
    [[sliced], [whole]] = lake.lake.files("calls"), at_once.lake.files("calls")
    sorted_by = SORTED[order]
    assert in_order(sliced, sorted_by) == in_order(whole, sorted_by)


def in_order(path: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in columns) for row in pq.ParquetFile(path).read(columns=list(columns)).to_pylist()]


def test_a_day_for_which_memory_does_not_suffice_stays_as_it_is(lake: SmallLake, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(*_: Any) -> Iterator[Any]:
        raise duckdb.OutOfMemoryException("no more")
        yield

    before, files = answers(lake), lake.lake.files("calls")
    monkeypatch.setattr("storage.settling._Day._in_order", half)
    assert not settle(lake.lake, DAY)
    assert (answers(lake), lake.lake.files("calls")) == (before, files)


def run_on_file(path: str, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = duckdb.sql(sql.format(path)).to_arrow_table().to_pylist()
    return found


class Halted(Exception):
    """The process is killed here."""


def halting(steps: int) -> Iterator[None]:
    """Lets so many commits through."""
    for _ in range(steps):
        yield
    raise Halted  # and to whoever asks again, StopIteration


@pytest.mark.parametrize("through", [0, 1, 2])
def test_killed_after_any_commit_it_answers_the_same_and_is_done_again(
    lake: SmallLake, through: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    amended(lake)
    before, gate = answers(lake), halting(through)
    with monkeypatch.context() as patch:
        for name in ("storage.settling.append", "storage.settling.write_deltalake"):
            _gated(patch, name, gate)
        patch.setattr("storage.settling._Day._forget_amendments", lambda _: next(gate))
        with pytest.raises((Halted, RuntimeError)):
            settle(lake.lake, DAY)
    assert answers(lake) == before
    assert days_due(lake.lake, TODAY, NOW.replace(year=2100)) == [DAY]
    assert settle(lake.lake, DAY)
    assert answers(lake) == before
    assert lake.lake.files("amendments") == []


def _gated(patch: pytest.MonkeyPatch, name: str, gate: Iterator[None]) -> None:
    module, _, attribute = name.rpartition(".")
    real = getattr(__import__(module, fromlist=[attribute]), attribute)

    def once(*given: Any, **named: Any) -> Any:
        next(gate)
        return real(*given, **named)

    patch.setattr(name, once)


def test_what_comes_later_is_there_at_once_and_folded_in_later(lake: SmallLake) -> None:
    amended(lake)
    settle(lake.lake, DAY)
    lake.add("calls", call(90, cost_usd="0.1"))  # the call that was given up had ended after all
    lake.add("amendments", call(6, revision=3, cost_usd="0.2", amended_at="2026-01-05T00:00:00"))
    before = answers(lake)
    [found] = [row for row in before["calls"] if row["call_id"] == "c-090"]
    assert found["revision"] == 0
    assert len(before["calls"]) == 31
    assert [row["revision"] for row in before["history"] if row["call_id"] == "c-006"] == [0, 3]
    assert settle(lake.lake, DAY)
    assert answers(lake) == before
    assert len(lake.lake.files("calls")) == 1


def test_rows_that_come_while_it_is_written_stay(lake: SmallLake, monkeypatch: pytest.MonkeyPatch) -> None:
    real = lake.lake.table

    def late(name: str) -> DeltaTable:
        snapshot = real(name)
        if name == "amendments":  # the second of both that are read
            lake.add("calls", call(70))
        return snapshot

    with monkeypatch.context() as patch:
        patch.setattr(lake.lake, "table", late)
        settle(lake.lake, DAY)
    assert len(answers(lake)["calls"]) == 31


def test_of_two_that_settle_a_day_at_once_one_gives_way(lake: SmallLake, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = {name: lake.lake.table(name) for name in ("calls", "amendments")}
    before = answers(lake)
    settle(lake.lake, DAY)
    with monkeypatch.context() as patch:
        patch.setattr(lake.lake, "table", lambda name: stale[name])
        assert not settle(lake.lake, DAY)
    assert answers(lake) == before


def test_merging_leaves_settled_days_alone(lake: SmallLake) -> None:
    settle(lake.lake, DAY)
    lake.add("calls", call(70))
    assert maintain(lake.lake, TODAY) == []


def days(files: int, *, newest: datetime = LONG_AGO, day: date = DAY) -> dict[date, DayFiles]:
    return {day: DayFiles(files, newest)}


YESTERDAY, BEFORE = date(2026, 1, 19), date(2026, 1, 18)
BY_TIME, BY_USER = Order.BY_TIME, Order.BY_USER
DUE: dict[str, tuple[dict[date, DayFiles], dict[date, DayFiles], dict[date, Order], list[date]]] = {
    "never settled": (days(1), {}, {}, [DAY]),
    "settled": (days(1), {}, {DAY: BY_USER}, []),
    "settled when it was yesterday": (days(1), {}, {DAY: BY_TIME}, [DAY]),
    "settled, few came later": (days(1 + LATE_FILES), {}, {DAY: BY_USER}, []),
    "settled, many came later": (days(2 + LATE_FILES), {}, {DAY: BY_USER}, [DAY]),
    "settled and amended": (days(1), days(1), {DAY: BY_USER}, [DAY]),
    "written to this minute": (days(1, newest=NOW), {}, {}, []),
    "amended this minute": (days(1), days(1, newest=NOW), {}, []),
    "of today": (days(1, day=TODAY), {}, {}, []),
    "of yesterday": (days(1, day=YESTERDAY), {}, {}, [YESTERDAY]),
    "of yesterday, settled": (days(1, day=YESTERDAY), {}, {YESTERDAY: BY_TIME}, []),
    "of yesterday, settled and amended": (days(1, day=YESTERDAY), days(1, day=YESTERDAY), {YESTERDAY: BY_TIME}, []),
    "of yesterday, settled, many came later": (days(2 + LATE_FILES, day=YESTERDAY), {}, {YESTERDAY: BY_TIME}, [YESTERDAY]),
    "of the day before": (days(1, day=BEFORE), {}, {}, [BEFORE]),
}


@pytest.mark.parametrize(("calls", "amendments", "settled", "found"), DUE.values(), ids=DUE)
def test_which_days_are_due(
    calls: dict[date, DayFiles], amendments: dict[date, DayFiles], settled: dict[date, Order], found: list[date]
) -> None:
    assert due(calls, amendments, settled, TODAY, NOW, QUIET) == found


def test_yesterday_is_put_in_the_order_of_time_and_a_day_later_in_that_of_users(lake: SmallLake) -> None:
    amended(lake)
    before = answers(lake)
    orders = []
    for today in (DAY + timedelta(days=1), DAY + timedelta(days=2)):
        assert settle_all(lake.lake, today, LATER) == [DAY]
        [path] = Snapshots(lake.lake).paths("calls")
        rows = pq.read_table(path, partitioning=None).select(["organization", "user_id", "session_id", "created_at"]).to_pylist()
        orders.append([sorted(rows, key=partial(sort_key, columns)) == rows for columns in (schema.SORTED_BY["calls"], schema.SETTLED_BY)])
        assert answers(lake) == before
        assert settle_all(lake.lake, today, LATER) == []
    assert orders == [[True, False], [False, True]]


def sort_key(columns: tuple[str, ...], row: dict[str, Any]) -> tuple[Any, ...]:
    """Nothing comes last."""
    return tuple((row[column] is None, row[column] if row[column] is not None else "") for column in columns)


def test_another_commit_of_the_day_is_no_error(lake: SmallLake, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise CommitFailedError("others were faster")

    monkeypatch.setattr("storage.settling.write_deltalake", refused)
    assert not settle(lake.lake, DAY)


class Moving(Lake):
    """A day is settled the moment after the first of its tables was read."""

    settled = False

    def table(self, name: str) -> DeltaTable:
        snapshot = super().table(name)
        if not self.settled:
            self.settled = True
            settle(Lake(self.config), DAY)
        return snapshot


def test_who_reads_table_after_table_meanwhile_misses_no_amendment(lake: SmallLake) -> None:
    amended(lake)
    before = answers(lake)["costs"]
    sources = Snapshots(Moving(lake.config)).sources(["calls", "superseded", "amendments"])
    sql = (
        f"SELECT organization, sum(cost_usd), count(*) FROM ({current_calls_sql(sources['calls'], sources['amendments'], None)}) GROUP BY 1"
    )
    engine = engine_of(lake.lake, LIMITS)
    with engine.connection() as connection:
        assert connection.sql(f"{sql} ORDER BY 1").fetchall() == [tuple(row.values()) for row in before]
    engine.close()


def test_an_amendment_that_comes_late_and_is_older_stands_for_nothing(lake: SmallLake) -> None:
    lake.add("amendments", call(3, revision=5, cost_usd="0.9", amended_at="2026-01-04T00:00:00"))
    settle(lake.lake, DAY)
    lake.add("amendments", call(3, revision=4, cost_usd="0.1", amended_at="2026-01-03T00:00:00"))
    for _ in range(2):
        found = answers(lake)
        assert [(row["revision"], str(row["cost_usd"])) for row in found["calls"] if row["call_id"] == "c-003"] == [(5, "0.900000000000")]
        assert [row["revision"] for row in found["history"] if row["call_id"] == "c-003"] == [0, 4, 5]
        settle(lake.lake, DAY)
