"""One call with everything that is known of it, as JSON."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from eventlog.events import Organization
from storage.formats import rows_of
from storage.query import Parameters, Questions
from storage.refusal import Refused
from storage.snapshots import LAKE_UNREADABLE

_SLACK = timedelta(hours=1)
_LATEST_MS = 253_000_000_000_000  # in the year 9987: nothing later is a time
_encoder = msgspec.json.Encoder(decimal_format="number")


def call_page(questions: Questions, key: str, *, organization: Organization | None, bodies: bool = True) -> bytes | None:
    """The call whose id is `key`, else the newest whose request id it is; None when there is none. Raises Refused."""
    call = _call(questions, key, organization)
    if call is None:
        return None
    if not bodies:
        return _encoder.encode(call)
    found = _found(questions, "SELECT * FROM bodies WHERE call_id = $id", {"id": call["call_id"]}, organization)
    return _encoder.encode(call | _sides(found))


def _call(questions: Questions, key: str, organization: Organization | None) -> dict[str, Any] | None:
    """A call id tells its own time, near which few files need to be read; only what is not found there is sought everywhere."""
    near = _near(key)
    if near:
        bounds: Parameters = {"id": key, "first": near - _SLACK, "last": near + _SLACK}
        found = _found(questions, "SELECT * FROM calls WHERE call_id = $id AND created_at BETWEEN $first AND $last", bounds, organization)
        if found:
            return found[0]
    sql = "SELECT * FROM calls WHERE call_id = $id OR request_id = $id ORDER BY call_id = $id DESC, created_at DESC LIMIT 1"
    return next(iter(_found(questions, sql, {"id": key}, organization)), None)


def _near(key: str) -> datetime | None:
    """The time in a UUID of version 7, UTC without zone, as the lake's times are."""
    try:
        parsed = UUID(key)
    except ValueError:
        return None
    if parsed.version != 7 or parsed.int >> 80 > _LATEST_MS:
        return None
    return datetime.fromtimestamp((parsed.int >> 80) / 1000, UTC).replace(tzinfo=None)


def _found(questions: Questions, sql: str, parameters: Parameters, organization: Organization | None) -> list[dict[str, Any]]:
    result = questions.ask(sql, organization=organization, parameters=parameters)
    if not result.table.num_rows and result.unread:
        raise Refused(LAKE_UNREADABLE)  # it may lie in a file that cannot be read
    return [dict(zip(result.table.column_names, row, strict=True)) for row in rows_of(result.table)]


_REPEATED = frozenset({"call_id", "request_id", "organization", "created_at", "side"})


def _sides(bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """`request` and `response`, null where nothing was kept."""
    sides: dict[str, Any] = {"request": None, "response": None}
    for body in bodies:
        sides[body["side"]] = {name: value for name, value in body.items() if name not in _REPEATED}
    return sides
