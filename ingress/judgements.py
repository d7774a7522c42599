"""What a body says of a call or a session, after the fact. Pure: bytes in, a judgement out, or the name of the field that is wrong.

Shapes as Helicone's API and its older clients send them (`requestController.ts`, `FeedbackManager.ts`, read 2026-11). Ours are the comment,
scores with fractions, and null, which takes back what was said before.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from eventlog.events import RequestId

SCORES_LIMIT = 1000
"""Scores of one act: each is laid over all that the call has, whenever somebody asks for them."""
RATING = "rating"
_BODY = "requestBody"
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SPELLED = {"true": True, "false": False}
_KINDS = {"boolean": bool, "numerical": int | float, "string": str, "categorical": str}


class Invalid(Exception):
    """A field of the body is not what it should be. A plain value is told with it; one that holds others may be too deep for that."""

    retryable = False

    def __init__(self, field: str, message: str, value: object = None) -> None:
        super().__init__(message)
        plain: dict[str, object] = {"value": value} if isinstance(value, str | int | float) else {}
        self.details = {field: {"message": message} | plain}


class Judgement(Struct, frozen=True, kw_only=True):
    """What is said; the fields of `FeedbackGiven` that hold it."""

    rating: bool | None = None
    rating_retracted: bool = False
    comment: str | None = None
    scores: dict[str, float] = {}
    scores_retracted: list[str] = []
    properties: dict[str, str] = {}
    tag: str | None = None


RETRACTION = Judgement(rating_retracted=True)


def request_id_of(text: str) -> RequestId | None:
    """None for what is no UUID."""
    return RequestId(text.lower()) if _UUID.fullmatch(text) else None


def rating_of(body: bytes) -> Judgement:
    """`{"rating": true, "comment": "…"}`; null takes the rating back. Raises Invalid."""
    return _rating(_fields(body, RATING, may="comment"))


def scores_of(body: bytes) -> Judgement:
    """`{"scores": {name: number}}`. True is 1, false is 0, null takes the score back. Raises Invalid."""
    scores = _fields(body, "scores")["scores"]
    if not isinstance(scores, dict):
        raise Invalid(f"{_BODY}.scores", "invalid object", scores)
    if len(scores) > SCORES_LIMIT:
        raise Invalid(f"{_BODY}.scores", f"{len(scores)} scores; at most {SCORES_LIMIT} are taken at once")
    if "" in scores:
        raise Invalid(f"{_BODY}.scores", "a score has a name, and this one is empty")
    kept = {name: _score(f"scores.{name}", value) for name, value in scores.items() if value is not None}
    return Judgement(scores=kept, scores_retracted=[name for name, value in scores.items() if value is None])


def property_of(body: bytes) -> Judgement:
    """`{"key": "…", "value": "…"}`; the key in lower case, as those of headers. Raises Invalid."""
    found = _fields(body, "key", "value")
    return Judgement(properties={_named(found, "key").lower(): _text(found, "value")})


def tag_of(body: bytes) -> Judgement:
    """`{"tag": "…"}`; null takes it back. Raises Invalid."""
    found = _fields(body, "tag")
    return Judgement(tag="" if found["tag"] is None else _text(found, "tag"))


def legacy_of(body: bytes) -> tuple[str, RequestId, Judgement]:
    """The id as it was sent, and as we write it. `{"helicone-id", "rating"}`, or with `name`, `value` and `data-type`. Raises Invalid."""
    found = _object_of(body)
    named = "name" in found or "value" in found
    _check(found, ("helicone-id", "name", "value") if named else ("helicone-id", RATING), may="data-type" if named else "comment")
    sent = _text(found, "helicone-id")
    request_id = request_id_of(sent)
    if request_id is None:
        raise Invalid(f"{_BODY}.helicone-id", "must be a valid UUID", sent)
    return sent, request_id, _feedback(found) if named else _rating(found)


def _feedback(found: Mapping[str, Any]) -> Judgement:
    """Of the older clients: numbers and booleans are scores, a boolean named `rating` is the rating, text is a property."""
    name, value, kind = _named(found, "name"), found["value"], found.get("data-type")
    if kind is not None and kind not in list(_KINDS):
        raise Invalid(f"{_BODY}.data-type", f"one of {', '.join(_KINDS)}", kind)
    if kind == "boolean" and isinstance(value, str):
        value = _SPELLED.get(value, value)
    if value is not None and kind is not None and not _fits(value, kind):
        raise Invalid(f"{_BODY}.value", f"invalid {kind} value", value)
    if name == RATING and (value is None or isinstance(value, bool)):
        return _rated(value, None)
    if isinstance(value, str):
        return Judgement(properties={name.lower(): value})
    return Judgement(scores_retracted=[name]) if value is None else Judgement(scores={name: _score("value", value)})


def _fits(value: object, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "boolean") == isinstance(value, bool)


def _rating(found: Mapping[str, Any]) -> Judgement:
    comment = found.get("comment")
    if comment is not None and not isinstance(comment, str):
        raise Invalid(f"{_BODY}.comment", "invalid string value", comment)
    return _rated(found[RATING], comment)


def _rated(rating: object, comment: str | None) -> Judgement:
    said = _SPELLED.get(rating, rating) if isinstance(rating, str) else rating
    if said is None:
        return Judgement(rating_retracted=True, comment=comment)
    if not isinstance(said, bool):
        raise Invalid(f"{_BODY}.{RATING}", "invalid boolean value", said)
    return Judgement(rating=said, comment=comment)


def _score(field: str, value: object) -> float:
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            pass
    raise Invalid(f"{_BODY}.{field}", "a score is a number, true or false", None if isinstance(value, int) else value)


def _text(found: Mapping[str, Any], field: str) -> str:
    if not isinstance(found[field], str):
        raise Invalid(f"{_BODY}.{field}", "invalid string value", found[field])
    return str(found[field])


def _named(found: Mapping[str, Any], field: str) -> str:
    name = _text(found, field).strip()
    if not name:
        raise Invalid(f"{_BODY}.{field}", "must not be empty")
    return name


def _fields(body: bytes, *names: str, may: str | None = None) -> Mapping[str, Any]:
    found = _object_of(body)
    _check(found, names, may=may)
    return found


def _check(found: Mapping[str, Any], names: tuple[str, ...], *, may: str | None = None) -> None:
    for name in found:
        if name not in names and name != may:
            raise Invalid(f"{_BODY}.{name}", f'"{name}" is an excess property and therefore is not allowed')
    for name in names:
        if name not in found:
            raise Invalid(f"{_BODY}.{name}", f"'{name}' is required")


def _object_of(body: bytes) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid(_not_finite(body) or _BODY, "the body must be JSON, which has no NaN and no infinity") from None
    if not isinstance(found, dict):
        raise Invalid(_BODY, "the body must be an object", found)
    return found


def _not_finite(body: bytes) -> str | None:
    """The field of what Python's `json` writes of NaN and infinity, or of a number above all; None where that is not what is wrong."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    inner = found.get("scores")
    scores = {f"scores.{name}": value for name, value in inner.items()} if isinstance(inner, dict) else {}
    for name, value in (found | scores).items():
        if isinstance(value, float) and not math.isfinite(value):
            return f"{_BODY}.{name}".encode(errors="replace").decode()
    return None
