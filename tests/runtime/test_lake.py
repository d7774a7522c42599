"""`heliograph lake`: what it says of a lake is so, also of one that is not whole."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner, Result

from runtime.cli import app
from runtime.settings import Misconfigured
from storage.lake_state import LATE_CHECKPOINT, Day, File, TableState, months_of, problems_of, summed
from storage.query import run_query
from storage.views import VIEWS
from tests.fakes.small_lake import SmallLake, calls


def typed(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["lake", *words, "--data-dir", str(folder)])


def told(folder: Path, *words: str) -> Any:
    return json.loads(typed(folder, "--json", *words).stdout)


@pytest.fixture
def lake(tmp_path: Path) -> SmallLake:
    made = SmallLake(tmp_path / "lake")
    made.add("calls", *calls(3, created_at="2026-01-31T10:00:00Z"))
    made.add("calls", {"call_id": "d", "created_at": "2026-02-01T11:30:00Z"})
    made.add("amendments", {"call_id": "c0", "revision": 1, "created_at": "2026-01-31T10:00:00Z", "cost_usd": "7"})
    made.add("bodies", {"call_id": "c0", "side": "request", "text": "hello", "created_at": "2026-01-31T10:00:00Z"})
    made.add("feedback", {"feedback_id": "f", "request_id": "d", "rating": True, "given_at": "2026-02-03T00:00:00Z"})
    return made


def test_its_figures(lake: SmallLake, tmp_path: Path) -> None:
    found = told(tmp_path)
    tables = {table["name"]: table for table in found["tables"]}
    assert {name: (table["whole"]["rows"], table["whole"]["files"]) for name, table in tables.items()} == {
        "calls": (4, 2),
        "amendments": (1, 1),
        "bodies": (1, 1),
        "feedback": (1, 1),
        "dead_letters": (0, 0),
        "superseded": (0, 0),
        "rollups": (0, 0),
    }
    assert {day: each["rows"] for day, each in tables["calls"]["days"].items()} == {"2026-01-31": 3, "2026-02-01": 1}
    on_disk = sum(file.stat().st_size for file in (tmp_path / "lake" / "calls").rglob("*.parquet"))
    assert (tables["calls"]["whole"]["bytes"], found["call_bytes"]) == (on_disk, on_disk / 4)
    assert (tables["calls"]["newest"], tables["feedback"]["newest"]) == ("2026-02-01T11:30:00Z", "2026-02-03T00:00:00Z")
    assert (tables["calls"]["version"], tables["calls"]["replaced_bytes"], found["problems"]) == (lake.lake.table("calls").version(), 0, [])


def test_it_is_shown_by_day_and_month(lake: SmallLake, tmp_path: Path) -> None:
    shown = typed(tmp_path)
    assert shown.exit_code == 0, shown.output
    for words in (
        "Sat 2026-01-31",
        "Sun 2026-02-01",
        "2026-01 ",
        "2026-02 ",
        "━",
        "█",
        "2026-02-03 00:00:00 UTC",
        "1 amendments of 1 days",
        "✓",
    ):
        assert words in shown.stdout
    assert "Sat 2026-01-31" not in typed(tmp_path, "--days", "1").stdout


def test_what_was_merged_away_is_kept_for_its_readers(lake: SmallLake, tmp_path: Path) -> None:
    lake.add("feedback", {"feedback_id": "g", "request_id": "d", "rating": True, "given_at": "2026-02-03T01:00:00Z"})
    assert {table["name"]: table["unmerged_days"] for table in told(tmp_path)["tables"]}["feedback"] == 1
    lake.lake.table("feedback").optimize.compact()
    (table,) = [table for table in told(tmp_path)["tables"] if table["name"] == "feedback"]
    assert (table["whole"]["rows"], table["whole"]["files"], table["unmerged_days"]) == (2, 1, 0)
    assert table["replaced_bytes"] > 0


def test_a_file_that_is_missing_or_damaged_is_named(lake: SmallLake, tmp_path: Path) -> None:
    (first,), (second,) = (list((tmp_path / "lake" / "calls" / f"day={day}").iterdir()) for day in ("2026-01-31", "2026-02-01"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-20])
    shown = typed(tmp_path)
    assert shown.exit_code == 1
    for words in (f"{first.name} is missing", f"{second.name} is damaged", "feedback"):
        assert words in shown.stdout
    (table,) = [table for table in told(tmp_path)["tables"] if table["name"] == "calls"]
    assert (len(table["missing"]), len(table["damaged"]), table["whole"]["rows"]) == (1, 1, 4)


def test_a_file_of_its_length_is_opened_to_be_checked(lake: SmallLake, tmp_path: Path) -> None:
    (file,) = (tmp_path / "lake" / "bodies" / "day=2026-01-31").iterdir()
    assert told(tmp_path, "--check")["problems"] == []
    file.write_bytes(b"\0" * file.stat().st_size)
    assert told(tmp_path)["problems"] == []
    (problem,) = told(tmp_path, "--check")["problems"]
    assert f"{file.name} is damaged" in problem


def test_a_table_that_cannot_be_read_hides_no_other(lake: SmallLake, tmp_path: Path) -> None:
    lake.spoil("feedback")
    shown = typed(tmp_path)
    assert shown.exit_code == 1
    assert "feedback: its log cannot be read" in shown.stdout
    assert {table["name"]: table["whole"]["rows"] for table in told(tmp_path)["tables"]}["calls"] == 4


def test_days_become_months() -> None:
    first = date(2025, 12, 1)
    files = [File(f"f{number}", first + timedelta(days=number % 40), 10, 2, datetime(2026, 1, 1, tzinfo=UTC)) for number in range(80)]
    whole = summed(files)
    assert (whole["whole"], len(whole["days"]), whole["days"][first]) == (
        Day(files=80, bytes=800, rows=160),
        40,
        Day(files=2, bytes=20, rows=4),
    )
    assert months_of(whole["days"]) == {first: Day(files=62, bytes=620, rows=124), date(2026, 1, 1): Day(files=18, bytes=180, rows=36)}
    assert (summed([])["whole"], summed([])["newest"]) == (Day(), None)


def test_a_checkpoint_that_is_late_is_told() -> None:
    assert list(problems_of(TableState(name="calls", version=LATE_CHECKPOINT + 60, checkpoint=60))) == []
    (problem,) = problems_of(TableState(name="calls", version=LATE_CHECKPOINT + 61, checkpoint=60))
    assert f"{LATE_CHECKPOINT + 1} commits" in problem


@pytest.mark.parametrize("view", VIEWS)
def test_its_views_mean_the_same_to_another_duckdb(lake: SmallLake, tmp_path: Path, view: str) -> None:
    printed = typed(tmp_path, "sql", view).stdout
    elsewhere = duckdb.connect().sql(printed).order("ALL").to_arrow_table()
    ours = run_query(lake.lake, f"FROM {view} ORDER BY ALL").table
    assert elsewhere.num_rows == ours.num_rows
    assert elsewhere.to_pylist() == ours.to_pylist()


def test_a_view_of_one_organization(lake: SmallLake, tmp_path: Path) -> None:
    lake.add("calls", {"call_id": "x", "organization": "it's"})
    printed = typed(tmp_path, "sql", "calls", "--organization", "it's").stdout
    assert duckdb.sql(f"SELECT call_id FROM ({printed})").fetchall() == [("x",)]


def test_files_in_a_folder_with_a_blank_in_its_name(tmp_path: Path) -> None:
    SmallLake(tmp_path / "my data" / "lake").add("calls", *calls(2))
    (path,) = typed(tmp_path / "my data", "files", "calls").stdout.splitlines()
    assert Path(path).is_file()


WRONG = {
    "no table": (["files", "cals"], "calls, amendments"),
    "no view": (["sql", "amendments"], "cost_history"),
}


@pytest.mark.parametrize(("words", "fix"), WRONG.values(), ids=WRONG)
def test_what_is_not_there(lake: SmallLake, tmp_path: Path, words: list[str], fix: str) -> None:
    failed = typed(tmp_path, *words)
    assert isinstance(failed.exception, Misconfigured)
    assert fix in str(failed.exception)


def test_a_directory_named_before_the_command_is_not_passed_over(lake: SmallLake, tmp_path: Path) -> None:
    failed = CliRunner().invoke(app, ["lake", "--data-dir", str(tmp_path), "files", "calls"])
    assert "lake files --data-dir" in str(failed.exception)


def test_where_nothing_is_nothing_is_made(tmp_path: Path) -> None:
    failed = typed(tmp_path / "typo")
    assert "There is no lake in" in str(failed.exception)
    assert list(tmp_path.iterdir()) == []
