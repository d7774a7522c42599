"""Questions that show few calls: which are asked in two steps, and that the answer is the same."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import storage.found
import storage.query
from eventlog.events import Organization
from storage.few import finding
from storage.found import plain_functions
from storage.judgements import Judgements
from storage.needed import JUDGED, RATED, needed
from storage.query import Questions
from storage.refusal import Refused
from tests.fakes.small_lake import SmallLake

TWICE = [
    ";SELECT call_id, rating FROM calls WHERE user_id = 'u1' ORDER BY call_id LIMIT 5 -- so many",
    "SELECT * FROM calls WHERE user_id = 'u1'",
    "SELECT * FROM calls ORDER BY created_at DESC, call_id LIMIT 5",
    "SELECT call_id, rating FROM calls c WHERE c.cost_usd > 0.001 ORDER BY c.call_id",
    "SELECT call_id, scores['quality'] AS q FROM calls WHERE session_id IN ('s1', 's2') ORDER BY call_id",
    "SELECT * FROM calls WHERE properties['feature'] = 'f1' ORDER BY call_id LIMIT 7",
    "SELECT * EXCLUDE (latency_ms) FROM calls WHERE created_at >= TIMESTAMP '2026-03-02' ORDER BY call_id LIMIT 4 OFFSET 3",
    "SELECT upper(call_id), coalesce(rating, false) FROM calls WHERE user_id = 'nobody'",
    "SELECT * FROM calls WHERE call_id = 'c-03' AND status = 200",
]
ONCE = [
    "SELECT wavg(scores['quality'], 1) FROM calls WHERE user_id = 'u1'",
    "SELECT * FROM calls c WHERE to_json(c)->>'rating' = 'true' ORDER BY call_id",
    "SELECT call_id, rating FROM calls WHERE struct_extract(calls, 'rating') ORDER BY call_id",
    "SELECT call_id, rating FROM calls c ORDER BY struct_extract(c, 'rating'), call_id LIMIT 3",
    "SELECT call_id, rating FROM calls ORDER BY call_id LIMIT (SELECT count(*) FROM calls WHERE rating)",
    "SELECT call_id, rating FROM calls ORDER BY call_id LIMIT (SELECT count(*) // 2 FROM calls)",
    "SELECT * FROM main.calls WHERE user_id = 'u1' ORDER BY call_id",
    "SELECT * FROM calls",
    "SELECT call_id FROM calls WHERE user_id = 'u1' ORDER BY 1",
    "SELECT count(*), avg(rating::INT) FROM calls WHERE user_id = 'u1'",
    "SELECT * FROM calls WHERE rating ORDER BY call_id",
    "SELECT call_id, rating AS status FROM calls WHERE status ORDER BY call_id",
    "SELECT * FROM calls WHERE user_id = 'u1' ORDER BY rating, call_id LIMIT 3",
    "SELECT * FROM calls ORDER BY ALL LIMIT 3",
    "SELECT call_id, rating FROM calls WHERE user_id = 'u1' ORDER BY 2, 1 LIMIT 3",
    "SELECT DISTINCT rating FROM calls WHERE user_id = 'u1' ORDER BY 1",
    "SELECT call_id, rating, row_number() OVER (ORDER BY call_id) FROM calls WHERE user_id = 'u1' ORDER BY call_id",
    "SELECT * FROM calls WHERE call_id IN (SELECT call_id FROM calls WHERE rating) ORDER BY call_id",
    "SELECT a.*, b.rating FROM calls a JOIN calls b USING (call_id) WHERE a.user_id = 'u1' ORDER BY call_id",
    "WITH calls AS (SELECT 1 AS rating) SELECT * FROM calls WHERE rating = 1",
    "SELECT rating, count(*) FROM calls WHERE user_id = 'u1' GROUP BY ALL ORDER BY ALL",
    "SELECT call_id, max(rating::INT) OVER () FROM calls WHERE user_id = 'u1' ORDER BY call_id",
    "SELECT unnest(map_keys(scores)) FROM calls WHERE user_id = 'u1' ORDER BY 1",
    "SELECT * FROM calls WHERE random() < 2 ORDER BY call_id LIMIT 3",
    "SELECT * FROM calls WHERE COLUMNS(['call_id']) > 'c' ORDER BY call_id LIMIT 3",
]


def tree_of(sql: str) -> dict[str, Any]:
    [[text]] = duckdb.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    node: dict[str, Any] = json.loads(text)["statements"][0]["node"]
    return node


@pytest.mark.parametrize("sql", TWICE)
def test_questions_that_are_asked_in_two_steps(sql: str) -> None:
    assert needed(tree_of(sql)) & RATED
    assert finding(tree_of(sql), RATED, plain_functions()) is not None


@pytest.mark.parametrize("sql", ONCE)
def test_questions_that_are_asked_once(sql: str) -> None:
    tree = tree_of(sql)
    assert not needed(tree) & RATED or finding(tree, RATED, plain_functions()) is None


def test_where_properties_are_given_they_decide_nothing_beforehand() -> None:
    sql = "SELECT * FROM calls WHERE properties['feature'] = 'f1'"
    assert finding(tree_of(sql), JUDGED, plain_functions()) is None


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Questions]]:
    """The same lake: asked as it is, and without ever looking for few."""
    lake = SmallLake(tmp_path_factory.mktemp("few") / "lake")
    fill(lake)
    plain, single = Questions(lake.lake), Questions(lake.lake)
    single.ask = asked_once(single)  # type: ignore[method-assign]
    yield [plain, single]
    plain.close()
    single.close()


def asked_once(questions: Questions) -> Any:
    """As it would be without looking at its shape: over the whole view, with all that is gathered from feedback."""
    real = questions.ask

    def ask(*given: Any, **named: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("storage.query.needed", lambda _: JUDGED)
            patch.setattr("storage.query.finding", lambda *_: None)
            return real(*given, **named)

    return ask


def fill(lake: SmallLake) -> None:
    for day in (1, 2, 3):
        at = f"2026-03-0{day}"
        calls = [
            {
                "call_id": f"c-{number:02}",
                "request_id": f"r-{number % 9}",  # some are of two calls
                "created_at": f"{at}T{number:02}:00:00",
                "day": at,
                "user_id": f"u{number % 4}",
                "session_id": f"s{number % 5}",
                "cost_usd": f"0.00{number % 10}",
                "properties": {"feature": f"f{number % 3}"},
                "organization": "other" if number % 7 == 0 else "acme",
            }
            for number in range(day * 6, day * 6 + 6)
        ]
        lake.add("calls", *calls)
    lake.add(
        "amendments", {"call_id": "c-07", "request_id": "r-7", "revision": 1, "created_at": "2026-03-01T07:00:00", "organization": "other"}
    )
    given = [("r-1", True, {"quality": 0.5}), ("r-1", None, {"quality": 0.9}), ("r-3", False, {}), ("r-7", True, {"tone": 1.0})]
    for number, (request, rating, scores) in enumerate(given):
        at = f"2026-03-04T0{number}:00:00"
        for organization in ("acme", "other"):
            lake.add(
                "feedback",
                {
                    "feedback_id": f"f{number}",
                    "request_id": request,
                    "organization": organization,
                    "given_at": at,
                    "rating": rating if organization == "acme" else None,
                    "scores": scores,
                    "property_count": 0,
                },
            )


@pytest.mark.parametrize(
    ("sql", "organization"), [*((sql, whose) for sql in TWICE for whose in ("acme", "other", None)), *((sql, "acme") for sql in ONCE)]
)
def test_the_answer_is_the_same(lakes: list[Questions], sql: str, organization: str | None) -> None:
    whose = None if organization is None else Organization(organization)
    answers = []
    for questions in lakes:
        try:
            answers.append(sorted(map(str, questions.ask(sql, organization=whose).table.to_pylist())))
        except Refused as refused:
            answers.append([refused.refusal.code])
    assert answers[0] == answers[1]


@pytest.mark.parametrize(("sql", "parameters"), [
    ("SELECT * FROM calls WHERE user_id = ? AND status = ? ORDER BY call_id", ["u1", 200]),
    ("SELECT call_id, rating, ? AS said FROM calls WHERE user_id = ? ORDER BY call_id", ["x", "u1"]),
    ("SELECT call_id, rating FROM calls WHERE user_id = $user ORDER BY call_id LIMIT $n", {"user": "u1", "n": 2}),
    ("SELECT call_id, rating FROM calls WHERE user_id = $user", {}),
])  # fmt: skip
def test_parameters_reach_both(lakes: list[Questions], sql: str, parameters: Any) -> None:
    answers = []
    for questions in lakes:
        try:
            answers.append(str(questions.ask(sql, parameters=parameters).table.to_pylist()))
        except Refused as refused:
            answers.append(refused.refusal.code)
    assert answers[0] == answers[1]


def test_more_than_a_few_are_asked_once(lakes: list[Questions], monkeypatch: pytest.MonkeyPatch) -> None:
    sql = "SELECT * FROM calls WHERE status = 200 ORDER BY call_id"
    before = lakes[0].ask(sql).table
    monkeypatch.setattr("storage.found.MOST", 3)
    assert lakes[0].ask(sql).table == before


def test_feedback_is_gathered_for_the_few_alone(lakes: list[Questions], monkeypatch: pytest.MonkeyPatch) -> None:
    views = []
    real = storage.query.few_calls_sql
    monkeypatch.setattr("storage.query.few_calls_sql", lambda *given: views.append(real(*given)) or views[-1])
    lakes[0].ask("SELECT * FROM calls WHERE call_id = 'c-10'", organization=Organization("acme"))
    [view] = views
    assert "request_id IN ('r-1')" in view


NEEDED = {
    "SELECT count(*) FROM calls": set(),
    "SELECT model, sum(cost_usd) AS usd FROM calls c WHERE c.user_id = 'u' GROUP BY 1 ORDER BY usd": set(),
    "SELECT avg(rating::INT) FROM calls": {"rating"},
    "SELECT properties['x'] FROM calls": {"properties"},
    "SELECT * FROM calls": set(JUDGED),
    "SELECT calls FROM calls": set(JUDGED),
    "SELECT c FROM calls AS c": set(JUDGED),
    "SELECT COLUMNS('rat.*') FROM calls": set(JUDGED),
    "SELECT #3 FROM calls": set(JUDGED),
    "SELECT a FROM calls AS c(a, b)": set(JUDGED),
    "SELECT call_id FROM calls NATURAL JOIN (SELECT true AS rating)": set(JUDGED),
    "SELECT call_id FROM calls JOIN (SELECT true AS rating) USING (rating)": {"rating"},
    "WITH x AS (FROM calls) SELECT count(*) FROM x": set(JUDGED),
    "SUMMARIZE calls": set(JUDGED),
    "SELECT count(*) FROM calls WHERE EXISTS (SELECT * FROM bodies)": set(),
    "SELECT * FROM (SELECT model FROM calls)": set(),
    "WITH x AS (SELECT model FROM calls) SELECT *, #1 FROM x ORDER BY ALL": set(),
    "SELECT * FROM (SELECT model FROM calls) UNION ALL SELECT model FROM calls": set(),
    "SELECT calls FROM (SELECT calls FROM calls_by_day) UNION ALL SELECT count(*) FROM calls": set(),
    "SELECT * FROM calls_by_day, calls": set(JUDGED),
    "SELECT c.* FROM (SELECT 1) JOIN calls c ON true": set(JUDGED),
    "SELECT (SELECT c) FROM calls AS c": set(JUDGED),
    "SELECT x.* FROM calls AS c, LATERAL (SELECT c.rating) x": set(JUDGED),
    "SELECT x.* FROM calls AS c, LATERAL (SELECT c AS whole) x": set(JUDGED),
    "SELECT count(*) FROM calls WHERE call_id IN (SELECT unnest(struct_extract(c, 'call_id')) FROM main.Calls AS c)": set(JUDGED),
    "SELECT Calls.Rating FROM calls": {"rating"},
}


@pytest.mark.parametrize(("sql", "columns"), NEEDED.items())
def test_what_is_needed_of_feedback(sql: str, columns: set[str]) -> None:
    assert needed(tree_of(sql)) == columns


NEWEST = {
    "SELECT * FROM calls ORDER BY created_at DESC LIMIT 3": (None, 1),
    "SELECT * FROM calls c WHERE user_id = 'u1' ORDER BY c.created_at DESC, call_id LIMIT ?": ([1], 1),
    "SELECT * FROM calls WHERE user_id = $who ORDER BY created_at DESC LIMIT $n": ({"who": "u1", "n": 1}, 1),
    "SELECT * FROM calls WHERE user_id = 'u1' ORDER BY created_at DESC LIMIT 9": (None, 2),
    "SELECT * FROM calls WHERE call_id = 'c-08' ORDER BY created_at DESC LIMIT 1": (None, 2),
    "SELECT * FROM calls ORDER BY created_at LIMIT 3": (None, 1),
    "SELECT * FROM calls ORDER BY created_at DESC LIMIT 3 OFFSET 1": (None, 1),
    "SELECT * FROM calls ORDER BY call_id, created_at DESC LIMIT 3": (None, 1),
    "SELECT *, call_id AS created_at FROM calls ORDER BY created_at DESC LIMIT 3": (None, 0),
    "SELECT * FROM calls ORDER BY created_at DESC LIMIT 10 PERCENT": (None, 0),
}
"""With how many times the ids are asked for."""


@pytest.mark.parametrize("sql", NEWEST)
def test_the_newest_are_sought_in_the_newest_days_first(lakes: list[Questions], sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters, times = NEWEST[sql]
    asked: list[int] = []
    real = storage.found.found
    monkeypatch.setattr("storage.found.found", lambda *given: asked.append(1) or real(*given))
    monkeypatch.setattr("storage.found.NEWEST_DAYS", 1)
    answers = [questions.ask(sql, parameters=parameters or ()).table.to_pylist() for questions in lakes]
    assert answers[0] == answers[1]
    assert len(asked) == times


@pytest.mark.parametrize("sql", NEWEST)
def test_and_in_the_newest_files_before_that(lakes: list[Questions], sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters, _ = NEWEST[sql]
    monkeypatch.setattr("storage.found.NEWEST_ROWS", 1)
    answers = [questions.ask(sql, parameters=parameters or ()).table.to_pylist() for questions in lakes]
    assert answers[0] == answers[1]


def test_a_file_that_may_hold_one_as_new_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock the two are alike, so what is sorted by next decides."""
    lake, sought = SmallLake(tmp_path), []
    questions = Questions(lake.lake)
    for name in ("c", "a", "d"):
        lake.add("calls", {"call_id": name, "created_at": "2026-03-01T07:00:00"})
    lake.add("calls", {"call_id": "b", "created_at": "2026-03-01T08:00:00"})
    lake.add("feedback", {"feedback_id": "f", "request_id": "r", "given_at": "2026-03-01T08:00:00", "rating": True})
    monkeypatch.setattr("storage.found.NEWEST_ROWS", 1)
    real = storage.found.found
    monkeypatch.setattr("storage.found.found", lambda *given: sought.append(1) or real(*given))
    newest = "SELECT call_id, rating FROM calls ORDER BY created_at DESC, call_id LIMIT ?"
    assert [row["call_id"] for row in questions.ask(newest, parameters=[1]).table.to_pylist()] == ["b"]
    assert len(sought) == 1
    monkeypatch.setattr("storage.found.NEWEST_ROWS", 2)
    assert [row["call_id"] for row in questions.ask(newest, parameters=[2]).table.to_pylist()] == ["b", "a"]
    questions.close()


def test_feedback_is_read_of_the_files_that_say_something(lakes: list[Questions]) -> None:
    feedback = lakes[0].snapshots.sources(["feedback"])["feedback"]
    with lakes[0]._engine.connection() as connection:
        for requests, files in ((["r-1"], 4), (["r-3", "r-7"], 4), (["nobody's"], 0), ([], 0)):
            assert len(Judgements().about(connection, feedback, requests).files) == files
