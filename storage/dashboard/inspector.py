"""One call, on a page of its own or beside the table: the conversation, its time, its cost, its facts, what was said of it, its bodies."""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from storage.dashboard import units
from storage.dashboard.call_bodies import FORM, FORMS, FROM, SIDE, Body, bodies_of, body_of, download, raw, row_of
from storage.dashboard.call_columns import ending, ending_form
from storage.dashboard.call_facts import groups
from storage.dashboard.curl import FILE, curl
from storage.dashboard.page import Asking, Own, Page, Panel, Shown
from storage.dashboard.said.shown import conversation
from storage.dashboard.scales import day_text
from storage.dashboard.waterfall import waterfall
from storage.dashboard.zones import moment
from storage.rest.sql import Sql, value

CALL_ID = "call_id"
COMMENTS = 50
SENDS = (
    "POST /v1/request/{id}/feedback",
    "DELETE /v1/request/{id}/feedback",
    "POST /v1/request/{id}/score",
)


async def _whole(asking: Asking) -> Shown:
    row = await row_of(asking)
    sides = {found["side"]: body_of(found) for found in await asking.rows(bodies_of(row))}
    request, response = sides.get("request"), sides.get("response")
    said = await asyncio.to_thread(conversation, _said(request), _said(response))
    invoice = asking.request.app.state.dashboard.invoice
    at = moment(row["created_at"]).astimezone(asking.zone)
    return {
        "row": row,
        "request": request,
        "response": response,
        "said": said,
        "why": {side: _why_not(body) for side, body in (("request", request), ("response", response))},
        "groups": groups(row),
        "waterfall": waterfall(_number(row["latency_ms"]), _number(row["ttft_ms"]), row["tries"] or ()),
        "numbers": {name: _number(row[name]) for name in ("latency_ms", "ttft_ms")},
        "cost": _decimal(row["cost_usd"]),
        "saved": _decimal(row["cost_saved_usd"]),
        "invoice": invoice(row) if invoice is not None else None,
        "ending": ending(row["outcome"]),
        "ending_form": ending_form(row["outcome"]),
        "when": f"{day_text(at)} {at.year}, {at:%H:%M:%S}.{at.microsecond // 1000:03} {asking.zone.key}",
        "curl": curl(row, _said(request), request.content_type if request else None),
        "curl_file": FILE,
        "forms": FORMS,
    }


def _said(body: Body | None) -> str | None:
    return None if body is None else body.said


def _number(said: object) -> float | None:
    return None if said is None else float(str(said))


def _decimal(said: object) -> Decimal | None:
    return None if said is None else Decimal(str(said))


def _why_not(body: Body | None) -> str:
    """Why there is nothing of a side to be read; empty where there is."""
    if body is None:
        return "Nothing of it is at rest: it was not kept, it is on its way, or its time is over."
    if body.omitted:
        return "The caller asked that it be not kept."
    if body.undecodable:
        return f"It could not be kept or read: {body.undecodable}"
    if "base64" in body.forms and not body.said:
        return "It is no text."
    if not body.forms or not (body.said or set(body.forms) - {"facts"}):
        return "It was empty."
    if body.said is None:
        return f"It is {units.octets(max(body.forms.values()))} long: too long to be read as a conversation."
    return ""


async def _feedback(asking: Asking) -> Shown:
    row = await row_of(asking)
    given = await asking.rows(_given_to(row))
    judged = next((each for each in given if each["rating"] is not None or each["rating_retracted"]), None)
    scores: dict[str, Any] = {}
    for each in reversed(given):
        scores.update(each["scores"] or {})
    return {
        "request_id": row["request_id"],
        "given": given,
        "rating": judged["rating"] if judged and not judged["rating_retracted"] else None,
        "scores": {name: said for name, said in sorted(scores.items()) if said is not None},
    }


def _given_to(row: Mapping[str, Any]) -> Sql:
    return (
        "SELECT given_at, rating, rating_retracted, scores, properties, comment FROM feedback WHERE request_id = "
        + value(row["request_id"])
        + " ORDER BY given_at DESC, feedback_id DESC LIMIT "
        + value(COMMENTS)
    )


async def _shell(asking: Asking) -> Shown:
    return {"call_id": asking.part(CALL_ID)}


PAGE = Page(
    name="call",
    title="Call",
    path="calls/{call_id:path}",
    template="call.html",
    navigable=False,
    filterable=False,
    own=(SIDE, FORM, FROM),
    sends=SENDS,
    shell=_shell,
    panels=(
        Panel(name="whole", title="Call", template="call_whole.html", draw=_whole, height="l", live=False),
        Panel(name="feedback", title="Feedback", template="call_feedback.html", draw=_feedback, height="s", live=False),
        Panel(name="raw", title="Body", template="call_raw.html", draw=raw, height="s", live=False),
    ),
    answers=(Own(name="body", answer=download),),
)
