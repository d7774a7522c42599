"""`heliograph export`: what the view says, in every form, by every filter; whole files or none."""

import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from eventlog.events import Organization
from runtime.cli import app
from runtime.exported import exported_of, keys_of
from runtime.settings import Misconfigured
from runtime.whole_files import whole_files
from storage.bodies_beside import cut
from storage.export_forms import Form
from storage.exporting import Export, Wanted, conditions
from storage.formats import rows_of
from storage.query import Questions, run_query
from storage.refusal import Refused
from tests.fakes.small_lake import SmallLake

BEGAN = "2026-03-01T10:00:00Z"
CALL_IDS = [f"019ca8d7-2d00-7000-8000-00000000000{number}" for number in range(6)]  # of the moment BEGAN
REQUEST_IDS = [f"11111111-1111-4111-8111-11111111111{number}" for number in range(6)]


def call(number: int, **more: Any) -> dict[str, Any]:
    known = {"call_id": CALL_IDS[number], "request_id": REQUEST_IDS[number], "created_at": BEGAN, "completed_at": "2026-03-01T10:00:01.5Z"}
    return {**known, "cost_usd": "0.0012", "prompt_tokens": 10, "completion_tokens": 4, "properties": {"feature": "chat"}, **more}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> SmallLake:
    """Calls of two days and two organizations: one repriced, one abandoned, some judged, with bodies."""
    made = SmallLake(tmp_path_factory.mktemp("export") / "lake")
    made.add(
        "calls",
        call(0, user_id="ada", latency_ms=120.5),
        call(1, user_id="bob", provider="anthropic", model="claude-sonnet-4-5", properties={"feature": "search", "team": 'a,b "c"\nd'}),
        call(2, session_id="s1", model="gpt-4o[1]", status=500, outcome="provider_error", cost_usd=None),
    )
    made.add("calls", call(3, organization="other", created_at="2026-03-02T11:00:00Z", user_id="ada"))
    made.add("amendments", call(0, user_id="ada", revision=1, cost_usd="0.5", latency_ms=120.5))
    made.add("amendments", call(4, revision=-1, created_at="2026-03-02T12:00:00Z", outcome="abandoned", cost_usd=None))
    made.add("feedback", {"feedback_id": "f1", "request_id": REQUEST_IDS[0], "given_at": "2026-03-09T00:00:00Z", "rating": False})
    made.add(
        "feedback",
        {"feedback_id": "f2", "request_id": REQUEST_IDS[1], "scores": {"quality": 0.5}, "properties": {"late": "yes"}, "property_count": 1},
    )
    for number in range(3):
        for side in ("request", "response"):
            text = json.dumps({"model": "gpt-4o-mini", "says": f"{side} {number}"})
            made.add("bodies", {"call_id": CALL_IDS[number], "created_at": BEGAN, "side": side, "text": text})
    return made


def exported(lake: SmallLake, output: Path | str, *options: str) -> Result:
    return CliRunner().invoke(
        app, ["export", "--output", str(output), "--data-dir", str(lake.folder.parent), *options], catch_exceptions=True
    )


def written(lake: SmallLake, file: Path, *options: str) -> list[dict[str, Any]]:
    done = exported(lake, file, *options)
    assert done.exit_code == 0, (done.output, done.exception)
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def numbers(rows: list[dict[str, Any]]) -> str:
    return "".join(sorted(row["call_id"][-1] for row in rows))


def view(lake: SmallLake, sql: str) -> list[dict[str, Any]]:
    table = run_query(lake.lake, sql).table
    return [
        dict(zip(table.column_names, row, strict=True))
        for row in json.loads(json.dumps(rows_of(table), default=lambda raw: float(bytes(raw))))
    ]


def by_id(rows: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(row[key]))


KEYS = {"calls": "call_id", "bodies": "side", "feedback": "feedback_id", "cost_history": "cost_usd", "dead_letters": "reason"}


@pytest.mark.parametrize("table", KEYS)
def test_lines_say_what_the_view_says(lake: SmallLake, tmp_path: Path, table: str) -> None:
    rows = written(lake, tmp_path / "out.jsonl", "--table", table)
    assert by_id(rows, KEYS[table]) == by_id(view(lake, f"SELECT * FROM {table}"), KEYS[table])
    assert len(rows) == {"calls": 5, "bodies": 6, "feedback": 2, "cost_history": 2, "dead_letters": 0}[table]


def test_parquet_has_the_types_of_the_view(lake: SmallLake, tmp_path: Path) -> None:
    assert exported(lake, tmp_path / "out.parquet").exit_code == 0
    found, expected = pq.read_table(tmp_path / "out.parquet"), run_query(lake.lake, "FROM calls").table
    assert found.sort_by("call_id").to_pylist() == expected.sort_by("call_id").to_pylist()
    plain = [(field.name, field.type) for field in expected.schema if not pa.types.is_nested(field.type)]
    assert [(field.name, field.type) for field in found.schema if not pa.types.is_nested(field.type)] == plain
    assert found.column_names == expected.column_names


def test_csv_tells_nothing_from_empty(lake: SmallLake, tmp_path: Path) -> None:
    assert exported(lake, tmp_path / "out.csv", "--columns", "call_id,created_at,cost_usd,user_id,properties,stream").exit_code == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = {row["call_id"][-1]: row for row in csv.DictReader(file)}
    assert list(rows["0"]) == ["call_id", "created_at", "cost_usd", "user_id", "properties", "stream"]
    assert (rows["0"]["cost_usd"], rows["2"]["cost_usd"], rows["0"]["created_at"]) == ("0.500000000000", "", "2026-03-01T10:00:00.000000Z")
    assert json.loads(rows["1"]["properties"]) == {"feature": "search", "team": 'a,b "c"\nd', "late": "yes"}


CONDITIONS = {
    "since": (Wanted(since=datetime(2026, 3, 2, tzinfo=UTC)), "34"),
    "before, in another zone": (Wanted(before=datetime(2026, 3, 1, 11, 0, 1, tzinfo=timezone(timedelta(hours=1)))), "012"),
    "a model": (Wanted(models=("claude-sonnet-4-5",)), "1"),
    "a pattern of models": (Wanted(models=("GPT*",)), "0234"),
    "a model with a bracket": (Wanted(models=("gpt-4o[1]",)), "2"),
    "two models": (Wanted(models=("claude*", "gpt-4o[?]")), "12"),
    "an outcome": (Wanted(equal={"outcome": ("abandoned",)}), "4"),
    "a property": (Wanted(properties=(("feature", "search"),)), "1"),
    "a property given later": (Wanted(properties=(("Late", "yes"), ("feature", "search"))), "1"),
    "a quote": (Wanted(equal={"user_id": ("'; DROP TABLE calls --",)}), ""),
    "SQL": (Wanted(where="status >= 500 OR rating = false -- bad ones"), "02"),
    "SQL beside others": (Wanted(equal={"user_id": ("ada",)}, where="true OR status = 500"), "03"),
}


@pytest.fixture(scope="module")
def questions(lake: SmallLake) -> Iterator[Questions]:
    made = Questions(lake.lake)
    yield made
    made.close()


@pytest.mark.parametrize(("wanted", "expected"), CONDITIONS.values(), ids=CONDITIONS)
def test_a_condition(questions: Questions, wanted: Wanted, expected: str) -> None:
    found = questions.ask(f"SELECT call_id FROM calls WHERE {' AND '.join(conditions(wanted))}").table
    assert numbers(found.to_pylist()) == expected


OPTIONS = {
    "users": (["--user", "ada", "--user", "bob"], "013"),
    "an organization": (["--organization", "other"], "3"),
    "a session": (["--session", "s1", "--outcome", "provider_error"], "2"),
    "another table": (["--where", "call_id IN (SELECT call_id FROM bodies WHERE text LIKE '%request 1%')", "--provider", "Anthropic"], "1"),
    "other days": (["--since", "2026-03-02", "--where", "user_id IN (SELECT user_id FROM calls WHERE cost_usd = 0.5)"], "3"),
    "most of them": (["--model", "gpt*", "--property", "feature=chat", "--since", "2026-03-01", "--before", "2026-03-02T00:00Z"], "02"),
}


@pytest.mark.parametrize(("options", "expected"), OPTIONS.values(), ids=OPTIONS)
def test_an_option(lake: SmallLake, tmp_path: Path, options: list[str], expected: str) -> None:
    assert numbers(written(lake, tmp_path / "out.jsonl", "--columns", "call_id", *options)) == expected


REFUSED = {
    "no format": ("out.txt", [], "--format"),
    "no such table": ("out.csv", ["--table", "amendments"], "calls, bodies, feedback"),
    "no such column": ("out.csv", ["--columns", "call_id,modle"], "Did you mean model?"),
    "no such column of feedback": ("out.csv", ["--table", "feedback", "--user", "ada"], "--where"),
    "no time": ("out.csv", ["--since", "yesterday"], "--since"),
    "no span": ("out.csv", ["--since", "2026-03-02", "--before", "2026-03-01"], "--before"),
    "no property": ("out.csv", ["--property", "feature"], "KEY=VALUE"),
    "more than a condition": ("out.csv", ["--where", "true) UNION SELECT (1"], "not one condition"),
    "a file": ("out.csv", ["--where", "call_id IN (SELECT content FROM read_text('/etc/passwd'))"], "read_text"),
    "an unknown column in SQL": ("out.csv", ["--where", "modle = 'x'"], "modle"),
    "bodies of feedback": ("out.csv", ["--table", "feedback", "--with-bodies"], "--table bodies"),
    "columns of Helicone": ("out.jsonl", ["--format", "helicone", "--columns", "call_id"], "jsonl"),
    "no such place": ("missing/out.csv", [], "--output"),
}


@pytest.mark.parametrize(("name", "options", "told"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_told(lake: SmallLake, tmp_path: Path, name: str, options: list[str], told: str) -> None:
    failed = exported(lake, tmp_path / name, *options)
    assert isinstance(failed.exception, Misconfigured | Refused), failed.output
    refusal = getattr(failed.exception, "refusal", None)
    assert told in (f"{refusal.message} {refusal.fix}" if refusal else str(failed.exception))
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_replaced_unless_told(lake: SmallLake, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("mine")
    assert "--force" in str(exported(lake, file).exception)
    assert file.read_text() == "mine"
    assert exported(lake, file, "--force", "--columns", "call_id").exit_code == 0
    assert file.read_text().startswith("call_id\n")


def test_a_directory_gets_a_file_for_each_day(lake: SmallLake, tmp_path: Path) -> None:
    assert exported(lake, f"{tmp_path}/days/", "--format", "parquet").exit_code == 0
    found = {file.name: pq.read_table(file).num_rows for file in (tmp_path / "days").iterdir()}
    assert found == {"calls-2026-03-01.parquet": 3, "calls-2026-03-02.parquet": 2}
    assert "--force" in str(exported(lake, tmp_path / "days", "--format", "parquet").exception)


def test_a_damaged_lake_leaves_no_file(tmp_path: Path) -> None:
    made = SmallLake(tmp_path / "lake")
    made.add("calls", call(0))
    made.add("calls", call(1, created_at="2026-03-02T00:00:00Z"))
    (day,) = (tmp_path / "lake" / "calls" / "day=2026-03-02").glob("*.parquet")
    day.unlink()
    for output in (tmp_path / "out.parquet", f"{tmp_path}/days/"):
        failed = exported(made, output, "--format", "parquet")
        assert isinstance(failed.exception, Refused)
        assert "heliograph lake" in failed.exception.refusal.fix
    assert not (tmp_path / "out.parquet").exists()
    assert list(tmp_path.rglob("*.part")) + list((tmp_path / "days").iterdir()) == []


def test_an_interruption_leaves_no_file(tmp_path: Path) -> None:
    def interrupted() -> None:
        with whole_files(force=False) as files:
            with files.open(tmp_path / "one") as file:
                file.write(b"whole")
            with files.open(tmp_path / "two") as file:
                file.write(b"half")
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_is_told_to_end_leaves_no_file(lake: SmallLake, tmp_path: Path) -> None:
    """The condition takes its time with each row."""
    condition = "list_sum(list_transform(range(20_000_000 + revision), lambda each: each % 7)) > 0"
    command = ["export", "--output", str(tmp_path / "out.csv"), "--data-dir", str(lake.folder.parent), "--where", condition]
    with subprocess.Popen([sys.executable, "-m", "runtime.cli", *command], stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (tmp_path / "out.csv.part").exists():
            time.sleep(0.02)
        process.terminate()
        told = process.communicate(timeout=60)[1]
    assert (process.returncode, "nothing was exported" in told) == (130, True), told
    assert list(tmp_path.iterdir()) == []


def test_what_others_write_meanwhile_is_not_in_it(tmp_path: Path) -> None:
    made = SmallLake(tmp_path / "lake")
    made.add("calls", call(0))
    export = Export(made.lake, Wanted(columns=("call_id", "cost_usd")), Form.JSONL)
    made.add("calls", call(1))
    made.add("amendments", call(0, revision=1, cost_usd="9"))
    lines = [line for part in export.parts for batch in export.batches(part) for line in batch.column(0).to_pylist()]
    export.close()
    assert [json.loads(line) for line in lines] == [{"call_id": CALL_IDS[0], "cost_usd": 0.0012}]


def test_ratings_of_others_are_not_theirs(tmp_path: Path) -> None:
    made = SmallLake(tmp_path / "lake")
    made.add("calls", call(0), call(1, organization="other"))
    made.add("feedback", {"feedback_id": "f", "request_id": REQUEST_IDS[0], "rating": True, "organization": "other"})
    with_all = Export(made.lake, Wanted(columns=("rating",)), Form.JSONL)
    own = Export(made.lake, Wanted(columns=("rating",), organization=Organization("default")), Form.JSONL)
    for export, rows in ((with_all, 2), (own, 1)):
        assert list(export.count()) == [rows]
        lines = [line for part in export.parts for batch in export.batches(part) for line in batch.column(0).to_pylist()]
        assert lines == ['{"rating":null}'] * rows
        export.close()


def test_bodies_stand_beside_their_calls(lake: SmallLake, tmp_path: Path) -> None:
    rows = written(lake, tmp_path / "out.jsonl", "--with-bodies", "--columns", "call_id")
    said = {row["call_id"][-1]: (row["request_body"], row["response_body"]) for row in rows}
    assert json.loads(said["1"][1])["says"] == "response 1"
    assert said["3"] == (None, None)
    assert len(said) == 5
    assert exported(lake, tmp_path / "out.parquet", "--with-bodies").exit_code == 0
    assert pq.read_table(tmp_path / "out.parquet").column_names[-2:] == ["request_body", "response_body"]


def test_bodies_are_read_so_many_at_a_time() -> None:
    assert list(cut([3, 3, 3, 20, 1], 7)) == [(0, 2), (2, 1), (3, 1), (4, 1)]
    assert list(cut([], 7)) == []
    assert sum(count for _, count in cut(range(100), 50)) == 100


def test_what_is_written_for_an_import_can_be_imported(lake: SmallLake, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    rows = written(lake, file, "--format", "helicone", "--before", "2026-03-02")
    assert {row["response_id"] for row in rows} == set(CALL_IDS[:3])
    read = {each.request_id: each for each in map(exported_of, file.read_bytes().splitlines())}
    first, second = read[REQUEST_IDS[0]], read[REQUEST_IDS[1]]
    assert first.key == keys_of(first.request_id, first.began_ms)[1]  # it is known as one of ours, wherever it is brought
    assert (first.rating, second.rating, dict(second.scores), first.lacks) == (False, None, {"quality": 0.5}, ())
    line = json.loads(second.line)
    assert line["providerRequest"]["meta"]["Helicone-Property-late"] == "yes"
    assert line["providerResponse"]["json"]["says"] == "response 1"
    dry = CliRunner().invoke(app, ["import", str(file), "--dry-run"])
    assert (dry.exit_code, "3 calls read, 3 would be brought in" in dry.stdout) == (0, True), dry.output
