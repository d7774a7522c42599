"""Sessions, users, properties and metrics over six calls, each figure reckoned by hand."""

from typing import Any

import httpx
import pytest

from tests.storage.rest.conftest import Post

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARCH_1 = {"timeFilter": {"start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z"}}
NEVER = {"timeFilter": {"start": "2020-01-01", "end": "2020-01-02"}}
BY_DAY = {"dbIncrement": "day"}
DAY_1, DAY_2 = "2026-03-01T00:00:00.000000Z", "2026-03-02T00:00:00.000000Z"
ANN = {"filter": {"request_response_rmt": {"user_id": {"equals": "ann"}}}}


def bar(low: float, high: float, value: int) -> dict[str, float]:
    return {"range_start": pytest.approx(low), "range_end": pytest.approx(high), "value": value}


def session_of(**asked: Any) -> Any:
    return {"filter": {"sessions_request_response_rmt": asked}}


S1 = {
    "created_at": "2026-03-01T10:00:00.000000Z",
    "latest_request_created_at": "2026-03-01T10:30:00.000000Z",
    "session_id": "s1",
    "session_name": "trip",
    "total_cost": 0.3,
    "total_requests": 2,
    "prompt_tokens": 30,
    "completion_tokens": 3,
    "total_tokens": 33,
    "avg_latency": 150.0,
    "user_ids": ["ann"],
    "session_tag": "good",
}

FIGURES: dict[str, tuple[str, Any, Any]] = {
    "calls": ("metrics/totalRequests", {}, 6),
    "calls of a day": ("metrics/totalRequests", MARCH_1, 3),
    "calls of a user": ("metrics/totalRequests", ANN, 2),
    "cost": ("metrics/totalCost", {}, 1.7),
    "cost of nothing": ("metrics/totalCost", NEVER, 0),
    "latency": ("metrics/averageLatency", {}, 350.0),
    "latency of nothing": ("metrics/averageLatency", NEVER, None),
    "first token": ("metrics/averageTimeToFirstToken", MARCH_1, 20.0),
    "threats": ("metrics/totalThreats", {}, 0),
    "users": ("metrics/activeUsers", {}, 2),
    "tokens": (
        "metrics/averageTokensPerRequest",
        MARCH_1,
        {
            "average_prompt_tokens_per_response": 20.0,
            "average_completion_tokens_per_response": 2.0,
            "average_total_tokens_per_response": 22.0,
        },
    ),
    "count": ("metrics/requestCount", {"filter": "all"}, 6),
    "count of cached": ("metrics/requestCount", {"isCached": True}, 1),
    "count of others": ("metrics/requestCount", {"isCached": False}, 5),
    "calls by day": ("metrics/requestOverTime", BY_DAY, [{"time": DAY_1, "count": 3}, {"time": DAY_2, "count": 3}]),
    "by day an hour east": (  # 23:30 is the next day there
        "metrics/requestOverTime",
        BY_DAY | {"timeZoneDifference": -60},
        [{"time": "2026-02-28T23:00:00.000000Z", "count": 2}, {"time": "2026-03-01T23:00:00.000000Z", "count": 4}],
    ),
    "calls by minute": ("metrics/requestOverTime", {"dbIncrement": "min"} | ANN, [
        {"time": "2026-03-01T10:00:00.000000Z", "count": 1}, {"time": "2026-03-01T10:30:00.000000Z", "count": 1},
    ]),
    "calls by week, from Monday": ("metrics/requestOverTime", {"dbIncrement": "week"}, [
        {"time": "2026-02-23T00:00:00.000000Z", "count": 3}, {"time": DAY_2, "count": 3},
    ]),
    "calls by month": ("metrics/requestOverTime", {"dbIncrement": "month"}, [{"time": DAY_1, "count": 6}]),
    "calls by year": ("metrics/requestOverTime", {"dbIncrement": "year"}, [{"time": "2026-01-01T00:00:00.000000Z", "count": 6}]),
    "calls by hour": ("metrics/requestOverTime", ANN, [{"time": "2026-03-01T10:00:00.000000Z", "count": 2}]),
    "cost by day": ("metrics/costOverTime", BY_DAY, [{"time": DAY_1, "cost": 1.3}, {"time": DAY_2, "cost": 0.4}]),
    "tokens by day": ("metrics/tokensOverTime", BY_DAY, [
        {"time": DAY_1, "prompt_tokens": 60, "completion_tokens": 6}, {"time": DAY_2, "prompt_tokens": 150, "completion_tokens": 15},
    ]),
    "latency by day": ("metrics/latencyOverTime", BY_DAY, [{"time": DAY_1, "duration": 200.0}, {"time": DAY_2, "duration": 500.0}]),
    "first token by day": ("metrics/timeToFirstToken", BY_DAY, [{"time": DAY_1, "ttft": 20.0}, {"time": DAY_2, "ttft": 50.0}]),
    "users by day": ("metrics/usersOverTime", BY_DAY, [{"time": DAY_1, "count": 2}, {"time": DAY_2, "count": 1}]),
    "threats by day": ("metrics/threatsOverTime", BY_DAY, [{"time": DAY_1, "count": 0}, {"time": DAY_2, "count": 0}]),
    "errors by day": ("metrics/errorOverTime", BY_DAY, [{"time": DAY_1, "count": 0}, {"time": DAY_2, "count": 2}]),
    "statuses by day": ("metrics/requestStatusOverTime", BY_DAY, [
        {"time": DAY_1, "status": 200, "count": 3},
        *({"time": DAY_2, "status": status, "count": 1} for status in (-3, 200, 500)),
    ]),
    "quantiles": ("metrics/quantiles", {"dbIncrement": "month"}, [{"time": DAY_1, "p75": 475.0, "p90": 550.0, "p95": 575.0, "p99": 595.0}]),
    "quantiles of tokens": ("metrics/quantiles", {"dbIncrement": "month", "metric": "prompt_tokens"}, [
        {"time": DAY_1, "p75": 47.5, "p90": 55.0, "p95": 57.5, "p99": pytest.approx(59.5)},
    ]),
    "models": ("metrics/models", {}, [
        {"model": "gpt-4o-mini", "total_requests": 5, "total_completion_tokens": 16, "total_prompt_token": 160, "total_tokens": 176,
         "cost": 1.7},
        {"model": "claude", "total_requests": 1, "total_completion_tokens": 5, "total_prompt_token": 50, "total_tokens": 55, "cost": 0},
    ]),
    "the second model": ("metrics/models", {"offset": 1, "limit": 1} | MARCH_1, []),
    "providers": ("providers", {}, [{"provider": "OPENAI", "total_requests": 5}, {"provider": "ANTHROPIC", "total_requests": 1}]),
    "countries": ("metrics/country", {}, []),
    "scores by month": ("dashboard/scores/query", {"dbIncrement": "month", "userFilter": "all"}, [
        {"created_at_trunc": DAY_1, "score_key": name, "score_sum": total} for name, total in (("helpful", 0.5), ("short", 1.0))
    ]),
    "evals": ("evals/query", BY_DAY, [
        {"name": name, "averageScore": mean, "minScore": mean, "maxScore": mean, "count": 1,
         "overTime": [{"date": DAY_1, "value": mean, "count": 1}]} for name, mean in (("helpful", 0.5), ("short", 1.0))
    ]),
    "sessions that cost little": ("session/query", session_of(session_total_cost={"lt": 0.5}) | {"search": "S1"}, [S1]),
    "sessions by tag": ("session/query", session_of(session_tag={"equals": "good"}), [S1]),
    "sessions by user": ("session/query", ANN, [S1]),
    "sessions of a span": (
        "session/query", {"timeFilter": {"startTimeUnixMs": 1772359200000, "endTimeUnixMs": 1772365000000}}, [S1],  # 10:00 to 11:36
    ),
    "sessions of no name": ("session/query", {"nameEquals": "walk"}, []),
    "the second session": ("session/query", {"offset": 2, "limit": 1}, [S1]),
    "a session of a user, or a large one": (
        "session/query",
        {"filter": {"left": ANN["filter"], "operator": "or", "right": session_of(session_total_requests={"gt": 5})["filter"]}},
        [S1],
    ),
    "count of sessions": ("session/count", {"nameEquals": "trip"}, {
        "count": 2, "total_cost": 1.3, "avg_cost": pytest.approx(0.65), "avg_latency": pytest.approx(225.0), "avg_requests": 1.5,
    }),
    "names of sessions": ("session/name/query", {"nameContains": "TRI"}, [{
        "name": "trip", "created_at": S1["created_at"], "last_used": "2026-03-01T23:30:00.000000Z", "first_used": S1["created_at"],
        "session_count": 2, "avg_latency": pytest.approx(225.0),
    }]),
    "how sessions are spread": ("session/metrics/query", {"nameContains": "trip", "pSize": "p99.9"}, {
        "session_count": [bar(1, 1, 1)],
        "session_duration": [bar(0, 0, 1)],
        "session_cost": [bar(0.3, 0.3, 1)],
        "average": {
            "session_count": [{"average": 1.5}],
            "session_duration": [{"average": 900.0}],
            "session_cost": [{"average": pytest.approx(0.65)}],
        },
    }),
    "users' use": ("user/query", {}, [
        {"user_id": "bob", "count": 2, "prompt_tokens": 70, "completion_tokens": 7, "cost": 1.0},
        {"user_id": "ann", "count": 2, "prompt_tokens": 30, "completion_tokens": 3, "cost": 0.3},
    ]),
    "a user's use": ("user/query", {"userIds": ["ann", "eve"]}, [
        {"user_id": "ann", "count": 2, "prompt_tokens": 30, "completion_tokens": 3, "cost": 0.3},
    ]),
    "use since, in seconds": ("user/query", {"timeFilter": {"startTimeUnixSeconds": 1772409000}}, [
        {"user_id": "bob", "count": 1, "prompt_tokens": 40, "completion_tokens": 4, "cost": 0},
    ]),
    "use since, in milliseconds": ("user/query", {"timeFilter": {"startTimeUnixSeconds": 1772409000000}}, [
        {"user_id": "bob", "count": 1, "prompt_tokens": 40, "completion_tokens": 4, "cost": 0},
    ]),
    "how users are spread": ("user/metrics-overview/query", {"pSize": "p50"}, {
        "request_count": [bar(2, 2, 2)], "user_cost": [bar(0.3, 0.3, 1)],
    }),
    "keys": ("property/query", {}, [{"property": "plan"}]),
    "values": ("property/Plan/search", {"searchTerm": "R"}, ["free", "pro"]),
    "values with a term": ("property/plan/search", {"searchTerm": "ro"}, ["pro"]),
    "dearest values": ("property/plan/top-costs/query", {}, [{"value": "pro", "cost": 1.1}, {"value": "free", "cost": 0.6}]),
    "frequent values": ("property/plan/top-requests/query", MARCH_1, [{"value": "pro", "count": 2}, {"value": "free", "count": 1}]),
    "values over time": ("property/properties/over-time", {"propertyKey": "plan", "dbIncrement": "month"}, [
        {"property": "free", "total_cost": 0.6, "request_count": 3, "created_at_trunc": DAY_1},
        {"property": "pro", "total_cost": 1.1, "request_count": 3, "created_at_trunc": DAY_1},
    ]),
}  # fmt: skip


@pytest.mark.parametrize(("path", "body", "expected"), FIGURES.values(), ids=FIGURES)
async def test_figures(post: Post, path: str, body: Any, expected: Any) -> None:
    assert await post(f"/v1/{path}", body) == expected


async def test_users_page_by_page(post: Post) -> None:
    asked = {"filter": {"users_view": {"user_total_requests": {"gte": 2}}}, "limit": 1, "sort": {"cost": "desc"}}
    found = await post("/v1/user/metrics/query", asked)
    assert found == {
        "users": [
            {
                "id": "bob",
                "user_id": "bob",
                "total_requests": 2,
                "first_active": "2026-03-01T23:30:00.000000Z",
                "last_active": "2026-03-02T00:10:00.000000Z",
                "active_for": 2,
                "average_requests_per_day_active": 1.0,
                "average_tokens_per_request": 38.5,
                "total_completion_tokens": 7,
                "total_prompt_tokens": 70,
                "cost": 1.0,
            }
        ],
        "count": 2,
        "hasUsers": True,
    }
    assert await post("/v1/user/metrics/query", {"filter": {"users_view": {"user_cost": {"gt": 9}}}}) == {
        "users": [],
        "count": 0,
        "hasUsers": True,
    }


async def test_names_of_scores(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/evals/scores")).json()["data"] == ["helpful", "short"]


async def test_bars_are_as_many_as_there_are_calls(post: Post) -> None:
    """Of three sessions with 2, 1 and 1 calls."""
    bars = (await post("/v1/session/metrics/query", {"pSize": "p50"}))["session_count"]
    assert bars == [bar(1, 1, 2)]


TOO_MUCH = {"left": {"users_view": {"user_cost": {"gt": 1}}}, "operator": "or", "right": ANN["filter"]}
WRONG: dict[str, tuple[str, Any, int, str]] = {
    "a time": ("metrics/totalCost", {"timeFilter": {"start": "yesterday"}}, 400, "timeFilter.start must be a time"),
    "a time in a number": ("metrics/totalCost", {"timeFilter": {"start": 1}}, 422, "timeFilter.start"),
    "a session's time": ("session/query", {"timeFilter": {"startTimeUnixMs": 1e300}}, 400, "timeFilter.startTimeUnixMs is no time"),
    "a step": ("metrics/costOverTime", {"dbIncrement": "decade"}, 422, "dbIncrement"),
    "a zone": ("metrics/costOverTime", {"timeZoneDifference": 10_000}, 422, "timeZoneDifference"),
    "a metric": ("metrics/quantiles", {"metric": "colour"}, 422, "metric"),
    "no key": ("property/properties/over-time", {}, 422, "propertyKey"),
    "a limit": ("user/metrics/query", {"limit": 1001}, 400, "limit must be 0 to 1000"),
    "a sort": ("user/metrics/query", {"sort": {"colour": "asc"}}, 400, "sort.colour cannot be sorted by"),
    "a table of others": (
        "metrics/totalCost",
        session_of(session_tag={"equals": "x"}),
        400,
        "filter.sessions_request_response_rmt is no table",
    ),
    "users or calls": ("user/metrics/query", {"filter": TOO_MUCH}, 400, "filter asks about users and about their calls"),
    "a quantile": ("session/metrics/query", {"pSize": "p12"}, 422, "pSize"),
    "a field nobody reads": ("property/query", {"key": "x"}, 422, "key"),
}


@pytest.mark.parametrize(("path", "body", "status", "told"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong(client: httpx.AsyncClient, path: str, body: Any, status: int, told: str) -> None:
    answer = await client.post(f"/v1/{path}", json=body)
    assert (answer.status_code, answer.json()["data"]) == (status, None), answer.text
    assert told in answer.json()["error"]
