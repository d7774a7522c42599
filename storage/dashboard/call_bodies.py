"""The bodies of one call: which there are, what of them is read for the conversation, and each as text, piece by piece."""

# ruff: noqa: S608 SQL is what this file makes; whatever was sent is a value

import asyncio
import json
from typing import Any

import msgspec
from fastapi import Response
from msgspec import Struct

from storage.api import call_asked
from storage.asked import CallAsked
from storage.dashboard.page import Asking, Hands
from storage.dashboard.writing import HEADERS
from storage.refusal import Refusal, Refused
from storage.rest.sql import Row, Sql, time, value

READ_BYTES = 32 << 20
"""A longer body is shown raw, not as a conversation."""
SHOWN_CHARACTERS = 128 << 10
"""Of a raw body at once."""
FOLDED_CHARACTERS = SHOWN_CHARACTERS
SIDE, FORM, FROM = "side", "form", "from"
"""Parameters: of which side, in which form, from which character on."""
FORMS = {
    "text": "as it was sent",
    "assembled": "put together",
    "tail": "the end of it",
    "base64": "as base64",
    "facts": "what was known at the start",
}


async def row_of(asking: Asking) -> dict[str, Any]:
    """The call's row, its decimals as text. Raises Refused."""
    asked = CallAsked(key=asking.part("call_id"), organization=asking.organization, bodies=False)
    answer = await call_asked(asking.request, asked)
    row: dict[str, Any] = json.loads(answer.body, parse_float=str)
    return row


class Body(Struct, frozen=True, kw_only=True):
    """One side, without its text. `forms`: how long it is in each form that it is at rest in, in bytes."""

    side: str
    forms: dict[str, int]
    size: int | None
    content_type: str | None
    truncated: bool
    omitted: bool
    undecodable: str | None
    said: str | None
    """What is read; None where it is no text, or too long."""
    assembled: bool


_SIZES = ", ".join(f"strlen({form}) AS {form}_bytes" for form in FORMS)


def bodies_of(row: Row) -> Sql:
    fits = "CASE WHEN strlen(coalesce(assembled, text)) <= " + value(READ_BYTES) + " THEN coalesce(assembled, text) END AS said"
    about = f"side, size, content_type, truncated, omitted, undecodable, assembled IS NOT NULL AS put_together, {_SIZES}, "
    return "SELECT " + about + fits + " FROM bodies WHERE " + _of(row)


def _of(row: Row) -> Sql:
    return "call_id = " + value(row["call_id"]) + " AND created_at = " + time(row["created_at"].removesuffix("Z"))


def body_of(found: Row) -> Body:
    forms = {form: found[f"{form}_bytes"] for form in FORMS if found[f"{form}_bytes"]}
    return Body(
        side=found["side"],
        forms=forms,
        size=found["size"],
        content_type=found["content_type"],
        truncated=bool(found["truncated"]),
        omitted=bool(found["omitted"]),
        undecodable=found["undecodable"],
        said=found["said"],
        assembled=found["put_together"],
    )


async def text_of(asking: Asking) -> str:
    """One form of a side, whole. Raises Refused."""
    row, side, form = await row_of(asking), asking.view.get(SIDE, "request"), asking.view.get(FORM, "text")
    if side == "row":
        return json.dumps(row, ensure_ascii=False)
    if form not in FORMS or side not in {"request", "response"}:
        raise Refused(_NO_FORM)
    found = await asking.rows(f"SELECT {form} AS said FROM bodies WHERE " + _of(row) + " AND side = " + value(side))
    if not found or found[0]["said"] is None:
        raise Refused(_NOTHING)
    said: str = found[0]["said"]
    return said


def laid_out(text: str) -> tuple[str, bool]:
    """JSON in lines; and whether it is JSON."""
    try:
        return msgspec.json.format(text.encode("utf-8", "surrogatepass"), indent=2).decode("utf-8", "replace"), text.lstrip()[:1] in (
            "{",
            "[",
        )
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return text, False


async def raw(asking: Asking) -> dict[str, Any]:
    """A piece of a body, for a panel."""
    text = await text_of(asking)
    lines, is_json = await asyncio.to_thread(laid_out, text)
    since = asking.view.get(FROM)
    begins = min(int(since), len(lines)) if since.isascii() and since.isdigit() and len(since) < 12 else 0
    ends = min(len(lines), begins + SHOWN_CHARACTERS)
    return {
        "text": lines[begins:ends],
        "begins": begins,
        "ends": ends,
        "all": len(lines),
        "foldable": is_json and begins == 0 and ends == len(lines),
        "side": asking.view.get(SIDE, "request"),
        "form": asking.view.get(FORM, "text"),
    }


async def download(asking: Asking, _: Hands) -> Response:
    """The body as it is at rest. As a file: it is never opened as a page of ours."""
    text = await text_of(asking)
    side, form = asking.view.get(SIDE, "request"), asking.view.get(FORM, "text")
    form = form if form in FORMS else next(iter(FORMS))  # of a row, which has but one
    plain = "".join(letter for letter in asking.part("call_id") if letter.isascii() and (letter.isalnum() or letter in "-_"))[:80]
    headers = HEADERS | {"content-disposition": f'attachment; filename="{plain or "call"}-{side}-{form}.txt"'}
    return Response(text.encode("utf-8", "replace"), 200, headers, "text/plain; charset=utf-8")


_NO_FORM = Refusal(
    code="unknown_form",
    message="A body has no such form.",
    fix=f"Ask for {', '.join(FORMS)} of request or response.",
    field=FORM,
    status=404,
)
_NOTHING = Refusal(code="no_body", message="Nothing of this is at rest.", fix="Look at the other forms.", field=FORM, status=404)
