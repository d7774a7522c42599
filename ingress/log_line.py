"""A line of a batch: a call as `/custom/v1/log` takes it, and beside it `stated`, which is what else its teller knows of it.

That is for whoever brings calls from another store, where they were understood before: figures that stand in no body, and a call id that is
the same however often the call is told.
"""

from collections.abc import Mapping

from msgspec import Raw, Struct
from msgspec.structs import replace

from eventlog.events import TokenUsage
from ingress.async_log import (
    JSON,
    NAME_CHARACTERS,
    TEXT,
    BadLog,
    Headers,
    Logged,
    Stated,
    named_texts,
    number,
    parse_log,
    said,
    struct_of,
    text_or_none,
    tokens,
    value_of,
)

LONGEST_MS = 30 * 86_400_000.0
STATED = "stated"
_MARK = b'"stated"'


class _Line(Struct):
    stated: Raw = Raw()


class _Stated(Struct, rename="camel"):
    once: Raw = Raw()
    latency_ms: Raw = Raw()
    usage: Raw = Raw()
    inputs: Raw = Raw()
    request_text: Raw = Raw()
    cache_reference_id: Raw = Raw()


class _Usage(Struct, rename="camel"):
    prompt: Raw = Raw()
    completion: Raw = Raw()
    cache_read: Raw = Raw()
    cache_write: Raw = Raw()
    reasoning: Raw = Raw()
    audio_input: Raw = Raw()
    audio_output: Raw = Raw()


def parse_line(body: bytes, headers: Headers, now: float) -> Logged:
    """Raises BadLog and TooLong."""
    logged = parse_log(body, headers, now)
    if _MARK not in body:
        return logged
    told = struct_of(_Line, body, "body").stated
    if said(told) is None:
        return logged
    stated = struct_of(_Stated, bytes(told), STATED)
    text = _text(stated.request_text)
    if text is not None:
        logged = replace(logged, request=text.encode(), request_type=JSON if text.lstrip()[:1] in {"{", "["} else TEXT)
    latency = None
    if said(stated.latency_ms) is not None:
        latency = number(stated.latency_ms, f"{STATED}.latencyMs", "milliseconds that the call took, such as 1250")
        if latency > LONGEST_MS:
            raise BadLog(f"{STATED}.latencyMs", "must be milliseconds that the call took, such as 1250; this is more than thirty days")
    return replace(
        logged,
        usage=None if said(stated.usage) is None else _usage(stated.usage),
        prompt_inputs=_inputs(stated.inputs),
        stated=Stated(
            once=_once(stated.once),
            latency_ms=latency,
            cache_reference_id=text_or_none(stated.cache_reference_id, f"{STATED}.cacheReferenceId", NAME_CHARACTERS, "0190c5d4-9c8b-…"),
        ),
    )


def _once(raw: Raw) -> bool:
    found = None if said(raw) is None else value_of(raw, f"{STATED}.once")
    if found is None or isinstance(found, bool):
        return found is True
    raise BadLog(f"{STATED}.once", "must be true or false")


def _text(raw: Raw) -> str | None:
    found = None if said(raw) is None else value_of(raw, f"{STATED}.requestText")
    if found is None or isinstance(found, str):
        return found
    raise BadLog(f"{STATED}.requestText", "must be text: the request's body, where that is no JSON object")


def _inputs(raw: Raw) -> Mapping[str, str]:
    """What was filled into the prompt."""
    if said(raw) is None:
        return {}
    found: dict[str, str] = {}
    for name, each in named_texts(raw, f"{STATED}.inputs").items():
        value = value_of(each, f"{STATED}.inputs.{name[:NAME_CHARACTERS]}")
        found[name] = value if isinstance(value, str) else bytes(each).decode()
    return found


def _usage(raw: Raw) -> TokenUsage:
    """Tokens in our terms: parts are parts of the whole prompt, or of the whole answer."""
    told = struct_of(_Usage, bytes(raw), f"{STATED}.usage")
    return TokenUsage(
        prompt=_count(told.prompt, "prompt"),
        completion=_count(told.completion, "completion"),
        cache_read=_count(told.cache_read, "cacheRead"),
        cache_write=_count(told.cache_write, "cacheWrite"),
        reasoning=_count(told.reasoning, "reasoning"),
        audio_input=_count(told.audio_input, "audioInput"),
        audio_output=_count(told.audio_output, "audioOutput"),
    )


def _count(raw: Raw, name: str) -> int | None:
    return None if said(raw) is None else tokens(raw, f"{STATED}.usage.{name}")
