"""The columns that a table of calls may have: what each is called, where it comes from, and how its cells read."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from storage.dashboard import units
from storage.dashboard.filters import KEY_CHARACTERS, PROPERTY
from storage.dashboard.page import Asking, Hands
from storage.dashboard.scales import day_text
from storage.dashboard.units import Number
from storage.dashboard.zones import moment
from storage.rest.sql import Row, Sql, joined, value

COLUMN = "column"
"""The parameter that names one; may come often."""
CELL_CHARACTERS = 300
"""Of a text that is shown in a table; the inspector has all of it."""
NUMBERS: Mapping[str, Callable[[Number], str]] = {
    "count": units.count,
    "money": units.money,
    "duration": units.duration,
    "size": units.octets,
    "speed": lambda number: units.UNKNOWN if number is None else f"{float(number):.0f}{units.THIN}/s",
}


class Column(Struct, frozen=True, kw_only=True):
    """`form`: `text`, `id`, `time`, `outcome`, `mark`, `properties`, or one of `NUMBERS`."""

    name: str
    title: str
    sql: Sql
    form: str = "text"
    sort: str = ""
    """The order that a click on its head gives; empty: none."""
    told: str = ""

    @property
    def numeric(self) -> bool:
        return self.form in NUMBERS


class Cell(Struct, frozen=True, kw_only=True):
    text: str
    form: str
    title: str = ""
    """All of it, where the text is not."""


def _column(name: str, title: str, sql: str, form: str = "text", sort: str = "", told: str = "") -> Column:
    return Column(name=name, title=title, sql=Sql(sql), form=form, sort=sort, told=told)


SPEED = "CASE WHEN latency_ms > ttft_ms THEN completion_tokens / ((latency_ms - ttft_ms) / 1000) END"
KNOWN: Mapping[str, Column] = {
    column.name: column
    for column in (
        _column("time", "Time", "created_at", "time", "time"),
        _column("model", "Model", "model"),
        _column("outcome", "Outcome", "outcome", "outcome"),
        _column("user", "User", "user_id"),
        _column("session", "Session", "session_id", "id"),
        _column("session_name", "Session name", "session_name"),
        _column("session_path", "Session path", "session_path"),
        _column("prompt", "Prompt", "prompt_id"),
        _column("input", "Input", "prompt_tokens", "count", told="Tokens of the prompt"),
        _column("output", "Output", "completion_tokens", "count", told="Tokens of the answer"),
        _column("tokens", "Tokens", "total_tokens", "count", "tokens"),
        _column("cached", "Cached", "cache_read_tokens", "count", told="Tokens that the provider read from its cache"),
        _column("reasoning", "Reasoning", "reasoning_tokens", "count", told="Tokens of reasoning"),
        _column("cost", "Cost", "cost_usd", "money", "cost"),
        _column("saved", "Saved", "cost_saved_usd", "money"),
        _column("latency", "Latency", "latency_ms", "duration", "latency"),
        _column("ttft", "First token", "ttft_ms", "duration", "ttft"),
        _column("speed", "Tokens/s", SPEED, "speed", told="Tokens of the answer a second, from the first on"),
        _column("provider", "Provider", "provider"),
        _column("status", "Status", "status", "text"),
        _column("finish", "Stopped by", "finish_reason"),
        _column("error", "Error", "error"),
        _column("cache", "Cache", "cache_hit", "mark", told="Answered from Heliograph's cache"),
        _column("stream", "Stream", "stream", "mark"),
        _column("attempts", "Attempts", "attempts", "count"),
        _column("endpoint", "Endpoint", "path"),
        _column("rating", "Rating", "rating", "rating"),
        _column("request_size", "Sent", "request_bytes", "size", told="Bytes of the request"),
        _column("response_size", "Received", "response_bytes", "size", told="Bytes of the answer"),
        _column("source", "Source", "source"),
        _column("properties", "Properties", "properties", "properties"),
        _column("call", "Call id", "call_id", "id"),
        _column("request", "Request id", "request_id", "id"),
    )
}
DEFAULT = ("time", "model", "outcome", "user", "input", "output", "cost", "latency", "ttft")
MOST = 24


def chosen(names: Sequence[str]) -> tuple[Column, ...]:
    """Columns by their names, those of properties as `property.NAME`; others are passed over. None named: those that most people want."""
    found = {name: column for name in names if (column := _named(name)) is not None}
    return tuple(found.values())[:MOST] or tuple(KNOWN[name] for name in DEFAULT)


def _named(name: str) -> Column | None:
    key = name.removeprefix(f"{PROPERTY}.").lower()
    if name.startswith(f"{PROPERTY}.") and 0 < len(key) <= KEY_CHARACTERS:
        return Column(name=f"{PROPERTY}.{key}", title=key, sql="properties[" + value(key) + "]")
    return KNOWN.get(name)


BASE_COLUMNS = "call_id, created_at, completed_at, outcome AS ended, status AS answered, error AS failure, cache_hit AS hit"
"""What every row has, whatever is shown."""


def selected(columns: Sequence[Column]) -> Sql:
    """For a SELECT: each column by its place, as `c0`."""
    return joined(", ", [Sql(BASE_COLUMNS), *(column.sql + f" AS c{place}" for place, column in enumerate(columns))])


def for_file(columns: Sequence[Column]) -> Sql:
    """For a SELECT whose rows are a file: a time with its `Z`, and the id of the call first."""
    named = [column.sql + f' AS "{_plain(column.name)}"' for column in columns if column.name not in {"time", "call"}]
    return joined(", ", [Sql("call_id, strftime(created_at, '%Y-%m-%dT%H:%M:%S.%fZ') AS created_at"), *named])


def _plain(name: str) -> str:
    """A name within quotes of SQL."""
    return name.replace('"', '""').replace("\0", "")


def cells(row: Row, columns: Sequence[Column], now: datetime, zone: ZoneInfo) -> list[Cell]:
    return [_cell(row, column, row[f"c{place}"], now, zone) for place, column in enumerate(columns)]


def listed(rows: Sequence[Row], columns: Sequence[Column], asking: Asking) -> list[dict[str, Any]]:
    """For `calls_rows.html`."""
    return [{"row": row, "cells": cells(row, columns, asking.now, asking.zone)} for row in rows]


def table_rows(asking: Asking, hands: Hands, rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """Rows of the table by themselves, for a page that has it already."""
    return hands.render("calls_rows.html", asking, {"listed": listed(rows, columns, asking)})


def _cell(row: Row, column: Column, said: object, now: datetime, zone: ZoneInfo) -> Cell:
    if column.form == "time":
        return Cell(text=time_text(str(said), now, zone), form="time", title=f"{said}")
    if column.form == "outcome":
        return _outcome(row)
    if said is None or said in ("", {}):
        return Cell(text=units.UNKNOWN, form="num unknown" if column.numeric else "unknown")
    if column.form in NUMBERS:
        number = _number(said)
        return Cell(text=NUMBERS[column.form](number), form="num", title=_exact(number, column.form))
    if column.form == "mark":
        return Cell(text="yes" if said else units.UNKNOWN, form="text" if said else "unknown")
    if column.form == "rating":
        return Cell(text="good" if said else "bad", form="good" if said else "bad")
    text = ", ".join(f"{key}={each}" for key, each in said.items()) if isinstance(said, dict) else str(said)
    form = "id" if column.form == "id" else "text"
    return Cell(text=_first_line(text), form=form, title=text[:2000])


def _number(said: object) -> Number:
    return said if isinstance(said, int | float | Decimal) else None


def _exact(number: Number, form: str) -> str:
    """All digits that mean something, with their unit."""
    if number is None:
        return ""
    if form == "money":
        return f"{number:f} USD"
    return f"{float(number):,.1f} ms" if form == "duration" else f"{number:,}"


def _first_line(text: str) -> str:
    line = " ".join(text[: CELL_CHARACTERS * 2].split())
    return line if len(line) <= CELL_CHARACTERS else f"{line[:CELL_CHARACTERS]}…"


ENDINGS = {
    "completed": "ok",
    "provider_error": "error",
    "interrupted_by_provider": "broke off",
    "interrupted_by_client": "client left",
    "rate_limited": "limited",
    "timed_out": "timed out",
}


def ending(outcome: object) -> str:
    return ENDINGS.get(str(outcome), "unknown" if outcome is None else str(outcome).replace("_", " "))


def ending_form(outcome: object) -> str:
    """How it is to be looked at: `fine`, `left` or `bad`."""
    return "fine" if outcome == "completed" else "left" if outcome == "interrupted_by_client" else "bad"


def _outcome(row: Row) -> Cell:
    outcome, status = row["ended"], row["answered"]
    text = " ".join([ending(outcome), *([str(status)] if status is not None and outcome != "completed" else [])])
    if row["hit"]:
        text = "cached" if outcome == "completed" else f"{text}, cached"
    told = row["failure"]
    return Cell(text=text, form=ending_form(outcome), title=str(told)[:2000] if told else f"{outcome}, HTTP {status}")


def time_text(iso: str, now: datetime, zone: ZoneInfo) -> str:
    """14:03:07 of today, else with its day, in the viewer's zone."""
    at, today = moment(iso).astimezone(zone), now.astimezone(zone)
    if at.date() == today.date():
        return f"{at:%H:%M:%S}"
    year = "" if at.year == today.year else f" {at.year}"
    return f"{day_text(at)}{year}, {at:%H:%M:%S}"
