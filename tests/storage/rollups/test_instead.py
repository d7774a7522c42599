"""Questions that rollups answer in the place of calls: which, and that the answer is the same to the last digit."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

import storage.query
from storage.query import Questions
from storage.refusal import Refused
from storage.rollups.instead import between
from storage.rollups.making import roll_up
from storage.rollups.spans import Sources, Span, divided
from tests.fakes.random_lake import TODAY, RandomLake

SUMS = "count(*) AS n, sum(cost_usd) AS usd, sum(total_tokens) AS tokens, count(cost_usd) AS priced, max(latency_ms) AS longest"

ANSWERED = [
    f"SELECT {SUMS} FROM calls",
    f"SELECT date_trunc('day', created_at) AS day, model, {SUMS} FROM calls GROUP BY 1, 2",
    f"SELECT date_trunc('hour', created_at) AS hour, {SUMS} FROM calls WHERE created_at >= TIMESTAMP '2026-03-08 10:17:00' GROUP BY 1",
    f"SELECT provider, {SUMS} FROM calls c WHERE c.created_at >= '2026-03-08' AND created_at < DATE '2026-03-10' GROUP BY c.provider",
    f"SELECT {SUMS} FROM calls WHERE created_at BETWEEN '2026-03-08 00:00:00' AND '2026-03-09 01:00:00' AND model = 'small'",
    f"SELECT {SUMS} FROM calls WHERE TIMESTAMP '2026-03-08 03:00:00' < created_at AND created_at <= TIMESTAMP '2026-03-10 00:00:00'",
    "SELECT provider, count(*) AS n, avg((outcome <> 'completed')::INT) AS failed FROM calls GROUP BY 1",
    "SELECT model, sum((status >= 500)::INTEGER), count(status), min(status), count(DISTINCT outcome) FROM main.calls GROUP BY model",
    "SELECT upper(provider) AS who, count(*) FILTER (outcome = 'completed' AND cache_hit) FROM calls GROUP BY ALL HAVING count(*) > 2",
    "SELECT model, sum(cost_usd) FILTER (WHERE status = 200) / count(*) AS mean FROM calls GROUP BY model ORDER BY mean DESC NULLS LAST",
    "SELECT created_at::DATE AS day, count(*) AS n FROM calls GROUP BY day ORDER BY n DESC, day LIMIT 2 OFFSET 1",
    "SELECT CASE WHEN model IS NULL THEN 'none' ELSE model END AS m, max(created_at), min(latency_ms), count(1) FROM calls GROUP BY 1",
    "SELECT date_trunc('month', created_at), provider, count(latency_ms) FROM calls GROUP BY GROUPING SETS ((1, 2), ())",
    "SELECT model FROM calls GROUP BY model",
    "SELECT count(*) + 1, sum(prompt_tokens) FROM calls WHERE model IN ('small', 'large') AND status IS NOT NULL",
    "SELECT sum(cost_saved_usd), sum(cache_read_tokens) FROM calls WHERE provider = 'nobody'",
    "SELECT count(*) FROM calls WHERE created_at >= now() - INTERVAL '100 years'",
    "SELECT sum((9000000000000000000 + coalesce(status, 0))::BIGINT), avg((9000000000000000000 + coalesce(status, 0))::BIGINT) FROM calls",
]
"""By the rollups."""

LEFT = [
    "SELECT model FROM calls",
    "SELECT user_id, count(*) FROM calls GROUP BY 1",
    "SELECT count(*) FROM calls WHERE user_id = 'user-1'",
    "SELECT model, avg(latency_ms), sum(latency_ms) FROM calls GROUP BY 1",
    "SELECT avg(cost_usd) FROM calls",
    "SELECT sum(cache_hit::INT) FROM calls",
    "SELECT date_trunc('minute', created_at), count(*) FROM calls GROUP BY 1",
    "SELECT count(*) FROM calls WHERE created_at <> TIMESTAMP '2026-03-08'",
    "SELECT count(*) FROM calls WHERE created_at >= TIMESTAMP '2026-03-08' OR model = 'small'",
    "SELECT count(*) FROM calls WHERE created_at >= '2026-03-08 10:10:00' AND created_at < '2026-03-08 10:50:00'",
    "SELECT count(*) FROM calls WHERE created_at >= completed_at",
    "SELECT count(*) FROM (SELECT * FROM calls)",
    "SELECT count(*) FROM calls a JOIN calls b USING (call_id)",
    "SELECT count(DISTINCT user_id) FROM calls",
    "SELECT count(*) OVER () FROM calls GROUP BY model",
    "SELECT count(*) AS user_id, model FROM calls GROUP BY model ORDER BY user_id, model",
    "SELECT count(*) FROM calls USING SAMPLE 100%",
    "SELECT string_agg(model, ',' ORDER BY model) FROM calls",
    "SELECT count(*) FROM calls WHERE model = (SELECT max(model) FROM calls)",
    "WITH c AS (SELECT 1) SELECT count(*) FROM calls",
    "SELECT count(*) AS __n FROM calls",
    "SELECT count(*) FROM calls WHERE created_at >= NULL",
    "SELECT any_value(model) IS NULL FROM calls WHERE model IS NULL",
    "SELECT sum(length(model)) FROM calls",
    "SELECT sum(DISTINCT cost_usd) FROM calls",
    "SELECT count(*) FROM calls WHERE created_at > TIMESTAMP_NS '2026-03-07 23:59:59.999999500'",
    "SELECT alias(model), count(*) FROM calls GROUP BY 1",
]
"""By calls."""


@pytest.fixture(scope="module", params=range(3))
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Questions]:
    """A lake of which some is in rollups, and some came to it afterwards."""
    lake = RandomLake(tmp_path_factory.mktemp("instead"), request.param)
    for _ in range(8):
        lake.step()
    lake.calls()
    roll_up(lake.lake, TODAY)
    for _ in range(3):
        lake.step()
    questions = Questions(lake.lake)
    yield questions
    questions.close()


@pytest.fixture(autouse=True)
def worth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few calls are enough here."""
    monkeypatch.setattr("storage.rollups.instead.WORTH", 0)


def compared(asked: Questions, sql: str, monkeypatch: pytest.MonkeyPatch, parameters: Any = ()) -> bool:
    """Whether rollups were asked; the answer is that of calls in either case."""
    found: list[object] = []
    real = storage.query._alike
    monkeypatch.setattr(storage.query, "_alike", lambda *given: found.append(real(*given)) or found[-1])
    for organization in (None, "acme"):
        answer = asked.ask(sql, organization=organization, parameters=parameters)
        with monkeypatch.context() as patch:
            patch.setattr(storage.query, "aggregated", lambda *_: None)
            plain = asked.ask(sql, organization=organization, parameters=parameters)
        assert (answer.types, answer.table.schema) == (plain.types, plain.table.schema)
        rows, expected = answer.table.to_pylist(), plain.table.to_pylist()
        assert rows == expected if "ORDER BY" in sql else sorted(map(repr, rows)) == sorted(map(repr, expected))
    return any(each is not None for each in found)


@pytest.mark.parametrize("sql", ANSWERED)
def test_what_rollups_answer(asked: Questions, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compared(asked, sql, monkeypatch)


Q = "approx_quantile(latency_ms, 0.95)"
QUANTILES = [
    f"SELECT {Q} FROM calls",
    f"SELECT date_trunc('hour', created_at) AS hour, {Q}, count(*) FROM calls GROUP BY hour ORDER BY hour",
    f"SELECT model, {SUMS}, {Q}, approx_quantile(ttft_ms, 0.5), approx_quantile(latency_ms, 0) FROM calls GROUP BY ALL ORDER BY 1, 2",
    f"SELECT provider, created_at::DATE, {Q} FROM calls c WHERE c.created_at >= '2026-03-08 10:17' GROUP BY ALL ORDER BY 1, 2",
    f"SELECT upper(provider) AS who, round({Q}) / 1000 FROM calls WHERE model = 'small' GROUP BY 1 HAVING count(*) > 2 ORDER BY who",
    f"SELECT {Q}, approx_quantile(ttft_ms, 1.0) FROM calls WHERE provider = 'nobody'",
    f"SELECT coalesce(model, '?') AS m, count(DISTINCT provider), max(created_at), {Q} late FROM calls GROUP BY m, model ORDER BY m, 2, 3",
]


@pytest.mark.parametrize("sql", QUANTILES)
def test_quantiles_that_are_to_be_approximate_come_from_sketches(asked: Questions, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums beside them are exact, and each is within 2 % of the exact quantile, which is asked of calls."""
    exact = re.sub(r"approx_quantile\((\w+), ([\d.]+)\)", r"CAST(quantile_cont(\1, \2) AS DOUBLE)", sql)
    assert "approx" not in exact
    found: list[object] = []
    real = storage.query._alike
    monkeypatch.setattr(storage.query, "_alike", lambda *given: found.append(real(*given)) or found[-1])
    for organization in (None, "acme"):
        answer, expected = asked.ask(sql, organization=organization), asked.ask(exact, organization=organization)
        assert answer.types == expected.types
        assert len(answer.table) == len(expected.table)
        for row, other in zip(answer.table.to_pylist(), expected.table.to_pylist(), strict=True):
            for one, two in zip(row.values(), other.values(), strict=True):
                assert one == two or (isinstance(one, float) and one == pytest.approx(two, rel=0.02, abs=0.001))
    assert len(found) == 2
    assert all(each is not None for each in found)


NO_QUANTILES = [
    "SELECT approx_quantile(latency_ms, [0.5, 0.9]) FROM calls",
    "SELECT approx_quantile(latency_ms, 0.9) FILTER (cache_hit) FROM calls",
    "SELECT approx_quantile(cost_usd, 0.9) FROM calls",
    "SELECT model, provider, approx_quantile(latency_ms, 0.9) FROM calls GROUP BY ROLLUP (1, 2)",
    "SELECT approx_quantile(latency_ms, 0.5 + 0.4) FROM calls",
    "SELECT user_id, approx_quantile(latency_ms, 0.9) FROM calls GROUP BY 1",
]


@pytest.mark.parametrize("sql", NO_QUANTILES)
def test_quantiles_that_are_found_in_calls(asked: Questions, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage.query, "_alike", lambda *_: pytest.fail("asked of rollups"))
    asked.ask(sql)


@pytest.mark.parametrize("sql", LEFT)
def test_what_is_left_to_calls(asked: Questions, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not compared(asked, sql, monkeypatch)


def test_a_function_without_its_arguments_is_told_of(asked: Questions) -> None:
    with pytest.raises(Refused) as caught:
        asked.ask("SELECT date_trunc(), count(*) FROM calls")
    assert caught.value.refusal.code == "invalid_sql"


def test_few_calls_are_not_worth_it(asked: Questions, monkeypatch: pytest.MonkeyPatch) -> None:
    by_day = Counter[str]()
    for file in asked.snapshots.sources(["calls"])["calls"].files:
        by_day[str(file.day)] += file.rows
    [(day, rows)] = by_day.most_common(1)
    of_day = f"SELECT count(*) FROM calls WHERE created_at >= '{day}' AND created_at < '{day} 09:00:00'"
    with_an_end = of_day.replace("09:00:", "09:01:")
    monkeypatch.setattr("storage.rollups.instead.WORTH", rows)
    assert compared(asked, of_day, monkeypatch)
    assert not compared(asked, with_an_end, monkeypatch)  # for which all of the day's calls are read
    monkeypatch.setattr("storage.rollups.instead.WORTH", rows + 1)
    assert not compared(asked, of_day, monkeypatch)


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("SELECT model, count(*) FROM calls WHERE created_at >= ? AND provider = ? GROUP BY 1", ["2026-03-08", "openai"]),
        ("SELECT count(*) FROM calls WHERE created_at < $end AND model <> $model", {"end": "2026-03-10 05:30:00", "model": "large"}),
    ],
)
def test_parameters(asked: Questions, sql: str, parameters: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compared(asked, sql, monkeypatch, parameters)


@pytest.mark.parametrize("sql", [
    "SELECT count(*) FROM calls WHERE created_at >= 7",
    "SELECT count(*) FROM calls WHERE created_at >= 'no time' GROUP BY model",
    "SELECT count(*) FROM calls WHERE created_at >= ?",
    "SELECT nothing, count(*) FROM calls GROUP BY 1",
])  # fmt: skip
def test_a_question_that_is_wrong_is_refused_as_ever(asked: Questions, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused) as refused:
        asked.ask(sql)
    monkeypatch.setattr(storage.query, "aggregated", lambda *_: None)
    with pytest.raises(Refused) as plain:
        asked.ask(sql)
    assert refused.value.refusal == plain.value.refusal


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute)  # noqa: DTZ001 as naive as the lake's times


@pytest.mark.parametrize(
    ("span", "least_days", "found"),
    [
        (Span(None, None), 1, Sources(days=Span(None, None))),
        (Span(None, None), None, Sources(hours=Span(None, None))),
        (Span(at(1), at(3)), 1, Sources(days=Span(at(1), at(3)))),
        (
            Span(at(1, 5, 30), at(3, 7, 10)),
            1,
            Sources(
                days=Span(at(2), at(3)),
                hours=Span(at(1, 6), at(3, 7)),
                calls=(Span(at(1, 5, 30), at(1, 6)), Span(at(3, 7), at(3, 7, 10))),
            ),
        ),
        (Span(at(1, 5, 30), None), None, Sources(hours=Span(at(1, 6), None), calls=(Span(at(1, 5, 30), at(1, 6)),))),
        (Span(at(1, 5), at(1, 9)), 1, Sources(hours=Span(at(1, 5), at(1, 9)))),
        (Span(at(1, 5, 10), at(1, 5, 50)), 1, Sources(calls=(Span(at(1, 5, 10), at(1, 5, 50)),))),
        (Span(at(3), at(1)), 1, Sources(calls=(Span(at(3), at(1)),))),
    ],
)
def test_where_calls_are_taken_from(span: Span, least_days: int | None, found: Sources) -> None:
    assert divided(span, least_days=least_days) == found


def test_bounds_together() -> None:
    assert between([(">=", at(1)), (">", at(2)), ("<=", at(4)), ("<", at(5))]) == Span(
        at(2).replace(microsecond=1), at(4).replace(microsecond=1)
    )
