"""The two events of a call that a client tells of afterwards: the same as of a proxied one, of another source."""

import hashlib
from functools import lru_cache
from typing import Any

from eventlog.events import Body, CallFacts, CallId, Organization, Outcome, RequestId, RequestReceived, ResponseCompleted
from ingress.async_log import BLOCKED, CANCELLED, NO_ANSWER, TIMED_OUT, Logged
from ingress.copies import Copy
from ingress.directives import Directives
from ingress.providers import provider_at
from ingress.recording import COUNTED_BYTES, NO_BODY, USAGE_SEARCHED, asked_of, call_id_of, instant, said_by, tells_usage
from ingress.secrets import HINT, mask_target, masked
from ingress.streams import is_event_stream
from ingress.upstream import Origin

NOWHERE = "async-unknown-path"
"""The path of a call of which nobody said where it went; Helicone's."""
CUSTOM = "custom"
"""The provider of a call of which nobody said whose model it was."""
_OUTCOMES = {CANCELLED: Outcome.INTERRUPTED_BY_CLIENT, TIMED_OUT: Outcome.TIMED_OUT, BLOCKED: Outcome.REJECTED}
_ERRORS = {
    Outcome.INTERRUPTED_BY_CLIENT: "The caller cancelled the call, it says.",
    Outcome.TIMED_OUT: "The call took too long, its caller says.",
    Outcome.REJECTED: "The call was blocked, its caller says.",
}


def events_of(
    logged: Logged, directives: Directives, *, organization: Organization, call_id: CallId, provider: str, body_limit: int
) -> tuple[RequestReceived, ResponseCompleted]:
    """`provider` is what the endpoint stands for; bodies are kept up to `body_limit` bytes, as those of proxied calls are."""
    asked, answered = _copy(logged.request, body_limit), _copy(logged.response, body_limit)
    outcome = _outcome(logged.status)
    facts = _facts(logged, directives, organization, call_id, provider)
    request, times, stated = asked.body(logged.request_type), logged.times, logged.stated
    status = None if logged.status in NO_ANSWER else logged.status
    return (
        RequestReceived(call=facts, request=_omitted(request) if directives.omit_request else request),
        ResponseCompleted(
            call=facts,
            completed_at=instant(times.ended),
            outcome=outcome,
            status=status,
            latency_ms=round((times.ended - times.began) * 1000, 3) if stated.latency_ms is None else stated.latency_ms,
            ttft_ms=times.ttft_ms,
            request_bytes=asked.size,
            response=answered.body(
                logged.content_type, omitted=directives.omit_response, broken_off=outcome is Outcome.INTERRUPTED_BY_CLIENT
            ),
            request=request if _may_be_counted(logged) and _is_to_be_counted(asked, answered, facts, outcome) else NO_BODY,
            request_truncated=asked.truncated,
            error=_ERRORS.get(outcome),
            stated_cost_usd=logged.stated_cost,
            stated_usage=logged.usage,
            attempts=1 if stated.cache_reference_id is None else 0,
            cache_hit=stated.cache_reference_id is not None,
            cache_reference_id=stated.cache_reference_id,
        ),
    )


def once_id(organization: Organization, request_id: RequestId, began: float) -> CallId:
    """The same for the same call, and nobody can ask for one of another organization's."""
    microseconds = round(began * 1_000_000)
    return call_id_of(began, hashlib.sha256(f"{organization}\0{request_id}\0{microseconds}".encode()).hexdigest())


def _outcome(status: int) -> Outcome:
    if status in NO_ANSWER:
        return _OUTCOMES.get(status, Outcome.PROVIDER_ERROR)
    return Outcome.COMPLETED if status < 400 else Outcome.PROVIDER_ERROR


def _facts(logged: Logged, directives: Directives, organization: Organization, call_id: CallId, provider: str) -> CallFacts:
    asked = asked_of(logged.request)
    path, target_url, host = whereabouts(logged.url)
    said: dict[str, Any] = said_by(directives)
    return CallFacts(
        call_id=call_id,
        request_id=RequestId(directives.request_id or call_id),
        organization=organization,
        created_at=instant(logged.times.began),
        provider=provider_of(logged.provider, provider, host),
        method="POST",
        path=path,
        target_url=target_url,
        model=_model(logged) if logged.step is not None else asked.model or logged.model,
        stream=asked.stream or is_event_stream(logged.content_type),
        user_id=directives.user_id or asked.user,
        traceparent=logged.traceparent,
        source=logged.source,
        step=logged.step,
        prompt_inputs={} if directives.omit_request else dict(logged.prompt_inputs),
        **said,
    )


def _model(logged: Logged) -> str:
    """A step is shown by its kind and its name: `tool:search`. Source: Helicone docs, "Sessions"."""
    return str(logged.step) if logged.name is None else f"{logged.step}:{logged.name}"


def provider_of(named: str | None, endpoint: str, host: str | None) -> str:
    """What the caller says, else what the endpoint stands for; where that is nobody, who answers at the host."""
    if named is not None:
        return named
    return endpoint if endpoint != CUSTOM or host is None else provider_at(host)


@lru_cache(1024)
def whereabouts(url: str | None) -> tuple[str, str, str | None]:
    """Path and URL as they may be written down, and the host. A name that is no URL stands for both."""
    if url is None:
        return NOWHERE, "", None
    plain = masked(url.encode()).decode() if HINT in url.encode() else url
    try:
        origin, _ = Origin.parse(plain)
    except ValueError:
        named = mask_target(plain)
        return named, named, None
    rest = plain.partition("://")[2]
    slash = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    path = mask_target(rest[slash:].partition("#")[0])
    path = path if path.startswith("/") else f"/{path}"
    return path, f"{origin}{path}", origin.host


def _copy(data: bytes, limit: int) -> Copy:
    copy = Copy(limit)
    if data:
        copy.feed(data)
    copy.end()
    return copy


def _omitted(body: Body) -> Body:
    return Body(size=body.size, content_type=body.content_type, omitted=True)


def _may_be_counted(logged: Logged) -> bool:
    """Nobody stated the tokens, and the words are there."""
    return logged.usage is None and logged.countable


def _is_to_be_counted(asked: Copy, answered: Copy, facts: CallFacts, outcome: Outcome) -> bool:
    """The answer does not say what was used, and both bodies are short enough to be counted from."""
    if facts.step is not None or facts.model is None or facts.omit_request or not answered.size:
        return False
    if outcome not in {Outcome.COMPLETED, Outcome.INTERRUPTED_BY_CLIENT, Outcome.TIMED_OUT} or asked.size > COUNTED_BYTES:
        return False
    return asked.size + answered.size <= answered.limit and not any(map(tells_usage, answered.ends(USAGE_SEARCHED)))
