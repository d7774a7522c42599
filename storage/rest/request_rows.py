"""What a page's calls say: the questions for their rows, their judgements and their bodies, and a call as Helicone's API tells it."""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from storage.judged import judged_sql
from storage.rest.fields import CACHED, STATUS, TOTAL
from storage.rest.sql import Row, Sql, time, value, values

INLINE_BYTES = 8 << 20
"""Bodies of a page that come with it; the rest stand behind their links."""
FEEDBACK_SCORE = "helicone-score-feedback"
"""The score that a rating is."""

COLUMNS = f"""
    call_id, request_id, organization, created_at, completed_at, {STATUS} AS status, outcome, path, target_url, upper(provider) AS provider,
    model, request_model, response_model, model_override, user_id, properties, session_id, session_name, session_path, latency_ms, ttft_ms,
    {TOTAL} AS total_tokens, prompt_tokens, completion_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, audio_input_tokens,
    audio_output_tokens, cost_usd, prompt_id, prompt_version, prompt_inputs, dialect, cache_reference_id, {CACHED} AS cached, amended_at"""
"""What of a call `told` needs."""

_SESSION = {"Helicone-Session-Id": "session_id", "Helicone-Session-Name": "session_name", "Helicone-Session-Path": "session_path"}


def rows_of(page: Sequence[Row]) -> Sql:
    """The rows of a page's calls. Their times are said too: files of other times need not be read."""
    return Sql(f"SELECT {COLUMNS} FROM calls WHERE ") + _among(page)


def _among(page: Sequence[Row]) -> Sql:
    times = [row["created_at"] for row in page]
    between = "created_at BETWEEN " + time(_plain(min(times))) + " AND " + time(_plain(max(times)))
    return "call_id IN " + values(row["call_id"] for row in page) + " AND " + between


def _plain(iso: str) -> str:
    return iso.removesuffix("Z")


def judgements_of(page: Sequence[Row]) -> Sql:
    """Of the page's requests what was said of each, latest of all, and which rating that is."""
    given = Sql("SELECT * FROM feedback WHERE request_id IN ") + values(dict.fromkeys(row["request_id"] for row in page))
    judged = judged_sql("given", ["request_id"])
    return (
        "WITH given AS MATERIALIZED ("
        + given
        + f""")
        SELECT judged.*, rated.feedback_id, rated.given_at FROM ({judged}) judged LEFT JOIN (
            SELECT request_id, feedback_id, given_at FROM given WHERE rating IS NOT NULL
            QUALIFY row_number() OVER (PARTITION BY request_id ORDER BY given_at DESC, feedback_id DESC) = 1
        ) rated USING (request_id)"""
    )


def bodies_of(page: Sequence[Row], *, within: int | None = INLINE_BYTES) -> Sql:
    """Bodies of the page's calls; of the newest calls what they say, the others beyond so many bytes without it. None: all."""
    said = "coalesce(assembled, text)"
    found = "FROM bodies WHERE " + _among(page)
    if within is None:
        return f"SELECT call_id, side, omitted, undecodable, true AS inline, {said} AS said, base64 " + found
    sized = f"SELECT call_id, side, created_at, strlen(coalesce({said}, base64, '')) AS bytes " + found  # measured, and let go
    room = "SELECT call_id, side, sum(bytes) OVER (ORDER BY created_at DESC, call_id, side) <= " + value(within) + " AS inline FROM sized"
    fits = "SELECT call_id, side FROM room WHERE inline"
    return (
        "WITH sized AS MATERIALIZED ("
        + sized
        + "), room AS MATERIALIZED ("
        + room
        + ") "
        + f"SELECT call_id, side, omitted, undecodable, true AS inline, {said} AS said, base64 "
        + found
        + f" AND (call_id, side) IN ({fits}) "
        + "UNION ALL SELECT call_id, side, omitted, undecodable, false, NULL, NULL "
        + found
        + f" AND (call_id, side) NOT IN ({fits})"
    )


Sides = Mapping[str, Any]
"""What was said, by `request` and `response`: raw JSON, or text, or a note."""

_UNASKED = {"helicone_message": "Ask with ?includeBody=true, or follow signed_body_url."}
NOT_ASKED_FOR = {"request": _UNASKED, "response": _UNASKED}
NOT_KEPT = {"helicone_message": "The body was not kept."}
ELSEWHERE = {"helicone_message": "The body is too large to stand here; signed_body_url has it."}


def body_said(body: Row) -> Any:
    """A body as JSON where it is that; else its text; else a note why there is none."""
    if body["omitted"]:
        return {"helicone_message": "The body was not kept, as its caller asked."}
    if not body["inline"]:
        return ELSEWHERE
    if body["said"] is None:
        return _encoded(body)
    raw = body["said"].encode()
    try:
        return msgspec.json.decode(raw, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return body["said"]


def _encoded(body: Row) -> Any:
    if body["base64"] is None:
        return NOT_KEPT
    return {"helicone_message": body["undecodable"] or "The body is no text.", "base64": body["base64"]}


def sides_of(bodies: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """By call id and side."""
    found: dict[str, dict[str, Any]] = {}
    for body in bodies:
        found.setdefault(body["call_id"], {})[body["side"]] = body_said(body)
    return found


def properties_of(row: Row) -> dict[str, str]:
    """Those that were given, and the session's, which are properties as well."""
    session = {name: row[column] for name, column in _SESSION.items() if row[column] is not None}
    return {**(row["properties"] or {}), **session}


def told(row: Row, judged: Row | None, sides: Sides, link: str) -> dict[str, Any]:
    """A call in the fields of Helicone's API (`HeliconeRequest`)."""
    properties, scores = properties_of(row), _scores(judged)
    rated = judged is not None and judged["rating"] is not None
    return {
        "response_id": row["call_id"],
        "response_created_at": row["completed_at"],
        "response_body": sides.get("response", NOT_KEPT),
        "response_status": row["status"],
        "response_model": row["response_model"],
        "request_id": row["request_id"],
        "request_created_at": row["created_at"],
        "request_body": sides.get("request", NOT_KEPT),
        "request_path": row["target_url"] or row["path"],
        "request_user_id": row["user_id"],
        "request_properties": properties,
        "request_model": row["request_model"],
        "model_override": row["model_override"],
        "helicone_user": None,
        "provider": row["provider"],
        "delay_ms": row["latency_ms"],
        "time_to_first_token": row["ttft_ms"],
        "total_tokens": row["total_tokens"],
        "prompt_tokens": row["prompt_tokens"],
        "prompt_cache_write_tokens": row["cache_write_tokens"],
        "prompt_cache_read_tokens": row["cache_read_tokens"],
        "completion_tokens": row["completion_tokens"],
        "reasoning_tokens": row["reasoning_tokens"],
        "prompt_audio_tokens": row["audio_input_tokens"],
        "completion_audio_tokens": row["audio_output_tokens"],
        "cost": row["cost_usd"],
        "costUSD": row["cost_usd"],
        "prompt_id": row["prompt_id"],
        "prompt_version": row["prompt_version"],
        "feedback_created_at": judged["given_at"] if judged is not None and rated else None,
        "feedback_id": judged["feedback_id"] if judged is not None and rated else None,
        "feedback_rating": judged["rating"] if judged is not None else None,
        "signed_body_url": link,
        "llmSchema": None,
        "country_code": None,
        "asset_ids": None,
        "asset_urls": None,
        "scores": scores,
        "properties": properties,
        "assets": [],
        "target_url": row["target_url"],
        "model": row["model"],
        "cache_reference_id": row["cache_reference_id"],
        "cache_enabled": row["cached"],
        "updated_at": row["amended_at"] or row["completed_at"],
        "request_referrer": None,
        "ai_gateway_body_mapping": None,
        "storage_location": None,
    }


def _scores(judged: Row | None) -> dict[str, float]:
    if judged is None:
        return {}
    rating = judged["rating"]
    return {**(judged["scores"] or {}), **({} if rating is None else {FEEDBACK_SCORE: int(rating)})}
