"""A rollup never changes an answer: whatever happens to the facts, in whatever order the tables are read, sums are those of the calls.

What is added up is written out here once more, apart from how rollups are made.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from msgspec import structs

from eventlog.events import Organization
from storage.lake import Lake
from storage.query import Questions
from storage.rest.sql import Sql, all_of, values
from storage.rollups import making
from storage.rollups.asking import Counted, asked, sources_of
from storage.rollups.coverage import INDEX_DAY
from storage.rollups.making import due, facts_of, roll_up, rollups_due
from storage.rollups.measures import READ
from storage.rollups.spans import Sources, Span
from storage.settling import settle
from storage.snapshots import Snapshots
from storage.sources import Source
from storage.views import VIEWS, current_calls_sql
from tests.fakes.random_lake import ORGANIZATIONS, TODAY, RandomLake

TABLES = ("calls", "amendments", "rollups")
KEYS = "organization, provider, model, outcome, status"
FACTS = f"""
    SELECT date_trunc('{{grain}}', created_at) AS begins, {KEYS}, count(*) AS calls,
        count(*) FILTER (outcome IS NULL OR outcome NOT IN ('completed', 'interrupted_by_client')) AS errors,
        count(*) - count(cost_usd) AS unpriced, sum(cost_usd) AS cost_usd, sum(cost_saved_usd) AS saved,
        count(*) - count(total_tokens) AS uncounted, sum(prompt_tokens) AS prompt, sum(completion_tokens) AS completion,
        sum(cache_read_tokens) AS cache_read, sum(total_tokens) AS total, count(*) FILTER (cache_hit) AS hits,
        count(*) FILTER (stream) AS streams,
        count(*) FILTER (rate_limited) AS limited, sum(attempts) AS attempts, count(latency_ms) AS latencies,
        sum(latency_ms::DECIMAL(18,3)) AS latency, min(latency_ms) AS shortest, max(latency_ms) AS longest, count(ttft_ms) AS ttfts,
        sum(ttft_ms::DECIMAL(18,3)) AS ttft
    FROM {{calls}} GROUP BY ALL ORDER BY ALL"""
ROLLED = f"""
    SELECT {{grain}} AS begins, {KEYS}, sum(calls) AS calls, sum(errors) AS errors, sum(unpriced) AS unpriced, sum(cost_usd) AS cost_usd,
        sum(cost_saved_usd) AS saved, sum(uncounted) AS uncounted, sum(prompt_tokens) AS prompt, sum(completion_tokens) AS completion,
        sum(cache_read_tokens) AS cache_read, sum(total_tokens) AS total, sum(cache_hits) AS hits, sum(streams) AS streams,
        sum(rate_limited) AS limited, sum(attempts) AS attempts, sum(latency_calls) AS latencies,
        sum(latency_sum_ms) AS latency, min(latency_min_ms) AS shortest, max(latency_max_ms) AS longest, sum(ttft_calls) AS ttfts,
        sum(ttft_sum_ms) AS ttft
    FROM {{rows}} GROUP BY ALL ORDER BY ALL"""


@pytest.fixture(params=range(2))
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RandomLake:
    """Its open day has parts of both kinds."""
    monkeypatch.setattr(making, "LOOSE_ROWS", 20)
    return RandomLake(tmp_path / "lake", request.param, target_file_bytes=[64 << 20, 60_000, 1][request.param])


def answers_agree(
    sources: Mapping[str, Source], organization: Organization | None = None, *, grains: tuple[str, ...] = ("hour", "day")
) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        calls = current_calls_sql(narrow(sources["calls"]), narrow(sources["amendments"]), organization)
        for grain in grains:
            facts = FACTS.format(grain=grain, calls=f"({calls})")
            rolled = ROLLED.format(grain=grain, rows=f"({VIEWS[f'calls_by_{grain}'].sql(sources, organization)})")
            assert connection.execute(rolled).fetchall() == connection.execute(facts).fetchall()


def narrow(source: Source) -> Source:
    """DuckDB plans a question the faster the fewer columns there are."""
    return structs.replace(source, schema=pa.schema([field for field in source.schema if field.name in READ]))


def test_whatever_happens_answers_are_those_of_the_facts(world: RandomLake) -> None:
    snapshots, seen, used = Snapshots(world.lake), [], 0
    world.calls()
    for _ in range(7):
        world.step()
        if world.random.random() < 0.6:
            roll_up(world.lake, TODAY)
        seen.append(snapshots.sources(TABLES))
        used += bool(seen[-1]["rollups"].parts)
        answers_agree(
            seen[-1], world.random.choice([None, *map(Organization, ORGANIZATIONS)]), grains=(world.random.choice(["hour", "day"]),)
        )
    assert used
    for _ in range(5):  # the tables as they were at different moments, as a reader between two commits finds them
        mixed = {table: world.random.choice(seen)[table] for table in TABLES}
        answers_agree(mixed, grains=("hour",))


def test_when_all_is_rolled_up_no_fact_is_read(world: RandomLake) -> None:
    for _ in range(4):
        world.step()
    world.calls()
    while roll_up(world.lake, TODAY, rows=1):
        pass
    facts = facts_of(world.lake, world.lake.table("rollups"))
    assert all(file.day == TODAY for file in facts.covered().rest)
    assert sum(each.rows for each in facts.calls if each.file in facts.covered().rest) <= 20
    assert due(facts, TODAY) == [] == rollups_due(world.lake, TODAY)
    assert len(facts.rollups.files) == len({file.day for file in facts.rollups.files})
    days = {each.file.day for each in facts.calls}
    assert {file.day for file in facts.rollups.files} - {INDEX_DAY} <= days


def rows_of(questions: Questions, sql: Sql, organization: Organization | None) -> list[dict[str, object]]:
    return questions.ask(sql.text, organization=organization, parameters=list(sql.values)).table.to_pylist()


@pytest.fixture
def questions(world: RandomLake) -> Iterator[Questions]:
    for _ in range(4):
        world.step()
    world.calls(200)
    roll_up(world.lake, TODAY)
    world.calls(5)
    asking = Questions(world.lake)
    yield asking
    asking.close()


UTC_DAY = "date_trunc('day', created_at)"
HALF_PAST = "date_trunc('day', created_at + INTERVAL 330 MINUTE)"
DIMENSIONS = ("model", "provider", "outcome", "status", "user_id")


def test_random_questions_are_answered_as_from_the_calls(world: RandomLake, questions: Questions) -> None:
    start = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC) - timedelta(days=4)
    for _ in range(4):
        counted, plain = random_question(world, start)
        organization = world.random.choice([None, *map(Organization, ORGANIZATIONS)])
        found = {key_of(row): row for row in rows_of(questions, asked(counted), organization)}
        expected = {key_of(row): row for row in rows_of(questions, plain, organization)}
        assert found.keys() == expected.keys()
        for key, row in expected.items():
            same = ("calls", "cost_usd", "prompt_tokens", "latency_calls")
            assert [found[key][name] for name in same] == [row[name] for name in same]
            for name in ("latency", "ttft"):
                assert found[key][name] == (row[name] and pytest.approx(row[name], rel=0.02, abs=0.001))


def random_question(world: RandomLake, start: datetime) -> tuple[Counted, Sql]:
    random = world.random
    since = random.choice([None, start + timedelta(minutes=random.randrange(2000))])
    before = random.choice([None, start + timedelta(minutes=random.randrange(2000, 7000))])
    by = random.sample(DIMENSIONS, random.randint(0, 2))
    models = random.choice([None, values(["small", "huge"])])
    where = Sql("true") if models is None else "model IN " + models
    piece, cuts = random.choice([(None, ()), (UTC_DAY, range(0, 144, 24)), (HALF_PAST, [hour + 18.5 for hour in range(0, 144, 24)])])
    counted = Counted(
        since=since,
        before=before,
        where=where,
        by={name: Sql(name) for name in by},
        reads={*by, "model"},
        piece=None if piece is None else Sql(piece),
        cuts=[start + timedelta(hours=hours) for hours in cuts],
        whole=piece is not None and not by,
        quantiles=(0.0, 0.5, 0.95, 0.99, 1.0),
    )
    span = Span(*(None if at is None else at.replace(tzinfo=None) for at in (since, before))).condition("created_at")
    keys = [*([] if piece is None else [f"{piece} AS piece"]), *by]
    places = ", ".join(str(place + 1) for place in range(len(keys)))
    sums = "count(*) AS calls, sum(cost_usd) AS cost_usd, sum(prompt_tokens) AS prompt_tokens, count(latency_ms) AS latency_calls"
    spread = ", ".join(f"quantile_cont({name}_ms::DOUBLE, [0.0, 0.5, 0.95, 0.99, 1.0]) AS {name}" for name in ("latency", "ttft"))
    grouping = f" GROUP BY {'GROUPING SETS ((' + places + '), ())' if counted.whole else places}" if keys else ""
    plain = f"SELECT {', '.join([*keys, sums, spread])} FROM calls WHERE " + all_of([span, where]) + f"{grouping} HAVING count(*) > 0"
    return counted, plain


def key_of(row: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(row.get(name) for name in ("piece", *DIMENSIONS))


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute)  # noqa: DTZ001 as naive as the lake's times


SPANS = {
    "the ends from calls, whole days, and hours beside them": (
        {"since": at(1, 2, 30), "before": at(9, 5)},
        Sources(days=Span(at(2), at(9)), hours=Span(at(1, 3), at(9, 5)), calls=(Span(at(1, 2, 30), at(1, 3)),)),
    ),
    "all time": ({}, Sources(days=Span(None, None))),
    "whole days alone": ({"since": at(1), "before": at(9)}, Sources(days=Span(at(1), at(9)))),
    "less than an hour": ({"since": at(1, 2, 10), "before": at(1, 2, 50)}, Sources(calls=(Span(at(1, 2, 10), at(1, 2, 50)),))),
    "a column that is not kept apart": ({"reads": {"model", "user_id"}}, Sources(calls=(Span(None, None),))),
    "cuts on the hour": ({"since": at(1), "before": at(9), "cuts": [at(3, 5)]}, Sources(hours=Span(at(1), at(9)))),
    "a cut through an hour": (
        {"since": at(1), "before": at(9), "cuts": [at(3, 5, 30)]},
        Sources(hours=Span(at(1), at(9)), cut=(at(3, 5),)),
    ),
    "nothing": ({"since": at(2), "before": at(1)}, Sources(calls=(Span(at(2), at(1)),))),
    "pieces of minutes": (
        {"since": at(1, 1), "before": at(1, 4), "cuts": [at(1, hour, minute) for hour in (1, 2, 3) for minute in range(60)]},
        Sources(calls=(Span(at(1, 1), at(1, 4)),)),
    ),
}


@pytest.mark.parametrize(("question", "sources"), SPANS.values(), ids=SPANS)
def test_where_calls_are_taken_from(question: dict[str, object], sources: Sources) -> None:
    aware = partial(datetime.replace, tzinfo=UTC)
    told = {name: aware(given) if isinstance(given, datetime) else given for name, given in question.items()}
    told["cuts"] = [aware(cut) for cut in question.get("cuts", [])]  # type: ignore[attr-defined]
    assert sources_of(Counted(**told)) == sources  # type: ignore[arg-type]


def test_a_piece_needs_its_cuts() -> None:
    with pytest.raises(ValueError, match="cuts"):
        asked(Counted(piece=Sql(UTC_DAY)))


def test_what_a_part_says_is_not_read_again(tmp_path: Path) -> None:
    world = RandomLake(tmp_path / "lake", 1)
    world.calls()
    roll_up(world.lake, TODAY)
    before = facts_of(world.lake, world.lake.table("rollups"))
    read = {each.file for each in before.calls}
    world.calls()
    after = facts_of(world.lake, world.lake.table("rollups"))
    day = due(after, TODAY)[0].day
    (plan,) = making.plans(after, day, TODAY, 1)
    assert plan.kept
    assert not read & set(plan.fresh)


def test_the_end_of_a_call_that_was_folded_in_as_abandoned_takes_its_place(tmp_path: Path) -> None:
    world = RandomLake(tmp_path / "lake", 7)
    lost = {"call_id": "lost", "created_at": (TODAY - timedelta(days=2)).isoformat() + "T10:00:00+00:00", "cost_usd": "1"}
    world.small.add("calls", {**lost, "call_id": "other"})
    world.small.add("amendments", {**lost, "revision": -1, "outcome": "abandoned", "cost_usd": None})
    assert settle(world.lake, TODAY - timedelta(days=2))
    roll_up(world.lake, TODAY)
    sources = Snapshots(world.lake).sources(TABLES)
    assert any(file.holds_abandoned for file in sources["calls"].files)
    answers_agree(sources)
    world.small.add("calls", lost)
    answers_agree(Snapshots(world.lake).sources(TABLES))
    roll_up(world.lake, TODAY)
    answers_agree(Snapshots(world.lake).sources(TABLES))
    assert rollups_due(world.lake, TODAY) == []


def test_two_that_roll_up_at_once_do_not_lose_each_others_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = RandomLake(tmp_path / "lake", 2)
    world.calls()
    write, others = making.write_deltalake, iter([True])

    def meanwhile(*given: object, **more: object) -> None:
        if next(others, False):
            roll_up(world.lake, TODAY, rows=1)
        write(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(making, "write_deltalake", meanwhile)
    assert roll_up(world.lake, TODAY) == []
    parts = Snapshots(world.lake).sources(["rollups"])["rollups"].parts
    assert len(parts) == 1
    answers_agree(Snapshots(world.lake).sources(TABLES))


def test_an_index_that_cannot_be_read_only_makes_questions_slower(tmp_path: Path) -> None:
    world = RandomLake(tmp_path / "lake", 3)
    world.calls()
    roll_up(world.lake, TODAY)
    for file in (tmp_path / "lake" / "rollups" / f"day={INDEX_DAY}").iterdir():
        file.write_bytes(b"not Parquet")
    sources = Snapshots(world.lake).sources(TABLES)
    assert sources["rollups"].parts == ()
    answers_agree(sources, None)
    assert roll_up(world.lake, TODAY)
    assert Snapshots(world.lake).sources(TABLES)["rollups"].parts


ROLLS = """
import sys
from datetime import date
from storage.config import StorageConfig
from storage.lake import Lake
from storage.rollups.making import roll_up
lake = Lake(StorageConfig(lake_uri=sys.argv[1]))
while roll_up(lake, date.fromisoformat(sys.argv[2]), rows=1):
    print("rolled", flush=True)
"""


def test_killed_anywhere_nothing_is_off_and_the_next_goes_on(tmp_path: Path) -> None:
    world = RandomLake(tmp_path / "lake", 4)
    world.calls()
    world.amend()
    process = subprocess.Popen([sys.executable, "-c", ROLLS, str(tmp_path / "lake"), TODAY.isoformat()], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"rolled\n"
    process.kill()
    process.communicate()
    answers_agree(Snapshots(world.lake).sources(TABLES))
    while roll_up(world.lake, TODAY):
        pass
    assert rollups_due(Lake(world.lake.config), TODAY) == []
    answers_agree(Snapshots(world.lake).sources(TABLES))


def test_a_sketch_of_parts_is_that_of_the_whole(tmp_path: Path) -> None:
    world = RandomLake(tmp_path / "lake", 6)
    world.calls()
    roll_up(world.lake, TODAY)
    world.calls()
    sql = VIEWS["calls_by_day"]
    before = sketches(sql.sql(Snapshots(world.lake).sources(TABLES), None))
    roll_up(world.lake, TODAY)
    assert sketches(sql.sql(Snapshots(world.lake).sources(TABLES), None)) == before


def sketches(view: str) -> list[tuple[object, ...]]:
    unnested = "SELECT day, organization, unnest(map_keys(latency_sketch)) AS bucket, unnest(map_values(latency_sketch)) AS n"
    with duckdb.connect() as connection:
        return connection.execute(
            f"SELECT day, organization, bucket, sum(n) FROM ({unnested} FROM ({view})) GROUP BY ALL ORDER BY ALL"
        ).fetchall()


def test_the_table_has_the_declared_shape(tmp_path: Path) -> None:
    world = RandomLake(tmp_path / "lake", 5)
    world.calls()
    roll_up(world.lake, TODAY)
    declared = {field.name for field in Snapshots(world.lake).sources(["rollups"])["rollups"].schema}
    assert {field.name for field in pa.schema(world.lake.table("rollups").schema().to_arrow())} == declared
