"""What becomes of a request, by what the server answered. Pure: no clock, no network."""

from __future__ import annotations

import json
from typing import Any, Mapping, NamedTuple

AGAIN = frozenset({408, 425, 429})
"""Statuses below 500 that speak of the moment, not of what was sent."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
LONGEST_NAMED_S = 300.0
"""Of `Retry-After`: beyond it we ask anyway."""
SHOWN = 300
"""Characters of the server's reason."""
_NO_LINES: frozenset[int] = frozenset()
_NONE: Mapping[int, str] = {}


class Answer(NamedTuple):
    status: int
    retry_after: str | None
    body: bytes


class Verdict(NamedTuple):
    """What became of the lines of a batch, by their place in it, from 0. Not `settled`: send the same batch again."""

    settled: bool
    refused: Mapping[int, str] = _NONE
    again: frozenset[int] = _NO_LINES
    """These belong into a new batch."""


def verdict_of(answer: Answer, lines: int) -> Verdict:
    """Of a batch of so many lines."""
    if 200 <= answer.status < 300 or answer.status == 503:
        fates = _fates(answer.body, lines)
        again = frozenset(place for place, fate in fates.items() if fate.get("again") is True)
        if answer.status == 503 and not again:
            return Verdict(settled=False)
        return Verdict(True, {place: _reason(fate) for place, fate in fates.items() if place not in again}, again)
    if is_for_later(answer.status):
        return Verdict(settled=False)
    return Verdict(True, dict.fromkeys(range(lines), reason_of(answer)))


def is_for_later(status: int) -> bool:
    return status >= 500 or status in AGAIN


def reason_of(answer: Answer) -> str:
    """Why it was refused, with what helps against it where that is known."""
    said = _json(answer.body)
    reason = _reason(said) if isinstance(said, dict) else answer.body[:SHOWN].decode("utf-8", "replace")
    help_ = {401: "; see api_key", 403: "; see api_key", 404: "; is base_url Heliograph's?"}.get(answer.status, "")
    return f"{answer.status} {reason}{'; see base_url' if 300 <= answer.status < 400 else help_}"


def pause_s(failures: int, retry_after: str | None, chance: float) -> float:
    """Before the next try, in seconds, after so many failures in a row. `chance` is from 0 to 1, so that many clients spread.

    What the server names is never cut short.
    """
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 30))
    return max(longest * (0.5 + chance / 2), _named_s(retry_after))


def _named_s(retry_after: str | None) -> float:
    """Heliograph names seconds; a date, which a proxy before it may name, is left to our own pauses."""
    try:
        named = float(retry_after or 0)
    except ValueError:
        return 0.0
    return min(named, LONGEST_NAMED_S) if named > 0 else 0.0


def _fates(body: bytes, lines: int) -> dict[int, Mapping[str, Any]]:
    """Of the lines that were refused, by their place."""
    told = _json(body)
    refused = told.get("refused") if isinstance(told, dict) else None
    fates = [fate for fate in refused if isinstance(fate, dict)] if isinstance(refused, list) else []
    return {fate["line"] - 1: fate for fate in fates if isinstance(fate.get("line"), int) and 1 <= fate["line"] <= lines}


def _reason(said: Mapping[str, Any]) -> str:
    return str(said.get("error") or said.get("message") or "no reason was given")[:SHOWN]


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
