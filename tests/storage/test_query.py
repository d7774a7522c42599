"""Questions over a small lake: freshness, amendments, feedback, organizations, limits."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.events import Organization
from storage.config import StorageConfig
from storage.lake import Lake
from storage.query import Limits, Questions, run_query
from storage.refusal import Refused
from storage.schema import TABLES
from storage.snapshots import Snapshots
from storage.views import VIEWS
from tests.fakes.small_lake import SmallLake, calls


@pytest.fixture
def world(tmp_path: Path) -> SmallLake:
    return SmallLake(tmp_path / "lake")


@pytest.fixture
def questions(world: SmallLake) -> Iterator[Questions]:
    made = Questions(world.lake)
    yield made
    made.close()


def rows(questions: Questions, sql: str, **more: Any) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in questions.ask(sql, **more).table.to_pylist()]


def refusal_of(questions: Questions, sql: str, **more: Any) -> Any:
    with pytest.raises(Refused) as caught:
        questions.ask(sql, **more)
    return caught.value.refusal


def test_an_empty_lake_answers_with_types(questions: Questions) -> None:
    assert rows(questions, "SELECT count(*), sum(cost_usd) FROM calls") == [(0, None)]
    found = questions.ask("SELECT cost_usd, created_at, properties, rating, scores FROM calls")
    assert found.types == ("DECIMAL(18,12)", "TIMESTAMP", "MAP(VARCHAR, VARCHAR)", "BOOLEAN", "MAP(VARCHAR, DOUBLE)")
    for view in ("bodies", "feedback", "dead_letters"):
        assert rows(questions, f"SELECT count(*) FROM {view}") == [(0,)]


def test_a_lake_without_tables_answers(tmp_path: Path) -> None:

    (tmp_path / "new").mkdir()
    lake = Lake.open(StorageConfig(lake_uri=str(tmp_path / "new")))
    assert run_query(lake, "SELECT count(*) AS n FROM calls").table.to_pylist() == [{"n": 0}]


def test_the_next_question_sees_a_commit(world: SmallLake, questions: Questions) -> None:
    for count in range(1, 4):
        world.add("calls", {"call_id": f"c{count}"})
        assert rows(questions, "SELECT count(*) FROM calls") == [(count,)]


def test_run_query_needs_no_server(world: SmallLake) -> None:
    world.add("calls", *calls(3, cost_usd="0.001"))
    assert run_query(world.lake, "SELECT sum(cost_usd) AS usd FROM calls").table.to_pylist() == [{"usd": Decimal("0.003")}]


@pytest.mark.parametrize("name", ["with a space", "it's", "ümläut"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    world = SmallLake(tmp_path / name)
    world.add("calls", *calls(2))
    assert run_query(world.lake, "SELECT count(*) AS n FROM calls").table.to_pylist() == [{"n": 2}]


def test_properties_are_a_map(world: SmallLake, questions: Questions) -> None:
    world.add("calls", {"call_id": "a", "properties": {"feature": "chat"}}, {"call_id": "b"})
    assert rows(questions, "SELECT call_id, properties['feature'] FROM calls ORDER BY 1") == [("a", "chat"), ("b", None)]


class TestAmendments:
    def test_the_highest_revision_stands(self, world: SmallLake, questions: Questions) -> None:
        world.add("calls", *calls(2, cost_usd="1"))
        world.add("amendments", {"call_id": "c0", "revision": 1, "cost_usd": "2"})
        world.add("amendments", {"call_id": "c0", "revision": 2, "cost_usd": "3"})
        assert rows(questions, "SELECT call_id, revision, cost_usd FROM calls ORDER BY 1") == [("c0", 2, Decimal(3)), ("c1", 0, Decimal(1))]

    def test_an_abandoned_call_is_a_row_until_the_real_one_comes(self, world: SmallLake, questions: Questions) -> None:
        world.add("amendments", {"call_id": "c0", "revision": -1, "outcome": "abandoned"})
        assert rows(questions, "SELECT call_id, outcome FROM calls") == [("c0", "abandoned")]
        world.add("calls", {"call_id": "c0"})
        assert rows(questions, "SELECT call_id, outcome FROM calls") == [("c0", "completed")]

    def test_an_amendment_of_a_call_that_has_no_row_is_its_row(self, world: SmallLake, questions: Questions) -> None:
        world.add("amendments", {"call_id": "c0", "revision": 1, "cost_usd": "2"})
        assert rows(questions, "SELECT call_id, cost_usd FROM calls") == [("c0", Decimal(2))]

    def test_other_days_are_as_they_were(self, world: SmallLake, questions: Questions) -> None:
        world.add(
            "calls", {"call_id": "old", "created_at": "2026-01-01T10:00:00Z"}, {"call_id": "new", "created_at": "2026-01-05T10:00:00Z"}
        )
        world.add("amendments", {"call_id": "old", "revision": 1, "status": 500, "created_at": "2026-01-01T10:00:00Z"})
        assert rows(questions, "SELECT call_id, status FROM calls ORDER BY 1") == [("new", 200), ("old", 500)]
        assert rows(questions, "SELECT call_id FROM calls WHERE created_at >= '2026-01-02'") == [("new",)]


AT = datetime.fromisoformat("2026-01-03")


class Act(NamedTuple):
    """One act of judging a call."""

    rating: bool | None
    taken_back: bool
    scores: dict[str, float | None]

    def row(self, number: int) -> dict[str, Any]:
        at = f"2026-01-03T00:00:0{number}Z"
        said = {"rating": self.rating, "rating_retracted": self.taken_back, "scores": self.scores}
        return {"feedback_id": f"f{number}", "request_id": "c0", "given_at": at, **said}


def gives(request_id: str, day: int, properties: dict[str, str]) -> dict[str, Any]:
    """Properties, as the sink writes them."""
    given_at = f"2026-01-0{day}T00:00:00Z"
    return {
        "feedback_id": f"p{day}",
        "request_id": request_id,
        "given_at": given_at,
        "properties": properties,
        "property_count": len(properties),
    }


SCORES = st.dictionaries(st.sampled_from("ab"), st.one_of(st.none(), st.sampled_from([0.0, -1.5, 1e300])), max_size=2)
ACTS = st.one_of(
    st.builds(Act, st.none(), st.booleans(), SCORES),
    st.builds(Act, st.booleans(), st.just(False), SCORES),
)


class TestFeedback:
    def test_the_newest_rating_and_score_of_each_name(self, world: SmallLake, questions: Questions) -> None:
        world.add("calls", *calls(2))
        given = [
            {"feedback_id": "f1", "request_id": "c0", "given_at": "2026-01-03T00:00:00Z", "rating": True, "scores": {"a": 1.0, "b": 1.0}},
            {"feedback_id": "f3", "request_id": "c0", "given_at": "2026-01-05T00:00:00Z", "scores": {"b": 3.0}},
            {"feedback_id": "f2", "request_id": "c0", "given_at": "2026-01-04T00:00:00Z", "rating": False, "scores": {"b": 2.0}},
        ]
        world.add("feedback", *given)
        found = rows(questions, "SELECT call_id, rating, scores FROM calls ORDER BY 1")
        assert found == [("c0", False, [("a", 1.0), ("b", 3.0)]), ("c1", None, [])]
        assert rows(questions, "SELECT count(*) FROM feedback") == [(3,)]

    def test_what_was_taken_back_is_gone_and_its_history_is_kept(self, world: SmallLake, questions: Questions) -> None:
        world.add("calls", *calls(2))
        given = [
            {"feedback_id": "f1", "given_at": "2026-01-03T00:00:00Z", "rating": True, "scores": {"a": 1.0, "b": 1.0}},
            {"feedback_id": "f2", "given_at": "2026-01-04T00:00:00Z", "rating_retracted": True, "scores": {"b": None}},
        ]
        world.add("feedback", *({"request_id": call} | each for call in ("c0", "c1") for each in given))
        again = {"rating": False, "scores": {"b": 3}}
        world.add("feedback", {"request_id": "c1", "feedback_id": "f3", "given_at": "2026-01-05T00:00:00Z", **again})
        found = rows(questions, "SELECT call_id, rating, scores FROM calls ORDER BY 1")
        assert found == [("c0", None, [("a", 1.0)]), ("c1", False, [("a", 1.0), ("b", 3.0)])]
        told = "SELECT rating, rating_retracted, scores FROM feedback WHERE request_id = 'c0' ORDER BY given_at"
        assert rows(questions, told) == [(True, None, [("a", 1.0), ("b", 1.0)]), (None, True, [("b", None)])]

    def test_properties_given_afterwards_lie_over_the_calls_own(self, world: SmallLake, questions: Questions) -> None:
        own = {"env": "prod", "ticket": "none"}
        world.add("calls", *calls(3, properties=own))
        world.add("feedback", {"feedback_id": "f", "request_id": "c2", "rating": True})
        world.add("feedback", gives("c1", 4, {"ticket": "T-2"}), gives("c1", 3, {"ticket": "T-1", "by": "ann"}))
        found = {call: dict(properties) for call, properties in rows(questions, "SELECT call_id, properties FROM calls")}
        assert found == {"c0": own, "c1": {"env": "prod", "ticket": "T-2", "by": "ann"}, "c2": own}
        assert rows(questions, "SELECT call_id, rating FROM calls WHERE properties['ticket'] = 'T-2'") == [("c1", None)]

    def test_properties_that_another_organization_gives_are_not_joined(self, world: SmallLake, questions: Questions) -> None:
        world.add("calls", *({"call_id": name, "organization": name, "request_id": "r"} for name in "ab"))
        world.add("feedback", gives("r", 3, {"ticket": "T-1"}) | {"organization": "a"})
        asked = "SELECT call_id, properties['ticket'] FROM calls ORDER BY 1"
        assert rows(questions, asked) == [("a", "T-1"), ("b", None)]
        assert [rows(questions, asked, organization=Organization(name)) for name in "ab"] == [[("a", "T-1")], [("b", None)]]

    def test_feedback_of_an_earlier_version_counts(self, tmp_path: Path) -> None:
        """Its files lack what came later, and do not tell which of them give properties."""
        world = SmallLake(tmp_path / "older", older=True)
        questions = Questions(world.lake)
        world.add("calls", *calls(2))
        older = TABLES["feedback"].names[:7]
        said = {"rating": True, "scores": [("a", 1.0)], "properties": [("by", "ann")]}
        row = {"feedback_id": "f", "request_id": "c0", "organization": "default", "given_at": AT, **said}
        fields = [TABLES["feedback"].field(name) for name in [*older, "day"]]
        columns = pa.Table.from_pylist([row | {"day": date(2026, 1, 3)}], schema=pa.schema(fields))
        write_deltalake(str(world.folder / "feedback"), columns, mode="append", schema_mode="merge")
        asked = "SELECT call_id, rating, scores, properties FROM calls ORDER BY 1"
        assert rows(questions, asked) == [("c0", True, [("a", 1.0)], [("by", "ann")]), ("c1", None, [], [])]
        back = {"feedback_id": "g", "request_id": "c0", "given_at": "2026-01-04T00:00:00Z", "rating_retracted": True}
        world.add("feedback", back)
        assert rows(questions, asked)[0] == ("c0", None, [("a", 1.0)], [("by", "ann")])

    def test_what_is_said_of_a_session_is_said_of_none_of_its_calls(self, world: SmallLake, questions: Questions) -> None:
        world.add("calls", *calls(2, session_id="s"))
        said = {"request_id": None, "session_id": "s", "given_at": "2026-01-03T00:00:00Z"}
        world.add("feedback", {"feedback_id": "f1", "rating": True, **said}, {"feedback_id": "f2", "tag": "checkout", **said})
        assert rows(questions, "SELECT DISTINCT rating, cardinality(scores) FROM calls") == [(None, 0)]
        asked = "SELECT rating, tag FROM feedback WHERE session_id = 's' ORDER BY feedback_id"
        assert rows(questions, asked) == [(True, None), (None, "checkout")]

    @settings(max_examples=15, deadline=None)
    @given(acts=st.lists(ACTS, min_size=1, max_size=6), data=st.data())
    def test_the_newest_act_of_each_name_wins_in_any_order_of_arrival(self, acts: list[Act], data: st.DataObject) -> None:
        rating: bool | None = None
        scores: dict[str, float | None] = {}
        for act in acts:
            if act.rating is not None or act.taken_back:
                rating = act.rating
            scores |= act.scores
        given_rows = [act.row(number) for number, act in enumerate(acts)]
        with TemporaryDirectory() as folder:
            made = SmallLake(Path(folder))
            made.add("calls", *calls(1))
            arrived = data.draw(st.permutations(given_rows))
            made.add("feedback", *arrived[:3])
            made.add("feedback", *arrived[3:])
            with closing(Questions(made.lake)) as questions:
                ((found, named),) = rows(questions, "SELECT rating, scores FROM calls")
        assert (found, dict(named)) == (rating, {name: value for name, value in scores.items() if value is not None})

    def test_another_organization_of_the_same_request_id_is_not_rated(self, world: SmallLake, questions: Questions) -> None:
        world.add(
            "calls", {"call_id": "c0", "organization": "a", "request_id": "r"}, {"call_id": "c1", "organization": "b", "request_id": "r"}
        )
        world.add(
            "feedback", {"feedback_id": "f", "organization": "a", "request_id": "r", "rating": True, "given_at": "2026-01-03T00:00:00Z"}
        )
        assert rows(questions, "SELECT call_id, rating FROM calls ORDER BY 1") == [("c0", True), ("c1", None)]


class TestPlans:
    """What a question does not ask for must not be computed."""

    @pytest.fixture
    def busy(self, world: SmallLake) -> SmallLake:
        world.add("calls", *({"call_id": f"c{day}", "created_at": f"2026-01-{day:02}T10:00:00Z"} for day in range(1, 8)))
        world.add("amendments", {"call_id": "c1", "revision": 1, "created_at": "2026-01-01T10:00:00Z"})
        world.add("feedback", gives("c3", 3, {}) | {"rating": True})
        return world

    def plan(self, questions: Questions, sql: str) -> str:
        return str(rows(questions, f"EXPLAIN {sql}")[0][1])

    def test_neither_rating_nor_scores_over_days_without_amendments_is_a_plain_scan(self, busy: SmallLake, questions: Questions) -> None:
        plan = self.plan(questions, "SELECT model, sum(cost_usd) FROM calls WHERE created_at >= '2026-01-02' GROUP BY 1")
        assert plan.upper().count("READ PARQUET") == 1
        assert "JOIN" not in plan.upper()

    def test_so_it_is_for_one_organization(self, busy: SmallLake, questions: Questions) -> None:
        """Who asks for one is not shown plans, so the plan is that of the view's own SQL."""
        view = VIEWS["calls"].sql(Snapshots(busy.lake).sources(TABLES), Organization("default"))
        late = "created_at >= '2026-01-02'"
        with duckdb.connect() as database:
            plans = {
                column: str(
                    database.execute(f"EXPLAIN SELECT {column}, sum(cost_usd) FROM ({view}) WHERE {late} GROUP BY 1").fetchall()[0][1]
                )
                for column in ("model", "rating")
            }
        assert plans["model"].upper().count("READ PARQUET") == 1
        assert "JOIN" not in plans["model"].upper()
        assert "JOIN" in plans["rating"].upper()

    @pytest.mark.parametrize(("asked", "joins", "tables"), [("model", False, 1), ("rating", True, 2), ("properties['a']", True, 1)])
    def test_who_does_not_ask_for_properties_pays_for_none(
        self, busy: SmallLake, questions: Questions, asked: str, joins: bool, tables: int
    ) -> None:
        """What was given is put together beforehand."""
        busy.add("feedback", gives("c3", 4, {"a": "b"}))
        plan = self.plan(questions, f"SELECT {asked}, sum(cost_usd) FROM calls WHERE created_at >= '2026-01-02' GROUP BY 1").upper()
        assert ("JOIN" in plan) is joins
        assert plan.count("READ PARQUET") == tables

    def test_where_nobody_gave_properties_they_need_no_join(self, busy: SmallLake, questions: Questions) -> None:
        plan = self.plan(questions, "SELECT properties['a'], sum(cost_usd) FROM calls WHERE created_at >= '2026-01-02' GROUP BY 1").upper()
        assert plan.count("READ PARQUET") == 1
        assert "JOIN" not in plan

    def test_a_rating_asks_for_one_join(self, busy: SmallLake, questions: Questions) -> None:
        plan = self.plan(questions, "SELECT rating FROM calls WHERE created_at >= '2026-01-02'")
        assert len(re.findall("Join", plan)) >= 1

    @pytest.mark.parametrize("condition", [
        "created_at >= '2026-01-05'",
        "created_at > now() - INTERVAL 1 HOUR",
        "created_at > current_timestamp - INTERVAL 1 DAY",
        "created_at >= today()",
        "date_trunc('day', created_at) = DATE '2026-01-05'",
        "created_at::DATE = '2026-01-05'",
    ])  # fmt: skip
    def test_a_condition_on_the_time_reaches_the_scan(self, busy: SmallLake, questions: Questions, condition: str) -> None:
        plan = self.plan(questions, f"SELECT count(*) FROM calls WHERE {condition}")
        assert re.search(r"Filters:[^─]*created_at", plan), plan


class TestOrganizations:
    @pytest.fixture
    def two(self, world: SmallLake) -> SmallLake:
        world.add(
            "calls", {"call_id": "a", "organization": "a", "user_id": "1"}, {"call_id": "b", "organization": "b", "user_id": "secret"}
        )
        world.add("bodies", {"call_id": "b", "organization": "b", "side": "request", "text": "secret"})
        world.add("amendments", {"call_id": "c", "organization": "b", "revision": 1, "user_id": "secret"})
        world.add(
            "feedback", {"feedback_id": "f", "organization": "b", "request_id": "b", "rating": True, "given_at": "2026-01-03T00:00:00Z"}
        )
        world.add(
            "dead_letters",
            {
                "topic": "t",
                "partition": 0,
                "offset": 1,
                "reason": "r",
                "error": "secret",
                "organization": "b",
                "at": "2026-01-03T00:00:00Z",
            },
        )
        return world  # fmt: skip

    def test_each_sees_its_own(self, two: SmallLake, questions: Questions) -> None:
        own = Organization("a")
        assert rows(questions, "SELECT call_id FROM calls", organization=own) == [("a",)]
        for view in ("bodies", "feedback", "dead_letters"):
            assert rows(questions, f"SELECT count(*) FROM {view}", organization=own) == [(0,)]
            assert rows(questions, f"SELECT count(*) FROM {view}") == [(1,)]

    @pytest.mark.parametrize("sql", [
        "SELECT count(*) FROM calls WHERE user_id::INTEGER > 0",
        "SELECT sum(user_id::INTEGER) FROM calls",
        "SELECT count(*) FROM calls WHERE CASE WHEN user_id = 'secret' THEN error(user_id) ELSE true END",
        "SELECT count(*) FROM calls WHERE organization = 'b' OR error(user_id) IS NULL OR random() < 2",
        "SELECT count(*) FROM calls WHERE organization = 'b' AND error(user_id) IS NULL",
        "SELECT count(*) FROM calls WHERE CASE WHEN rating THEN error('secret') ELSE false END",
        "SELECT count(*) FROM calls WHERE scores['secret'] > 4 AND error(map_keys(scores)::VARCHAR) IS NULL",
        "SELECT count(*) FROM calls WHERE scores['secret'] > 4.1 AND CASE WHEN rating THEN true ELSE error('secret') END",
        "SELECT count(*) FROM calls WHERE rating AND error(request_id) IS NULL",
        "SELECT count(*) FROM calls WHERE CASE WHEN properties['given'] = 'secret' THEN error('secret') ELSE false END",
        "SELECT count(*) FROM feedback WHERE error(comment) IS NULL",
        "SELECT count(*) FROM feedback WHERE error(map_keys(scores)::VARCHAR) IS NULL",
        "SELECT count(*) FROM bodies WHERE error(text) IS NULL",
        "SELECT count(*) FROM dead_letters WHERE error(dead_letters.error) IS NULL",
    ])  # fmt: skip
    def test_an_error_does_not_tell_of_others(self, two: SmallLake, questions: Questions, sql: str) -> None:
        two.add(
            "calls", *({"call_id": f"o{n}", "organization": "b", "user_id": "secret", "request_id": f"secret-{n}"} for n in range(3000))
        )
        two.add("calls", *({"call_id": f"m{n}", "organization": "a", "user_id": "1", "request_id": f"r{n}"} for n in range(3000)))
        judged = {"scores": {"secret": 4.2}, "rating": False, "given_at": "2026-01-03T00:00:00Z", "comment": "secret"}
        judged |= {"properties": {"given": "secret"}, "property_count": 1}
        two.add("feedback", *({"feedback_id": f"o{n}", "organization": "b", "request_id": f"secret-{n}", **judged} for n in range(9)))
        try:
            questions.ask(sql, organization=Organization("a"))
        except Refused as refused:
            message = refused.refusal.message
        else:
            message = ""
        assert "secret" not in message

    def test_letters_of_nobody_known_are_the_operators(self, two: SmallLake, questions: Questions) -> None:
        letter = {"topic": "t", "partition": 0, "index": 0, "reason": "r", "error": "secret", "at": "2026-01-03T00:00:00Z"}
        two.add("dead_letters", letter | {"offset": 2}, letter | {"offset": 3, "organization": "default"})
        sql = 'SELECT "offset" FROM dead_letters ORDER BY 1'
        seen = {name: rows(questions, sql, organization=Organization(name)) for name in ("default", "a", "b")}
        assert seen == {"default": [(2,), (3,)], "a": [], "b": [(1,)]}
        assert rows(questions, sql) == [(1,), (2,), (3,)]
        failing = "SELECT count(*) FROM dead_letters WHERE CASE WHEN organization = 'b' THEN error('b') ELSE true END"
        assert rows(questions, failing, organization=Organization("default")) == [(2,)]

    def test_a_name_that_is_sql_is_a_name(self, two: SmallLake, questions: Questions) -> None:
        assert rows(questions, "SELECT count(*) FROM calls", organization=Organization("x' OR '1'='1")) == [(0,)]

    def test_explain_would_tell_how_much_others_have(self, two: SmallLake, questions: Questions) -> None:
        assert refusal_of(questions, "EXPLAIN FROM calls", organization=Organization("a")).code == "not_read_only"


class TestParameters:
    def test_in_order_and_by_name(self, world: SmallLake, questions: Questions) -> None:
        world.add("calls", *calls(3))
        assert rows(questions, "SELECT call_id FROM calls WHERE call_id = ? AND status = ?", parameters=["c1", 200]) == [("c1",)]
        assert rows(questions, "SELECT call_id FROM calls WHERE call_id = $id", parameters={"id": "c2"}) == [("c2",)]
        assert rows(questions, "SELECT count(*) FROM calls WHERE created_at > $since::TIMESTAMP", parameters={"since": "2026-01-01"}) == [
            (3,)
        ]

    @pytest.mark.parametrize(
        ("sql", "parameters"), [("SELECT ?, ?", ["a"]), ("SELECT 1", ["a"]), ("SELECT $a", {"b": 1}), ("SELECT $a", [])]
    )
    def test_too_few_too_many_or_others(self, questions: Questions, sql: str, parameters: Any) -> None:
        refusal = refusal_of(questions, sql, parameters=parameters)
        assert (refusal.code, refusal.field) == ("invalid_parameters", "parameters")


class TestLimits:
    @pytest.fixture
    def tight(self, world: SmallLake) -> Iterator[Questions]:
        made = Questions(world.lake, Limits(timeout_s=0.3, rows=10, result_bytes=1 << 20, memory_bytes=64 << 20))
        yield made
        made.close()

    def test_more_rows_are_cut_off_and_the_answer_says_so(self, tight: Questions) -> None:
        cut = tight.ask("FROM range(11)")
        assert (cut.table.num_rows, cut.truncated) == (10, True)
        whole = tight.ask("FROM range(10)")
        assert (whole.table.num_rows, whole.truncated) == (10, False)

    def test_a_result_that_never_ends_is_cut_off_at_once(self, tight: Questions) -> None:
        assert tight.ask("FROM range(100_000_000_000)").truncated

    @pytest.mark.parametrize("sql", [
        "SELECT sum(a.range * b.range) FROM range(10_000_000) a, range(100_000) b",
        "WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM t) SELECT max(a) FROM t",
    ])  # fmt: skip
    def test_a_long_question_is_stopped(self, tight: Questions, sql: str) -> None:
        refusal = refusal_of(tight, sql)
        assert (refusal.code, refusal.status) == ("query_timeout", 504)
        assert rows(tight, "SELECT 1") == [(1,)]

    def test_a_question_may_not_take_all_memory(self, tight: Questions) -> None:
        assert refusal_of(tight, "SELECT list(range) FROM range(50_000_000)").code in {"result_too_large", "query_timeout"}

    def test_an_answer_that_is_too_large_is_refused(self, tight: Questions) -> None:
        assert refusal_of(tight, "SELECT repeat('x', 500_000) FROM range(9)").code == "result_too_large"


class TestFaults:
    @pytest.mark.parametrize(
        ("sql", "at"),
        [
            ("SELECT nothing FROM calls", "nothing"),
            ("SELECT nofunction(1)", "nofunction"),
            ("SELECT 1 FROM calls WHERE", None),
            ("SELEC 1", "SELEC"),
        ],
    )
    def test_the_engine_s_words_and_the_place(self, questions: Questions, sql: str, at: str | None) -> None:
        refusal = refusal_of(questions, sql)
        assert refusal.code == "invalid_sql"
        assert "{" not in refusal.message
        assert "LINE 1" not in refusal.message
        if at:
            assert refusal.position == sql.index(at)

    def test_an_error_while_rows_stream_is_a_refusal_too(self, questions: Questions) -> None:
        sql = "SELECT CASE WHEN range = 90_000 THEN error('boo') ELSE range END FROM range(100_000)"
        refusal = refusal_of(questions, sql)
        assert (refusal.code, refusal.message) == ("invalid_sql", "boo")

    def test_files_that_maintenance_removed_are_looked_up_again(self, world: SmallLake, questions: Questions) -> None:
        world.add("calls", {"call_id": "c0"})
        assert rows(questions, "SELECT count(*) FROM calls") == [(1,)]

        for number in range(3):
            world.add("calls", {"call_id": f"d{number}"})
        table = DeltaTable(str(world.folder / "calls"))
        table.optimize.compact()
        table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        assert rows(questions, "SELECT count(*) FROM calls") == [(4,)]

    def test_the_engine_itself_reads_nothing_else(self, questions: Questions, tmp_path: Path) -> None:
        """The second wall, asked without the first."""
        (tmp_path / "x.csv").write_text("a\n1\n")
        with questions._engine.connection() as connection:
            for sql in (
                f"FROM read_csv('{tmp_path}/x.csv')",
                f"FROM '{tmp_path}/x.csv'",
                f"FROM read_text('{tmp_path}/lake/../x.csv')",
                "FROM read_text('/etc/passwd')",
                f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
                f"ATTACH '{tmp_path}/x.db'",
                "INSTALL httpfs",
                "SET enable_external_access = true",
                "SET threads = 8",
                "FROM questions",
            ):
                with pytest.raises(Exception, match=r"disabled|locked|does not exist|configuration"):
                    connection.execute(sql).fetchall()


def test_many_threads_ask_while_commits_come(world: SmallLake, questions: Questions) -> None:

    world.add("calls", {"call_id": "first"})
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(rows, questions, "SELECT count(*) FROM calls") for _ in range(40)]
        for number in range(5):
            world.add("calls", {"call_id": f"c{number}"})
        assert all(1 <= answer.result()[0][0] <= 6 for answer in asked)
    assert rows(questions, "SELECT count(*) FROM calls") == [(6,)]
