"""What a filter may ask about: the tables and columns of the filter tree, each as an expression over a view of ours.

The names are those of Helicone's filters (`filterDefs.ts`, read 2026-11), so that filters that were written for it go on working.
"""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from storage.rest.sql import Sql, value


class Kind(StrEnum):
    """What kind of values a column has, which says how it may be asked about."""

    TEXT = "text"
    NUMBER = "number"
    TIME = "time"
    BOOLEAN = "boolean"


class Field(Struct, frozen=True):
    """One column."""

    kind: Kind
    sql: Sql
    lower: bool = False
    """Its values are lower-case, whatever case they are asked for in."""
    body: str | None = None
    """`request` or `response`: the text is a row of `bodies`, found by the call's id."""


class Keyed(Struct, frozen=True):
    """A map: the filter names a key of it."""

    kind: Kind
    column: str
    lower: bool = False
    """Its keys are lower-case."""
    special: Mapping[str, str] = {}
    """Keys that have columns of their own, by their lower-case names."""

    def at(self, key: str) -> Field:
        column = self.special.get(key.lower())
        if column is not None:
            return Field(self.kind, Sql(column))
        return Field(self.kind, self.column + Sql("[") + value(key.lower() if self.lower else key) + "]")


class HasKey(Struct, frozen=True):
    """Whether a map has the key that is asked for."""

    keyed: Keyed


Column = Field | Keyed | HasKey
Table = Mapping[str, Column]


def _text(sql: str, *, lower: bool = False) -> Field:
    return Field(Kind.TEXT, Sql(sql), lower)


def _number(sql: str) -> Field:
    return Field(Kind.NUMBER, Sql(sql))


def _time(sql: str) -> Field:
    return Field(Kind.TIME, Sql(sql))


def _boolean(sql: str) -> Field:
    return Field(Kind.BOOLEAN, Sql(sql))


def _body(side: str) -> Field:
    return Field(Kind.TEXT, Sql("coalesce(assembled, text)"), body=side)


CANCELLED = -3
"""The status of a call that its client gave up."""
STATUS = f"if(outcome = 'interrupted_by_client', {CANCELLED}, status)"
FAILED = f"coalesce({STATUS} NOT BETWEEN 200 AND 299, true)"
TOTAL = "coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)"
THREAT = "coalesce(starts_with(error, 'prompt_flagged_for_moderation'), false)"
"""The provider's moderation refused it."""
CACHED = "coalesce(cache_hit, false)"
UNKNOWN_TEXT = "NULL::VARCHAR"

PROPERTIES = Keyed(
    Kind.TEXT,
    "properties",
    lower=True,
    special={
        "helicone-session-id": "session_id",
        "helicone-session-name": "session_name",
        "helicone-session-path": "session_path",
        "helicone-prompt-id": "prompt_id",
    },
)
SCORES = Keyed(Kind.NUMBER, "scores", special={"helicone-score-feedback": "rating::DOUBLE"})
INPUTS = Keyed(Kind.TEXT, "prompt_inputs")

REQUESTS: Table = {
    "request_id": _text("request_id", lower=True),
    "request_created_at": _time("created_at"),
    "response_created_at": _time("completed_at"),
    "organization_id": _text("organization"),
    "provider": _text("provider", lower=True),
    "model": _text("model"),
    "status": _number(STATUS),
    "latency": _number("latency_ms"),
    "time_to_first_token": _number("ttft_ms"),
    "cost": _number("cost_usd::DOUBLE"),
    "prompt_tokens": _number("prompt_tokens"),
    "completion_tokens": _number("completion_tokens"),
    "prompt_cache_read_tokens": _number("cache_read_tokens"),
    "prompt_cache_write_tokens": _number("cache_write_tokens"),
    "total_tokens": _number(TOTAL),
    "user_id": _text("user_id"),
    "target_url": _text("target_url"),
    "country_code": _text(UNKNOWN_TEXT),
    "node_id": _text(UNKNOWN_TEXT),
    "job_id": _text("job.id"),
    "request_referrer": _text(UNKNOWN_TEXT),
    "assets": _text(UNKNOWN_TEXT),
    "threat": _boolean(THREAT),
    "is_passthrough_billing": _boolean("false"),
    "cached": _boolean(CACHED),
    "cache_enabled": _boolean(CACHED),
    "cache_reference_id": _text("cache_reference_id", lower=True),
    "prompt_id": _text("prompt_id"),
    "prompt_version": _text("prompt_version"),
    "request_body": _body("request"),
    "response_body": _body("response"),
    "properties": PROPERTIES,
    "search_properties": PROPERTIES,
    "property_key": HasKey(PROPERTIES),
    "scores": SCORES,
    "scores_column": HasKey(SCORES),
    "helicone-score-feedback": _boolean("rating"),
}
"""`cache_enabled` is known of calls that were answered from the cache alone."""

SESSIONS = "sessions_request_response_rmt"

OF_A_CALL: Mapping[str, Table] = {
    "request_response_rmt": REQUESTS,
    "request": {
        "id": REQUESTS["request_id"],
        "created_at": REQUESTS["request_created_at"],
        "path": _text("path"),
        "user_id": REQUESTS["user_id"],
        "org_id": REQUESTS["organization_id"],
        "model": _text("request_model"),
        "modelOverride": _text("model_override"),
        "prompt": _body("request"),
        "prompt_id": REQUESTS["prompt_id"],
        "country_code": REQUESTS["country_code"],
    },
    "response": {
        "created_at": REQUESTS["response_created_at"],
        "model": _text("response_model"),
        "status": REQUESTS["status"],
        "prompt_tokens": REQUESTS["prompt_tokens"],
        "completion_tokens": REQUESTS["completion_tokens"],
        "body_completion": _body("response"),
    },
    "feedback": {"rating": _boolean("rating")},
    "properties": {"*": PROPERTIES},
    "values": {"*": INPUTS},
}
"""By the table's name. A table whose only column is `*` is a map: the filter names a key where others name a column."""

OF_A_SESSION: Mapping[str, Table] = {
    **OF_A_CALL,
    SESSIONS: {
        "session_session_id": _text("session_id"),
        "session_session_name": _text("session_name"),
        "session_total_cost": _number("total_cost::DOUBLE"),
        "session_total_tokens": _number("total_tokens"),
        "session_prompt_tokens": _number("prompt_tokens"),
        "session_completion_tokens": _number("completion_tokens"),
        "session_total_requests": _number("total_requests"),
        "session_created_at": _time("created_at"),
        "session_latest_request_created_at": _time("latest_request_created_at"),
        "session_tag": _text("tag"),
    },
}
"""Those of `sessions_request_response_rmt` are columns of the question for sessions."""

USERS = "users_view"

OF_A_USER: Mapping[str, Table] = {
    **OF_A_CALL,
    USERS: {
        "user_user_id": _text("user_id"),
        "user_active_for": _number("active_for"),
        "user_first_active": _time("first_active"),
        "user_last_active": _time("last_active"),
        "user_total_requests": _number("total_requests"),
        "user_average_requests_per_day_active": _number("average_requests_per_day_active"),
        "user_average_tokens_per_request": _number("average_tokens_per_request"),
        "user_total_completion_tokens": _number("total_completion_tokens"),
        "user_total_prompt_tokens": _number("total_prompt_tokens"),
        "user_cost": _number("cost::DOUBLE"),
    },
}
