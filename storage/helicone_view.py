"""`request_response_rmt`: the calls under the names and in the units of Helicone's table, so that SQL written for it has them here.

Source: Helicone's ClickHouse migrations, as of 2026-11. Clients' older names stay what they are there: cost is in billionths of a USD.
"""

from collections.abc import Mapping

NAME = "request_response_rmt"
DESCRIPTION = "The calls under Helicone's names, for SQL that was written for it; `calls` says more, and costs less to ask."

_SESSION = """map_from_entries(list_filter([
    {k: 'Helicone-Session-Id', v: session_id}, {k: 'Helicone-Session-Name', v: session_name}, {k: 'Helicone-Session-Path', v: session_path}
], lambda entry: entry.v IS NOT NULL))"""

COLUMNS: Mapping[str, tuple[str, str, str]] = {
    "response_id": ("VARCHAR", "c.call_id", "`call_id`."),
    "response_created_at": ("TIMESTAMP", "completed_at", "`completed_at`."),
    "latency": ("BIGINT", "try_cast(round(latency_ms) AS BIGINT)", "`latency_ms`, in whole milliseconds."),
    "status": ("INTEGER", "if(outcome = 'interrupted_by_client', -3, status)::INTEGER", "`status`; -3 where the client gave up."),
    "completion_tokens": ("BIGINT", "completion_tokens::BIGINT", "`completion_tokens`."),
    "prompt_tokens": ("BIGINT", "prompt_tokens::BIGINT", "`prompt_tokens`."),
    "completion_audio_tokens": ("BIGINT", "coalesce(audio_output_tokens, 0)::BIGINT", "`audio_output_tokens`; 0 where not known."),
    "prompt_audio_tokens": ("BIGINT", "coalesce(audio_input_tokens, 0)::BIGINT", "`audio_input_tokens`; 0 where not known."),
    "prompt_cache_write_tokens": ("BIGINT", "coalesce(cache_write_tokens, 0)::BIGINT", "`cache_write_tokens`; 0 where not known."),
    "prompt_cache_read_tokens": ("BIGINT", "coalesce(cache_read_tokens, 0)::BIGINT", "`cache_read_tokens`; 0 where not known."),
    "reasoning_tokens": ("BIGINT", "coalesce(reasoning_tokens, 0)::BIGINT", "`reasoning_tokens`; 0 where not known."),
    "model": ("VARCHAR", "coalesce(model, '')", "`model`."),
    "request_id": ("VARCHAR", "request_id", "`request_id`."),
    "request_created_at": ("TIMESTAMP", "created_at", "`created_at`."),
    "user_id": ("VARCHAR", "coalesce(user_id, '')", "`user_id`."),
    "organization_id": ("VARCHAR", "organization", "`organization`."),
    "threat": (
        "BOOLEAN",
        "coalesce(starts_with(error, 'prompt_flagged_for_moderation'), false)",
        "The provider's moderation stopped the call.",
    ),
    "time_to_first_token": ("BIGINT", "try_cast(round(ttft_ms) AS BIGINT)", "`ttft_ms`, in whole milliseconds."),
    "provider": ("VARCHAR", "upper(provider)", "`provider`, in upper case."),
    "target_url": ("VARCHAR", "target_url", "`target_url`."),
    "country_code": ("VARCHAR", "NULL::VARCHAR", "NULL: it is not looked up."),
    "cache_enabled": ("BOOLEAN", "coalesce(cache_hit, false)", "`cache_hit`."),
    "cache_reference_id": ("VARCHAR", "cache_reference_id", "`cache_reference_id`."),
    "properties": (
        "MAP(VARCHAR, VARCHAR)",
        f"map_concat(properties, {_SESSION})",
        "`properties`, whose keys are lower-case, and `Helicone-Session-Id`, `-Name` and `-Path`.",
    ),
    "scores": ("MAP(VARCHAR, DOUBLE)", "scores", "`scores`."),
    "request_body": ("VARCHAR", "coalesce(b.request_body, '')", "`bodies.text` of the request."),
    "response_body": ("VARCHAR", "coalesce(b.response_body, '')", "`bodies.assembled` of the response, or its `text`."),
    "cost": (
        "BIGINT",
        "coalesce(try_cast(round(cost_usd::DOUBLE * 1e9) AS BIGINT), 0)",
        "`cost_usd` in billionths of a USD; 0 where not known.",
    ),
    "prompt_id": ("VARCHAR", "coalesce(prompt_id, '')", "`prompt_id`."),
    "prompt_version": ("VARCHAR", "coalesce(prompt_version, '')", "`prompt_version`."),
    "updated_at": ("TIMESTAMP", "coalesce(amended_at, completed_at)", "`amended_at`, or `completed_at`."),
    "size_bytes": ("BIGINT", "(coalesce(request_bytes, 0) + coalesce(response_bytes, 0))::BIGINT", "Bytes of both bodies."),
}
"""Type, expression over `calls` and `bodies`, and meaning, by Helicone's name."""


def helicone_sql(calls: str, bodies: str) -> str:
    """The SELECT over those of the two views. Bodies are read by questions that name them."""
    shown = ", ".join(f"{sql} AS {name}" for name, (_, sql, _) in COLUMNS.items())
    sides = ", ".join(f"max(coalesce(assembled, text)) FILTER (side = '{side}') AS {side}_body" for side in ("request", "response"))
    said = f"SELECT call_id, {sides} FROM ({bodies}) GROUP BY call_id"  # noqa: S608 all of it is ours
    return f"SELECT {shown} FROM ({calls}) c LEFT JOIN ({said}) b ON b.call_id = c.call_id"  # noqa: S608
