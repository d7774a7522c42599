"""Feedback and scores as Heliograph's endpoints take them."""

from __future__ import annotations

import math
from typing import Any, Callable, Mapping, NamedTuple

from heliograph_client.facts import Judged
from heliograph_client.ids import is_id
from heliograph_client.plain import fields_of, json_of

Mistake = Callable[[str, str], None]


class Request(NamedTuple):
    path: str
    body: bytes


def judgement_of(judged: Judged, mistake: Mistake) -> Request | None:
    """None: nothing of it can be told."""
    if not is_id(judged.request_id):
        mistake("request_id", "must be the UUID that log gave")
        return None
    body = judged.body
    if "scores" in body:
        body = {"scores": _scores(body["scores"], mistake)}
        if not body["scores"]:
            return None
    return Request(f"/v1/request/{judged.request_id}/{judged.endpoint}", json_of(body).encode("utf-8", "replace"))


def _scores(said: Any, mistake: Mistake) -> Mapping[str, Any]:
    """None stands: it takes a score back."""
    kept = {}
    for name, value in (fields_of(said) or {}).items():
        if isinstance(name, str) and (value is None or (isinstance(value, (int, float)) and math.isfinite(value))):
            kept[name] = value
        else:
            mistake("scores", "must be numbers or booleans by name, none of them infinite")
    return kept
