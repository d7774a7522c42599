"""A call that is over as a line of `POST /v1/log/batch`, and what of it was said in a way that cannot be told."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Any, Callable, Mapping, NamedTuple, Sequence

from heliograph_client.facts import ANSWERED, About, Told
from heliograph_client.plain import fields_of, json_of
from heliograph_client.shapes import Shape, model_of, shape_of

Mistake = Callable[[str, str], None]
"""Is told the argument that is left out, and why."""

NEVER_SENT = frozenset(
    {
        *("self", "extra_headers", "extra_query", "extra_body", "headers", "default_headers", "timeout", "client", "http_client"),
        *("api_key", "azure_ad_token", "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "vertex_credentials"),
    }
)
"""Arguments of a call that are for the client that makes it, or secret."""
_UNSAID = frozenset({"NotGiven", "Omit", "_Omit"})
"""Types of openai's and anthropic's marks for an argument that was not given."""
_HEADERS = {
    "user_id": "Helicone-User-Id",
    "session_id": "Helicone-Session-Id",
    "session_name": "Helicone-Session-Name",
    "session_path": "Helicone-Session-Path",
}
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NO_STATUS = frozenset({-2, -3, -4, -100})


class _Answer(NamedTuple):
    """JSON, or text; and what it looks like."""

    json: str | None
    text: str | None = None
    shape: Shape | None = None
    model: str | None = None
    status: int | None = None


def line_of(told: Told, mistake: Mistake) -> str:
    """One line of JSON. What was said in a wrong way is left out of it."""
    answer = _of_pieces(told.pieces) if told.pieces is not None else _of_response(told.response, mistake)
    request: dict[str, Any] = {"json": _request(told.request, answer, mistake), "meta": _meta(told.request_id, told.about, mistake)}
    url = _url(told, answer, mistake)
    if url is not None:
        request["url"] = url
    response = {"status": _status(told.status, answer, mistake), "headers": {}}
    cost = _number("cost_usd", told.cost_usd, mistake)
    if cost is not None:
        response["cost"] = cost
    whole: dict[str, Any] = {"timing": _timing(told, mistake)}
    provider = _text("provider", told.about.provider, mistake)
    if provider is None and url is None and answer.shape is not None:
        provider = answer.shape.provider
    if provider is not None:
        whole["provider"] = provider
    body = f'"json":{answer.json}' if answer.text is None else f'"textBody":{json_of(answer.text)}'
    return f'{{"providerRequest":{json_of(request)},"providerResponse":{json_of(response)[:-1]},{body}}},{json_of(whole)[1:]}'


# The bodies


def _request(request: Any, answer: _Answer, mistake: Mistake) -> Mapping[str, Any]:
    """Without one, the model that answered."""
    fields = None if request is None else fields_of(request)
    if fields is None:
        if request is not None:
            mistake("request", f"must be a dict, the arguments of the call; this is {_kind(request)}")
        return {} if answer.model is None else {"model": answer.model}
    extra = fields.get("extra_body")
    more = extra if isinstance(extra, Mapping) else {}
    return {name: value for name, value in {**fields, **more}.items() if name not in NEVER_SENT and type(value).__name__ not in _UNSAID}


def _of_response(response: Any, mistake: Mistake) -> _Answer:
    if response is None or isinstance(response, (str, bytes)):
        return _Answer("{}") if response is None else _Answer(None, _decoded(response))
    fields = fields_of(response)
    if fields is not None:
        return _Answer(json_of(fields), None, shape_of(fields), model_of(fields))
    if isinstance(response, (list, tuple)):
        return _Answer(json_of(response))
    text, status = _http(response)
    if text is not None:
        return _Answer(None, text, None, None, status)
    mistake("response", f"must be an object of openai or anthropic, a dict, or text; this is {_kind(response)}")
    return _Answer("{}")


def _of_pieces(pieces: Sequence[Any]) -> _Answer:
    if pieces and all(isinstance(piece, (str, bytes)) for piece in pieces):
        texts = [_decoded(piece) for piece in pieces]
        return _Answer(None, ("" if any("\n" in text for text in texts) else "\n").join(texts))
    fields = [piece if found is None else found for piece, found in ((piece, fields_of(piece)) for piece in pieces)]
    first = next((each for each in fields if isinstance(each, dict)), {})
    return _Answer(json_of({"streamed_data": fields}), None, shape_of(first), model_of(first))


def _http(response: Any) -> tuple[str | None, int | None]:
    """Of an HTTP client's answer, or one of openai's and anthropic's raw ones."""
    try:
        text, status = response.text, response.status_code
    except Exception:  # noqa: BLE001 it is no such thing, or its body was not read
        return None, None
    return (text, status) if isinstance(text, str) and isinstance(status, int) else (None, None)


def _decoded(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "replace")


# What is said of it


def _meta(request_id: str, about: About, mistake: Mistake) -> dict[str, str]:
    meta: dict[str, str] = {}
    for name, value in _items("headers", about.headers, mistake):
        if not name.lower().startswith("helicone-"):
            mistake("headers", f"only names that begin with Helicone- are told, {name!r} does not")
        else:
            meta[name] = value
    for name, value in _items("properties", about.properties, mistake):
        meta[f"Helicone-Property-{name}"] = value
    for argument, header in _HEADERS.items():
        said = _text(argument, getattr(about, argument), mistake)
        if said is not None:
            meta[header] = said
    meta["Helicone-Request-Id"] = request_id
    return meta


def _items(argument: str, said: Any, mistake: Mistake) -> list[tuple[str, str]]:
    if said is None:
        return []
    fields = fields_of(said) if isinstance(said, Mapping) else None
    if fields is None:
        mistake(argument, f"must be a dict of names and texts; this is {_kind(said)}")
        return []
    kept = []
    for name, value in fields.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            mistake(argument, "names must be text of at most 200 characters, such as feature")
            continue
        text = _text(argument, value, mistake)
        if text is not None:
            kept.append((name, text))
    return kept


def _text(argument: str, said: Any, mistake: Mistake) -> str | None:
    if said is None:
        return None
    if isinstance(said, bool):
        return "true" if said else "false"
    if not isinstance(said, (str, int, float)):
        mistake(argument, f"must be text; this is {_kind(said)}")
        return None
    return _CONTROL.sub(" ", said if isinstance(said, str) else repr(said)).strip() or None


def _url(told: Told, answer: _Answer, mistake: Mistake) -> str | None:
    said = _text("url", told.about.url, mistake)
    if said is not None or told.base_url is None:
        return said
    base = told.base_url.rstrip("/")
    return base if answer.shape is None else f"{base}/{answer.shape.path}"


def _status(said: Any, answer: _Answer, mistake: Mistake) -> int:
    if said is not None and not isinstance(said, bool) and isinstance(said, int) and (100 <= said <= 599 or said in _NO_STATUS):
        return int(said)
    if said is not None:
        mistake("status", "must be an HTTP status such as 200, or -3 for a call that was cancelled")
    return ANSWERED if answer.status is None else answer.status


def _timing(told: Told, mistake: Mistake) -> dict[str, Any]:
    """Without a beginning, the end: how long it took is not known then."""
    ended = _instant("ended_at", told.ended_at, mistake)
    ended = told.told_at if ended is None else ended
    started = _instant("started_at", told.started_at, mistake)
    if started is not None and started > ended:
        mistake("started_at", "must not be later than ended_at")
        started = None
    timing: dict[str, Any] = {"startTime": _clock(ended if started is None else started), "endTime": _clock(ended)}
    ttft_ms = _number("ttft_ms", told.ttft_ms, mistake)
    if ttft_ms is not None:
        timing["timeToFirstToken"] = round(ttft_ms, 3)
    return timing


def _instant(argument: str, said: Any, mistake: Mistake) -> float | None:
    if not isinstance(said, datetime):
        return _number(argument, said, mistake)
    try:
        return said.timestamp()
    except (ValueError, OverflowError, OSError):
        mistake(argument, "is a time that no clock has")
        return None


def _clock(instant: float) -> dict[str, float]:
    seconds = int(instant)
    return {"seconds": seconds, "milliseconds": round((instant - seconds) * 1000, 3)}


def _number(argument: str, said: Any, mistake: Mistake) -> float | None:
    if said is None:
        return None
    try:
        if isinstance(said, (int, float)) and not isinstance(said, bool) and said >= 0 and math.isfinite(said):
            return float(said)
    except OverflowError:
        pass
    mistake(argument, "must be a number, not negative")
    return None


def _kind(value: Any) -> str:
    return type(value).__name__
