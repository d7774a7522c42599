"""A page of calls as a question: filtered, sorted, cut; after an offset, or after the last call of the page before."""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from storage.rest.envelope import Wrong
from storage.rest.fields import CACHED, INPUTS, PROPERTIES, TOTAL
from storage.rest.sql import EVERY, Sql, Value, all_of, joined, time, value

MOST = 1000
"""Calls of a page."""

SORTS: Mapping[str, str] = {
    "created_at": "created_at",
    "latency": "latency_ms",
    "time_to_first_token": "ttft_ms",
    "total_tokens": TOTAL,
    "completion_tokens": "completion_tokens",
    "prompt_tokens": "prompt_tokens",
    "user_id": "user_id",
    "body_model": "model",
    "is_cached": CACHED,
    "cost": "cost_usd",
    "cache_created_at": "created_at",
    "last_active": "created_at",
}
"""By the name that a sort has. Those by body, `request_prompt` and `response_text`, would read every body of the lake: they are refused."""
RANDOM = "random"
_KEYED = {"properties": PROPERTIES, "values": INPUTS}
_TIME = "created_at"


class Sort(Struct, frozen=True):
    """By what, and which way. Where it is the same, or nothing, the call's id decides."""

    key: Sql
    descending: bool = True
    random: bool = False


NEWEST = Sort(Sql(_TIME))


def sort_of(said: Mapping[str, Any] | None) -> Sort:
    """Of `{"latency": "desc"}` or `{"properties": {"plan": "asc"}}`; the first that is named counts. Raises Wrong."""
    for name, way in (said or {}).items():
        if name == RANDOM:
            return Sort(Sql("random()"), random=True)
        if name in _KEYED:
            if not isinstance(way, dict) or len(way) != 1:
                raise Wrong(f"sort.{name} must be an object that names one key")
            [(key, direction)] = way.items()
            _check_text(key, f"sort.{name}")
            return Sort(_KEYED[name].at(key).sql, descends(direction, f"sort.{name}.{key[:100]}"))
        if name not in SORTS:
            raise Wrong(f"sort.{name[:100]} cannot be sorted by; there are {', '.join((*SORTS, *_KEYED, RANDOM))}")
        return Sort(Sql(SORTS[name]), descends(way, f"sort.{name}"))
    return NEWEST


def _check_text(text: str, path: str) -> None:
    """Raises Wrong."""
    if text.encode("utf-8", "replace").decode() != text:
        raise Wrong(f"{path} holds half of a character")


def check_limit(limit: int, most: int) -> None:
    """Raises Wrong."""
    if not 0 <= limit <= most:
        raise Wrong(f"limit must be 0 to {most}")


def descends(said: Any, path: str) -> bool:
    """Raises Wrong."""
    if said not in ("asc", "desc"):
        raise Wrong(f"{path} must be asc or desc")
    return bool(said == "desc")


class Place(Struct, frozen=True, array_like=True):
    """Where a page ends: its last call's key, as JSON has it, and id."""

    sort: str
    """Of the question it belongs to."""
    key: Value
    call_id: str


def cursor_of(sort: Sort, key: Value, call_id: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(Place(_named(sort), key, call_id))).rstrip(b"=").decode()


def place_of(cursor: str, sort: Sort) -> Place:
    """Raises Wrong for one that no page of this sort ended with."""
    try:
        place = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=Place)
    except (binascii.Error, ValueError, msgspec.DecodeError, UnicodeError):
        raise Wrong("cursor is none of ours; send the one that the page before came with") from None
    if sort.random or place.sort != _named(sort):
        raise Wrong("cursor belongs to a page with another sort")
    return place


def _named(sort: Sort) -> str:
    return json.dumps([sort.key.text, sort.key.values, sort.descending])


def page(where: Sql, sort: Sort, *, limit: int, offset: int, after: Place | None) -> Sql:
    """Ids, times and keys of one page's calls, in order. Narrow: what the calls say besides is read for those alone."""
    way = "DESC" if sort.descending else "ASC"
    conditions = all_of([where, EVERY if after is None else _behind(sort, after)])
    chosen = "SELECT call_id, request_id, created_at, " + sort.key + " AS key FROM calls WHERE " + conditions
    return chosen + f" ORDER BY key {way} NULLS LAST, call_id {way} LIMIT " + value(limit) + " OFFSET " + value(offset)


def _behind(sort: Sort, place: Place) -> Sql:
    """What comes after the place: the same key and a later id, a later key, or none, which comes last."""
    beyond = "<" if sort.descending else ">"
    same_id = f"call_id {beyond} " + value(place.call_id)
    if place.key is None:
        return sort.key + " IS NULL AND " + same_id
    key = time(str(place.key)) if sort.key.text == _TIME else value(place.key)
    same = sort.key + " = " + key + " AND " + same_id
    if sort.key.text == _TIME:  # it is never NULL; and of one bound a scan knows which files to pass over
        return sort.key + f" {beyond}= " + key + " AND (" + sort.key + f" {beyond} " + key + " OR " + same_id + ")"
    return joined(" OR ", (sort.key + f" {beyond} " + key, sort.key + " IS NULL", same))
