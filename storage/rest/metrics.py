"""Figures over calls: in total, over time, by model, provider and country. Each endpoint is one question.

Averages of nothing are null; sums and counts of nothing are 0.
"""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from storage.rest.asking import asker, rows
from storage.rest.bodies import Filter, Filtered, OverTime, nullable
from storage.rest.envelope import ANSWERS, Enveloped, data
from storage.rest.fields import CACHED, FAILED, STATUS, THREAT, TOTAL
from storage.rest.sql import Row, Sql, value

router = APIRouter(route_class=Enveloped, tags=["metrics"], responses=ANSWERS)

COST = "coalesce(sum(cost_usd), 0)"

TOTALS: Mapping[str, tuple[str, str]] = {
    "totalRequests": ("count(*)", "How many calls"),
    "totalCost": (COST, "What calls cost, USD"),
    "averageLatency": ("avg(latency_ms)", "Mean latency, ms"),
    "averageTimeToFirstToken": ("avg(ttft_ms)", "Mean time to the first token, ms"),
    "totalThreats": (f"count(*) FILTER ({THREAT})", "How many calls the provider's moderation stopped"),
    "activeUsers": ("count(DISTINCT user_id)", "How many users made calls"),
}
"""By the last part of the path: one number."""

SERIES: Mapping[str, tuple[str, bool, str]] = {
    "requestOverTime": ("count(*) AS count", False, "Calls over time"),
    "costOverTime": (f"{COST} AS cost", False, "Cost over time, USD"),
    "tokensOverTime": (
        "coalesce(sum(prompt_tokens), 0) AS prompt_tokens, coalesce(sum(completion_tokens), 0) AS completion_tokens",
        False,
        "Tokens over time",
    ),
    "latencyOverTime": ("avg(latency_ms) AS duration", False, "Mean latency over time, ms"),
    "timeToFirstToken": ("avg(ttft_ms) AS ttft", False, "Mean time to the first token over time, ms"),
    "usersOverTime": ("count(DISTINCT user_id) AS count", False, "Users over time"),
    "threatsOverTime": (f"count(*) FILTER ({THREAT}) AS count", False, "Calls that the provider's moderation stopped, over time"),
    "errorOverTime": (f"count(*) FILTER ({FAILED}) AS count", False, "Failed calls over time"),
    "requestStatusOverTime": (f"{STATUS} AS status, count(*) AS count", True, "Calls over time, by status"),
}
"""By the last part of the path: the figures of a step, and whether they are grouped by the first of them."""


class Metric(StrEnum):
    """What quantiles are of."""

    LATENCY = "latency"
    PROMPT = "prompt_tokens"
    COMPLETION = "completion_tokens"
    TOTAL = "total_tokens"
    TTFT = "time_to_first_token"
    COST = "cost"


MEASURED = {
    Metric.LATENCY: "latency_ms",
    Metric.PROMPT: "prompt_tokens",
    Metric.COMPLETION: "completion_tokens",
    Metric.TOTAL: TOTAL,
    Metric.TTFT: "ttft_ms",
    Metric.COST: "cost_usd::DOUBLE",
}
QUANTILES = (75, 90, 95, 99)


class Listed(Filtered):
    """A page of groups, the largest first."""

    offset: int = Field(default=0, ge=0, le=2**53)
    limit: int = Field(default=100, ge=0, le=1000)


class QuantilesOverTime(OverTime):
    metric: Metric = Metric.LATENCY


class Counted(Filtered):
    is_cached: Annotated[bool | None, nullable("boolean", description="Answered from the cache, or not.")] = Field(None, alias="isCached")


class ScoresOverTime(OverTime):
    filter: Filter = Field(default="all", alias="userFilter")


def _total(sql: str) -> Callable[[Filtered, Request], Awaitable[Response]]:
    async def total(body: Filtered, request: Request) -> Response:
        """One number."""
        [row] = await rows(request, f"SELECT {sql} AS total FROM calls WHERE " + body.where(), organization=asker(request))
        return data(row["total"])

    return total


def _series(sql: str, *, by_first: bool) -> Callable[[OverTime, Request], Awaitable[Response]]:
    async def series(body: OverTime, request: Request) -> Response:
        """One row for each step in which there were calls, oldest first; `time` is when it began."""
        return data(await _over_time(request, body, sql, by_first=by_first))

    return series


async def _over_time(request: Request, body: OverTime, sql: str, *, by_first: bool = False) -> list[Row]:
    places = "1, 2" if by_first else "1"
    grouped = f" GROUP BY {places} ORDER BY {places}"
    question = "SELECT " + body.step() + f" AS time, {sql} FROM calls WHERE " + body.where() + grouped
    return await rows(request, question, organization=asker(request))


for _name, (_sql, _summary) in TOTALS.items():
    router.add_api_route(f"/v1/metrics/{_name}", _total(_sql), methods=["POST"], summary=_summary)
for _name, (_sql, _by_first, _summary) in SERIES.items():
    router.add_api_route(f"/v1/metrics/{_name}", _series(_sql, by_first=_by_first), methods=["POST"], summary=_summary)


@router.post("/v1/metrics/averageTokensPerRequest", summary="Mean tokens of a call")
async def average_tokens(body: Filtered, request: Request) -> Response:
    """Of the prompt, of the answer, of both."""
    sql = f"""SELECT avg(prompt_tokens) AS average_prompt_tokens_per_response,
        avg(completion_tokens) AS average_completion_tokens_per_response,
        avg({TOTAL}) AS average_total_tokens_per_response FROM calls WHERE """
    [row] = await rows(request, sql + body.where(), organization=asker(request))
    return data(row)


@router.post("/v1/metrics/requestCount", summary="How many calls a filter is for")
async def request_count(body: Counted, request: Request) -> Response:
    """One number."""
    where = body.where() if body.is_cached is None else "(" + body.where() + f") AND {CACHED} = " + value(body.is_cached)
    [row] = await rows(request, "SELECT count(*) AS calls FROM calls WHERE " + where, organization=asker(request))
    return data(row["calls"])


@router.post("/v1/metrics/quantiles", summary="Quantiles over time")
async def quantiles(body: QuantilesOverTime, request: Request) -> Response:
    """The 75th, 90th, 95th and 99th percentile of each step."""
    measured = MEASURED[body.metric]
    sql = ", ".join(f"quantile_cont({measured}, {percent / 100}) AS p{percent}" for percent in QUANTILES)
    return data(await _over_time(request, body, sql))


@router.post("/v1/metrics/models", summary="Calls by model")
async def models(body: Listed, request: Request) -> Response:
    """`total_prompt_token` is spelled as clients read it."""
    sql = f"""model, count(*) AS total_requests, coalesce(sum(completion_tokens), 0) AS total_completion_tokens,
        coalesce(sum(prompt_tokens), 0) AS total_prompt_token, coalesce(sum({TOTAL}), 0) AS total_tokens, {COST} AS cost"""
    return data(await _grouped(request, body, "model", sql))


@router.post("/v1/providers", summary="Calls by provider")
async def providers(body: Listed, request: Request) -> Response:
    """Their names in upper case."""
    return data(await _grouped(request, body, "provider", "upper(provider) AS provider, count(*) AS total_requests"))


@router.post("/v1/metrics/country", summary="Calls by country")
async def country(body: Listed, request: Request) -> Response:
    """Always empty: where a caller is, is not looked up."""
    asker(request)
    body.where()
    return data([])


async def _grouped(request: Request, body: Listed, column: str, sql: str) -> list[Row]:
    shown = f"SELECT {sql} FROM calls WHERE {column} IS NOT NULL AND (" + body.where() + f") GROUP BY calls.{column}"
    page = f" ORDER BY total_requests DESC, calls.{column} LIMIT " + value(body.limit) + " OFFSET " + value(body.offset)
    return await rows(request, shown + page, organization=asker(request))


@router.post("/v1/dashboard/scores/query", summary="Scores over time")
async def scores(body: ScoresOverTime, request: Request) -> Response:
    """The sum of each score of each step."""
    scored = "SELECT *, unnest(map_entries(scores)) AS score FROM calls WHERE " + body.where()
    question = "SELECT " + body.step() + " AS created_at_trunc, score.key AS score_key, sum(score.value) AS score_sum FROM (" + scored + ")"
    return data(await rows(request, question + " GROUP BY ALL ORDER BY created_at_trunc, score_key", organization=asker(request)))


@router.get("/v1/evals/scores", summary="The names of all scores")
async def score_names(request: Request) -> Response:
    """Of scores that were given to any call, in order."""
    question = Sql("SELECT DISTINCT unnest(map_keys(scores)) AS name FROM feedback WHERE cardinality(scores) > 0 ORDER BY name")
    return data([row["name"] for row in await rows(request, question, organization=asker(request))])


@router.post("/v1/evals/query", summary="Scores, each with its mean and how it went")
async def evals(body: OverTime, request: Request) -> Response:
    """Of each score the mean, the least, the most, how many calls have it, and its mean over time."""
    scored = "SELECT call_id, unnest(map_entries(scores)) AS score, " + body.step() + " AS step FROM calls WHERE " + body.where()
    question = (
        "SELECT score.key AS name, avg(score.value) AS averageScore, min(score.value) AS minScore, max(score.value) AS maxScore, "
        "count(*) AS count, step FROM ("
        + scored
        + ") GROUP BY GROUPING SETS ((score.key), (score.key, step)) ORDER BY name, step NULLS FIRST"
    )
    found = await rows(request, question, organization=asker(request))
    shown = {row["name"]: {**row, "overTime": []} for row in found if row["step"] is None}
    for row in found:
        if row["step"] is not None:
            shown[row["name"]]["overTime"].append({"date": row["step"], "value": row["averageScore"], "count": row["count"]})
    return data([{name: said for name, said in each.items() if name != "step"} for each in shown.values()])
