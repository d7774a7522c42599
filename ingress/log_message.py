"""What Helicone's services tell each other of a call: the message of its queue, posted to `/v1/log/request`.

It has no bodies, which lie in their object storage; so tokens are those that the message states. Helicone counts cached and audio tokens
beside the prompt, and reasoning beside the answer. Source: its `clients/producers/types.ts` and usage processors (read 2026-11-24).
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from eventlog.events import TokenUsage
from ingress.async_log import (
    EVENTS,
    JSON,
    LONGEST_TTFT_MS,
    NAME_CHARACTERS,
    URL_CHARACTERS,
    BadLog,
    Headers,
    Logged,
    Saying,
    Times,
    cost,
    instant_of,
    merged,
    named_texts,
    number,
    provider_name,
    required,
    said,
    status_of,
    struct_of,
    text_or_none,
    tokens,
)
from ingress.prompts import kept_inputs

REQUEST, RESPONSE = "log.request", "log.response"


EXAMPLE = {
    "authorization": "Bearer sk-helicone-…",
    "heliconeMeta": {},
    "log": {
        "request": {"id": "0190a0b0-1111-4222-8333-444455556666", "provider": "OPENAI", "properties": {"plan": "pro"}, "isStream": False},
        "response": {"status": 200, "delayMs": 1250, "model": "gpt-4o-mini", "promptTokens": 8, "completionTokens": 9},
    },
}


class _Message(Struct):
    authorization: Raw = Raw()
    heliconeMeta: Raw = Raw()  # noqa: N815 the wire's names
    log: Raw = Raw()


class _Meta(Struct, rename="camel"):
    model_override: Raw = Raw()
    omit_request_log: Raw = Raw()
    omit_response_log: Raw = Raw()
    prompt_id: Raw = Raw()
    prompt_version_id: Raw = Raw()
    prompt_inputs: Raw = Raw()


class _Log(Struct):
    request: Raw = Raw()
    response: Raw = Raw()


class _Request(Struct, rename="camel"):
    id: Raw = Raw()
    user_id: Raw = Raw()
    prompt_id: Raw = Raw()
    prompt_version: Raw = Raw()
    properties: Raw = Raw()
    target_url: Raw = Raw()
    path: Raw = Raw()
    provider: Raw = Raw()
    request_created_at: Raw = Raw()
    is_stream: Raw = Raw()


class _Response(Struct, rename="camel"):
    status: Raw = Raw()
    time_to_first_token: Raw = Raw()
    response_created_at: Raw = Raw()
    delay_ms: Raw = Raw()
    cost: Raw = Raw()
    model: Raw = Raw()
    prompt_tokens: Raw = Raw()
    completion_tokens: Raw = Raw()
    prompt_cache_read_tokens: Raw = Raw()
    prompt_cache_write_tokens: Raw = Raw()
    prompt_audio_tokens: Raw = Raw()
    completion_audio_tokens: Raw = Raw()
    reasoning_tokens: Raw = Raw()


def parse_message(body: bytes, headers: Headers, now: float) -> Logged:
    """Raises BadLog and TooLong."""
    message = struct_of(_Message, body, "body")
    log = struct_of(_Log, bytes(required(message.log, "log")), "log")
    request = struct_of(_Request, bytes(required(log.request, REQUEST)), REQUEST)
    response = struct_of(_Response, bytes(required(log.response, RESPONSE)), RESPONSE)
    meta = _Meta() if said(message.heliconeMeta) is None else struct_of(_Meta, bytes(message.heliconeMeta), "heliconeMeta")
    all_headers, paths = merged(_sayings(message, meta, request), headers, "log.request.properties")
    return Logged(
        url=_url(request),
        request=b"",
        response=b"",
        content_type=EVENTS if said(request.is_stream) == b"true" else JSON,
        status=status_of(response.status, f"{RESPONSE}.status"),
        times=_times(request, response, now),
        headers=all_headers,
        from_meta=paths,
        provider=provider_name(request.provider, f"{REQUEST}.provider"),
        stated_cost=cost(response.cost, f"{RESPONSE}.cost"),
        model=text_or_none(response.model, f"{RESPONSE}.model", NAME_CHARACTERS, "gpt-4o"),
        usage=_usage(response),
        prompt_inputs={} if said(meta.prompt_inputs) is None else _inputs(meta.prompt_inputs),
    )


def _inputs(raw: Raw) -> dict[str, str]:
    try:
        return kept_inputs(msgspec.json.decode(bytes(raw), type=dict[str, Any]))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise BadLog("heliconeMeta.promptInputs", "must be an object of names and values") from None


def _sayings(message: _Message, meta: _Meta, request: _Request) -> list[Saying]:
    properties = {} if said(request.properties) is None else named_texts(request.properties, f"{REQUEST}.properties")
    return [
        ("Helicone-Auth", message.authorization, "authorization"),
        ("Helicone-Request-Id", request.id, f"{REQUEST}.id"),
        ("Helicone-User-Id", request.user_id, f"{REQUEST}.userId"),
        ("Helicone-Prompt-Id", meta.prompt_id, "heliconeMeta.promptId"),
        ("Helicone-Prompt-Id", request.prompt_id, f"{REQUEST}.promptId"),
        ("Helicone-Prompt-Version", meta.prompt_version_id, "heliconeMeta.promptVersionId"),
        ("Helicone-Prompt-Version", request.prompt_version, f"{REQUEST}.promptVersion"),
        ("Helicone-Model-Override", meta.model_override, "heliconeMeta.modelOverride"),
        ("Helicone-Omit-Request", meta.omit_request_log, "heliconeMeta.omitRequestLog"),
        ("Helicone-Omit-Response", meta.omit_response_log, "heliconeMeta.omitResponseLog"),
        *((_header(name), value, f"{REQUEST}.properties.{name[:NAME_CHARACTERS]}") for name, value in properties.items()),
    ]


def _header(name: str) -> str:
    """A session is three properties there."""
    return name if name.lower().startswith("helicone-session-") else f"Helicone-Property-{name}"


def _url(request: _Request) -> str | None:
    """The proxy tells the whole URL as the path."""
    url = text_or_none(request.target_url, f"{REQUEST}.targetUrl", URL_CHARACTERS, "https://api.openai.com/v1/chat/completions")
    return url or text_or_none(request.path, f"{REQUEST}.path", URL_CHARACTERS, "https://api.openai.com/v1/chat/completions")


def _times(request: _Request, response: _Response, now: float) -> Times:
    began = now
    if said(request.request_created_at) is not None:
        began = instant_of(request.request_created_at, f"{REQUEST}.requestCreatedAt", now)
    ended = began
    if said(response.delay_ms) is not None:
        ended = began + number(response.delay_ms, f"{RESPONSE}.delayMs", "milliseconds that the call took, such as 1250") / 1000
        if ended > now + LONGEST_TTFT_MS / 1000:
            raise BadLog(f"{RESPONSE}.delayMs", "must be milliseconds that the call took; so the call would end in the future")
    elif said(response.response_created_at) is not None:
        ended = instant_of(response.response_created_at, f"{RESPONSE}.responseCreatedAt", now)
        if ended < began:
            raise BadLog(f"{RESPONSE}.responseCreatedAt", f"cannot be before {REQUEST}.requestCreatedAt")
    if said(response.time_to_first_token) is None:
        return Times(began, ended)
    return Times(began, ended, number(response.time_to_first_token, f"{RESPONSE}.timeToFirstToken", "milliseconds, such as 120"))


def _usage(response: _Response) -> TokenUsage | None:
    """Helicone writes -1 where it knows none."""
    prompt, completion = _count(response.prompt_tokens, "promptTokens"), _count(response.completion_tokens, "completionTokens")
    if prompt is None or completion is None:
        return None
    read = _count(response.prompt_cache_read_tokens, "promptCacheReadTokens")
    write = _count(response.prompt_cache_write_tokens, "promptCacheWriteTokens")
    heard, spoken = (
        _count(response.prompt_audio_tokens, "promptAudioTokens"),
        _count(response.completion_audio_tokens, "completionAudioTokens"),
    )
    reasoning = _count(response.reasoning_tokens, "reasoningTokens")
    return TokenUsage(
        prompt=prompt + (read or 0) + (write or 0) + (heard or 0),
        completion=completion + (reasoning or 0) + (spoken or 0),
        cache_read=read,
        cache_write=write,
        audio_input=heard,
        audio_output=spoken,
        reasoning=reasoning,
    )


def _count(raw: Raw, name: str) -> int | None:
    return None if said(raw) in {None, b"-1"} else tokens(raw, f"{RESPONSE}.{name}")
