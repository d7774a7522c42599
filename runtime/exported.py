"""A call as Helicone's request API tells it (`HeliconeRequest`), as a line that `POST /v1/log/batch` takes. Pure.

What our own API answers has the same fields, and differs in two things. Its tokens are the whole prompt and the whole answer; Helicone
counts cached tokens beside the prompt, and reasoning beside the answer. And several calls may have one request id, as a retrying SDK
repeats it; there it is one row's. Ours is known by its response id: a UUID of version 7 that tells when the call began, as call ids do.
Source: Helicone's `packages/llm-mapper/types.ts` and its stores of requests (read 2026-11-26).
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw, Struct

from ingress.async_log import FAILED, MILLISECONDS_FROM, NO_ANSWER, mended
from ingress.async_log_events import NOWHERE
from storage.rest.request_rows import FEEDBACK_SCORE

BOOLEAN_SCORE = "-hcone-bool"
"""What Helicone puts behind the name of a score that was given as true or false."""
NO_CACHE = "00000000-0000-0000-0000-000000000000"
"""Helicone's reference of a call that no cache answered."""
_SESSION = frozenset({"helicone-session-id", "helicone-session-name", "helicone-session-path"})
_PROMPT = "helicone-prompt-id"
_NOTE = frozenset({"helicone_message", "base64"})
_NOTHING = frozenset({b"", b"null", b'""'})
_WHERE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?")


class BadElement(Exception):
    """An element that is no call. The message names the field, and what would be right."""

    retryable = False


class Exported(Struct, frozen=True, kw_only=True):
    """One call of an export."""

    request_id: str
    began_ms: int
    """Since 1970."""
    key: str
    """What it is known by in the lake: one call has one of `keys_of`."""
    line: bytes
    rating: bool | None
    scores: Mapping[str, float]
    lacks: tuple[str, ...]
    """Which of `request` and `response` the export has no body of."""


def keys_of(request_id: str, began_ms: int) -> tuple[str, str]:
    """By which a row of the lake is known: as Helicone's call, and as one of ours."""
    return request_id, f"{request_id}@{began_ms}"


class _Call(Struct):
    request_id: str
    request_created_at: str | float
    response_id: str | None = None
    response_created_at: str | float | None = None
    response_status: int | None = None
    request_body: Raw = Raw()
    response_body: Raw = Raw()
    request_path: str | None = None
    target_url: str | None = None
    request_user_id: str | None = None
    request_properties: dict[str, Raw] | None = None
    properties: dict[str, Raw] | None = None
    request_model: str | None = None
    response_model: str | None = None
    model: str | None = None
    model_override: str | None = None
    provider: str | None = None
    delay_ms: float | None = None
    time_to_first_token: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_cache_read_tokens: int | None = None
    prompt_cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    prompt_audio_tokens: int | None = None
    completion_audio_tokens: int | None = None
    cost: Raw = Raw()
    costUSD: Raw = Raw()  # noqa: N815 the wire's names
    prompt_id: str | None = None
    prompt_version: str | None = None
    feedback_rating: bool | None = None
    scores: dict[str, float | bool | None] | None = None
    cache_reference_id: str | None = None
    inputs: dict[str, Raw] | None = None


_decoder = msgspec.json.Decoder(_Call, strict=False)
_encode = msgspec.json.Encoder().encode


def exported_of(raw: bytes) -> Exported:
    """Raises BadElement."""
    call = _decoded(raw)
    try:
        return _exported(call)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # what was passed over until now, such as a body's text
        raise BadElement("it is no JSON in UTF-8") from None


def _exported(call: _Call) -> Exported:
    request_id = _uuid(call.request_id)
    began = _instant(call.request_created_at, "request_created_at")
    began_ms = round(began * 1_000_000) // 1000
    ours = _is_ours(call.response_id, began_ms)
    request, response = _body(call.request_body), _body(call.response_body)
    scores = dict(_scores(call))
    rated = scores.pop(FEEDBACK_SCORE, None)
    rating = call.feedback_rating if call.feedback_rating is not None or rated is None else bool(rated)
    return Exported(
        request_id=request_id,
        began_ms=began_ms,
        key=keys_of(request_id, began_ms)[ours],
        line=msgspec.json.format(_encode(_line(call, request_id, began, request, response, ours=ours)), indent=-1),  # one line
        rating=rating,
        scores=scores,
        lacks=tuple(side for side, body in (("request", request), ("response", response)) if body is None),
    )


def _decoded(raw: bytes) -> _Call:
    try:
        return _decoder.decode(raw)
    except msgspec.ValidationError as error:
        found = _WHERE.fullmatch(str(error))
        path = found["path"] if found is not None else None
        what = found["what"] if found is not None else str(error)
        raise BadElement(f"{path or 'the element'}: {what}; a call of Helicone's request API is expected") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        whole = mended(raw)
        if whole == raw:
            raise BadElement("it is no JSON in UTF-8") from None
    return _decoded(whole)


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise BadElement(f"request_id: {text[:60]!r} is no UUID") from None


def _is_ours(response_id: str | None, began_ms: int) -> bool:
    try:
        found = UUID(response_id or "")
    except ValueError:
        return False
    return found.version == 7 and abs((found.int >> 80) - began_ms) <= 1


def _instant(said: str | float, field: str) -> float:
    """Seconds since 1970, before 2100. Without a zone it is UTC."""
    found = None if isinstance(said, str) else said if said < MILLISECONDS_FROM else said / 1000
    with suppress(ValueError, OverflowError):
        if isinstance(said, str):
            moment = datetime.fromisoformat(said)
            found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if found is None or not 0 <= found < MILLISECONDS_FROM:
        raise BadElement(f"{field}: {str(said)[:60]!r} is no time such as 2025-11-24T12:00:00.000Z")
    return found


# What is sent


def _line(call: _Call, request_id: str, began: float, request: bytes | None, response: bytes | None, *, ours: bool) -> dict[str, Any]:
    asked, text = _asked(call, request)
    url = call.target_url or (None if call.request_path == NOWHERE else call.request_path)
    ended, first = _ended(call, began), call.time_to_first_token
    stated: dict[str, Any] = {"latencyMs": call.delay_ms, "usage": _usage(call, ours=ours), "requestText": text}
    stated |= {"inputs": call.inputs or None, "cacheReferenceId": _reference(call)}
    return {
        "providerRequest": {"url": url or None, "json": asked, "meta": _meta(call, request_id, request, response)},
        "providerResponse": {**_answer(response), "status": _status(call.response_status), "cost": _cost(call)},
        "timing": {"startTime": _clock(began), "endTime": _clock(ended)} | ({} if first is None else {"timeToFirstToken": first}),
        "provider": call.provider or None,
        "stated": {"once": True} | {name: value for name, value in stated.items() if value is not None},
    }


def _clock(instant: float) -> dict[str, float]:
    """Nobody can take that for milliseconds."""
    return {"seconds": instant, "milliseconds": 0}


def _body(raw: Raw) -> bytes | None:
    """None for what stands in the place of a body that is not kept, or is elsewhere."""
    text = bytes(raw)
    if text in _NOTHING:
        return None
    if b"helicone_message" in text[:64] and msgspec.json.decode(text, type=dict[str, Raw]).keys() <= _NOTE:
        return None
    return text


def _asked(call: _Call, request: bytes | None) -> tuple[Any, str | None]:
    """The request as an object, and its text where it is none."""
    if request is not None and request[:1] == b"{":
        return Raw(request), None
    named = {"model": call.model or call.request_model} if call.model or call.request_model else {}
    if request is None or request[:1] == b"[":
        return named, None if request is None else request.decode()
    return named, _text(request)


def _answer(response: bytes | None) -> dict[str, Any]:
    if response is None or response[:1] in {b"{", b"["}:
        return {"json": None if response is None else Raw(response)}
    return {"textBody": _text(response)}


def _meta(call: _Call, request_id: str, request: bytes | None, response: bytes | None) -> dict[str, Any]:
    said = {
        "Helicone-Request-Id": request_id,
        "Helicone-User-Id": call.request_user_id,
        "Helicone-Model-Override": call.model_override,
        "Helicone-Prompt-Id": call.prompt_id,
        "Helicone-Prompt-Version": call.prompt_version,
        "Helicone-Omit-Request": "true" if request is None else None,
        "Helicone-Omit-Response": "true" if response is None else None,
    }
    found: dict[str, Any] = {name: value for name, value in said.items() if value}
    for name, raw in {**(call.request_properties or {}), **(call.properties or {})}.items():
        if not name or bytes(raw) == b"null":
            continue
        plain = name.lower()
        if plain == _PROMPT:
            found.setdefault("Helicone-Prompt-Id", _text(bytes(raw)))
        else:
            found[name if plain in _SESSION else f"Helicone-Property-{name}"] = _text(bytes(raw))
    return found


def _text(raw: bytes) -> str:
    """Of JSON that may be text."""
    return str(msgspec.json.decode(raw)) if raw[:1] == b'"' else raw.decode()


def _status(told: int | None) -> int:
    """A call without an answer has none of HTTP's."""
    return told if told is not None and (told in NO_ANSWER or told >= 100) else FAILED


def _cost(call: _Call) -> Any:
    return next((cost for cost in (call.cost, call.costUSD) if bytes(cost) not in _NOTHING), None)


def _ended(call: _Call, began: float) -> float:
    """Clocks of two machines may say that the answer came before the request."""
    told = None if call.response_created_at is None else _instant(call.response_created_at, "response_created_at")
    return told if told is not None and told >= began else began + max(call.delay_ms or 0, 0) / 1000


def _usage(call: _Call, *, ours: bool) -> dict[str, int] | None:
    """In our terms. Helicone writes -1 or 0 where it knows none."""
    counts = {
        "prompt": _known(call.prompt_tokens),
        "completion": _known(call.completion_tokens),
        "cacheRead": _known(call.prompt_cache_read_tokens),
        "cacheWrite": _known(call.prompt_cache_write_tokens),
        "reasoning": _known(call.reasoning_tokens),
        "audioInput": _known(call.prompt_audio_tokens),
        "audioOutput": _known(call.completion_audio_tokens),
    }
    told = {name: count for name, count in counts.items() if count is not None}
    if not {"prompt", "completion"} & told.keys() or (not ours and not any(told.values())):
        return None
    if not ours:
        told["prompt"] = told.get("prompt", 0) + told.get("cacheRead", 0) + told.get("cacheWrite", 0)
        told["completion"] = told.get("completion", 0) + told.get("reasoning", 0)
        told = {name: count for name, count in told.items() if count or name in {"prompt", "completion"}}
    return told


def _known(count: int | None) -> int | None:
    return None if count is None or count < 0 else count


def _reference(call: _Call) -> str | None:
    return None if call.cache_reference_id in {None, "", NO_CACHE} else call.cache_reference_id


def _scores(call: _Call) -> dict[str, float]:
    return {name.removesuffix(BOOLEAN_SCORE): float(value) for name, value in (call.scores or {}).items() if name and value is not None}
