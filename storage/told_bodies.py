"""The bodies of calls that webhooks are told of: a question to the lake, asked in this process."""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from eventlog.events import CallId, Organization
from storage.query import Questions
from storage.rest.request_rows import body_said
from storage.rest.sql import Sql, time, value, values

FAR = timedelta(hours=1)

Key = tuple[Organization, CallId]


def told_bodies(questions: Questions, calls: Mapping[Key, datetime], *, limit: int, too_long: Any) -> Mapping[Key, Mapping[str, Any]]:
    """What is at rest of these calls' bodies, by `request` and `response`; `too_long` in the place of one of more than `limit` bytes.

    Calls are known by when they began. Blocks. Raises Refused.
    """
    found: dict[Key, dict[str, Any]] = {}
    for near in _of_one_time(calls):
        question = _question(near, limit)
        for row in questions.ask(question.text, parameters=question.values).table.to_pylist():
            key = Organization(row["organization"]), CallId(row["call_id"])
            found.setdefault(key, {})[row["side"]] = body_said(row) if row["inline"] or row["omitted"] else too_long
    return {key: sides for key, sides in found.items() if key in calls}


def _of_one_time(calls: Mapping[Key, datetime]) -> Iterator[Mapping[Key, datetime]]:
    """Calls that began close to each other: one of long ago among them would have all bodies since then read."""
    near: dict[Key, datetime] = {}
    last = datetime.min.replace(tzinfo=UTC)
    for key, at in sorted(calls.items(), key=lambda each: each[1]):
        if near and at - last > FAR:
            yield near
            near = {}
        near[key] = last = at
    if near:
        yield near


def _question(calls: Mapping[Key, datetime], limit: int) -> Sql:
    times = [at.astimezone(UTC).replace(tzinfo=None).isoformat() for at in calls.values()]
    between = "created_at BETWEEN " + time(min(times)) + " AND " + time(max(times))
    found = "SELECT *, coalesce(assembled, text) AS said FROM bodies WHERE call_id IN " + values(call_id for _, call_id in calls)
    fits = "strlen(coalesce(said, base64, '')) <= " + value(limit) + " AS inline"
    shown = "organization, call_id, side, omitted, undecodable, inline, if(inline, said, NULL) AS said, if(inline, base64, NULL) AS base64"
    return f"SELECT {shown} FROM (SELECT *, " + fits + " FROM (" + found + " AND " + between + "))"
