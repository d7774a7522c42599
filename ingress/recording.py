"""The facts of one call as they become known, and the two events that are made of them."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from os import urandom
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from eventlog.events import (
    DEFAULT_ORGANIZATION,
    Body,
    CallFacts,
    CallId,
    Outcome,
    RequestId,
    RequestReceived,
    ResponseCompleted,
    Spend,
    Try,
)
from eventlog.keys import ApiKey
from ingress.beside import beside
from ingress.cache import Saving
from ingress.copies import Copy, body_of, without
from ingress.directives import NOTHING, Directives
from ingress.heads import RequestHead
from ingress.routes import Route
from ingress.secrets import mask_target
from ingress.streams import ENDING, has_ended, is_event_stream
from ingress.telemetry import UNKNOWN
from ingress.upstream import Origin

_POOL = 8_192
"""Hexadecimal digits that are drawn at once."""
_DIGITS = 19
"""So many, four bits each but for one of two, are a call's own: 74 bits."""
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
_WHOLE = frozenset({Outcome.COMPLETED, Outcome.PROVIDER_ERROR})
_NOT_ASKED = frozenset({Outcome.REJECTED, Outcome.RATE_LIMITED})
_UNCOUNTED = _NOT_ASKED | {Outcome.PROVIDER_ERROR, Outcome.UNREACHABLE, Outcome.ABANDONED}
_HEAD_SEARCHED = 1 << 20


USAGE = b'"usage'
_USAGE = re.compile(rb'"usage\w*"\s*:\s*[^n\s]')
"""`usage`, `usageMetadata`, unless it is null."""
COUNTS = (b"TokenCount", b"_count")
_COUNTS = re.compile(rb'"(\w*TokenCount|\w*token_count|(prompt_)?eval_count)"\s*:\s*[^n\s]')
"""What else providers tell it by: `inputTextTokenCount`, `prompt_token_count`, `prompt_eval_count`."""
USAGE_SEARCHED = 64 << 10
"""Bytes of an answer's end that are searched for it, beside its beginning."""
COUNTED_BYTES = 1 << 20
"""A longer request is not sent along to be counted."""
MODELS_IN_PATH = (b":generateContent", b":streamGenerateContent", b"/converse", b"/deployments/")
"""Of calls that name the model in their path, not in their body."""
NO_BODY = Body()
NO_WORDS: Mapping[str, str] = {}
NO_COUNTS: Mapping[str, int] = {}


class CallIds:
    """Ids of calls: UUID version 7 (RFC 9562, section 5.7), so that they sort by time.

    Random digits come by the pool: one draw costs as much as a hundred.
    """

    def __init__(self) -> None:
        self._pool = ""
        self._next = _POOL

    def draw(self, now: float) -> CallId:
        """`now` in seconds since 1970."""
        begin = self._next
        if begin + _DIGITS > _POOL:
            self._pool, begin = urandom(_POOL // 2).hex(), 0
        self._next = begin + _DIGITS
        return call_id_of(now, self._pool[begin : begin + _DIGITS])


def call_id_of(began: float, digits: str) -> CallId:
    """The id of a call that began so many seconds after 1970. The first 19 hexadecimal `digits` are its own."""
    time = f"{int(began * 1000) & 0xFFFF_FFFF_FFFF:012x}"
    return CallId(f"{time[:8]}-{time[8:]}-7{digits[:3]}-{_VARIANT[digits[3]]}{digits[4:7]}-{digits[7:_DIGITS]}")


class _Wanted(Struct):
    """The fields of a request body that a call's facts need, of whatever type they turn out to be."""

    model: object = None
    stream: object = None
    user: object = None


class Asked(Struct, frozen=True):
    """What the request body says about the call."""

    model: str | None = None
    stream: bool = False
    user: str | None = None


NOT_SAID = Asked()
_wanted = msgspec.json.Decoder(_Wanted)
_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.){0,256}")')
# Bounded on purpose: callers choose the text, and an open end would be searched again from every field.
_FORM_FIELD = rb'\r\ncontent-disposition: *form-data; *name="?%s"?(?:\r\n[^\r\n]{1,200}){0,2}\r\n\r\n([^\r\n]{1,256})\r\n--'
_FORM_MODEL, _FORM_STREAM = (re.compile(_FORM_FIELD % name, re.IGNORECASE) for name in (b"model", b"stream"))
_STREAM = re.compile(rb'"stream"\s*:\s*true')


def _begins_an_object(body: bytes | bytearray) -> bool:
    return body[:1] == b"{" or body[:64].lstrip()[:1] == b"{"


def asked_of(body: bytes | bytearray) -> Asked:
    """Model, stream and user of a JSON body; model and stream of a form, in which images and sound are sent. Never raises."""
    if body[:2] == b"--":
        return _asked_by_form(bytes(body[:_HEAD_SEARCHED]))
    if not _begins_an_object(body):
        return NOT_SAID
    try:
        wanted = _wanted.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _glimpsed(bytes(body[:_HEAD_SEARCHED]))
    return Asked(
        wanted.model if isinstance(wanted.model, str) else None,
        wanted.stream is True,
        wanted.user if isinstance(wanted.user, str) and wanted.user else None,
    )


def _asked_by_form(head: bytes) -> Asked:
    """The fields that stand before the file, or after it where that is small."""
    model, stream = _FORM_MODEL.search(head), _FORM_STREAM.search(head)
    named = None if model is None else model[1].decode("utf-8", "replace")
    return Asked(named, stream is not None and stream[1].lower() == b"true")


def _glimpsed(head: bytes) -> Asked:
    """What can be seen in a body of which only the head was kept, or that is not quite JSON."""
    found = _MODEL.search(head)
    try:
        model = msgspec.json.decode(found[1], type=str) if found else None
    except msgspec.MsgspecError:
        model = None
    return Asked(model, _STREAM.search(head) is not None)


def tells_usage(text: bytes | bytearray) -> bool:
    if USAGE in text and _USAGE.search(text) is not None:
        return True
    return any(name in text for name in COUNTS) and _COUNTS.search(text) is not None


def instant(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)


def said_by(directives: Directives) -> dict[str, object]:
    """What headers said of the call's facts, but whose it is."""
    return {
        "model_override": directives.model_override,
        "cost_override": dict(directives.cost_override),
        "session_id": directives.session_id,
        "session_name": directives.session_name,
        "session_path": directives.session_path,
        "properties": directives.properties,
        "prompt_id": directives.prompt_id,
        "prompt_version": directives.prompt_version,
        "omit_request": directives.omit_request,
        "omit_response": directives.omit_response,
    }


@lru_cache(maxsize=1024)
def _text_of(origin: Origin) -> str:
    return str(origin)


class Recording:
    """One call. Its request is either `whole`, the bytes of a small one, or `copy`, of one that streams; its answer is a copy."""

    __slots__ = (
        "_asked",
        "_facts",
        "announced",
        "answer",
        "answer_type",
        "cache_reference_id",
        "call_id",
        "copy",
        "created_at",
        "directives",
        "ended",
        "fallback_index",
        "filled_in",
        "gave_up",
        "head",
        "kept",
        "key",
        "method",
        "organization",
        "own_headers",
        "prompt_inputs",
        "received",
        "redacting",
        "redactions",
        "request_id",
        "route",
        "saving",
        "spends",
        "status",
        "stored_request",
        "target",
        "tries",
        "ttft_ms",
        "whole",
    )

    def __init__(self, call_id: CallId, created_at: float, method: bytes, target: bytes, head: RequestHead) -> None:
        self.call_id = call_id
        self.request_id = RequestId(call_id)
        self.created_at = created_at
        self.method = method
        self.target = target
        self.head = head
        self.organization = DEFAULT_ORGANIZATION
        self.filled_in: str | None = None
        """The provider's key, where it is one that is kept here."""
        self.key: ApiKey | None = None
        """By which the caller is known."""
        self.own_headers: Sequence[tuple[bytes, bytes]] = ()
        """What the answer says besides, of what was asked for by headers."""
        self.prompt_inputs: Mapping[str, str] = NO_WORDS
        """What was filled into the prompt."""
        self.kept = True
        """It is written down."""
        self.directives: Directives = NOTHING
        self.route: Route | None = None
        self.whole: bytes | None = None
        self.copy: Copy | None = None
        self.answer: Copy | None = None
        self.answer_type: str | None = None
        self.announced: int | None = None
        """The answer's content length."""
        self.status: int | None = None
        self.ttft_ms: float | None = None
        self.tries: Sequence[Try] = ()
        """Of a call that may be made several times."""
        self.fallback_index: int | None = None
        self.cache_reference_id: str | None = None
        """The call whose answer is given again."""
        self.saving: Saving | None = None
        """The answer, where it is to be kept."""
        self.spends: tuple[Spend, ...] = ()
        """Where its cost counts."""
        self.gave_up = False
        """It failed as often as it might be tried."""
        self.received = False
        """RequestReceived was made."""
        self.ended = False
        """ResponseCompleted was made."""
        self.redacting: asyncio.Task[None] | None = None
        """A body of it is being searched, or was, for what is to be redacted."""
        self.redactions: Mapping[str, int] = NO_COUNTS
        """How often something was replaced in the request's stored body, by its name."""
        self.stored_request: Body | None = None
        """The request's body as it was written down, where something of it was to be redacted."""
        self._asked: Asked | None = None
        self._facts: CallFacts | None = None

    def direct(self, directives: Directives) -> None:
        self.directives = directives
        if directives.request_id is not None:
            self.request_id = RequestId(directives.request_id)

    async def goes_to(self, route: Route, body: bytes | None) -> None:
        """The next try's way, and what is sent there: from here on the call's facts are of this one."""
        if body is not None and body is not self.whole:
            asked = await beside(len(body), asked_of, body)
            copy = None if self.copy is None else self.copy.of(body)
            self.whole, self.copy, self._asked, self._facts = body, copy, asked, None
        if route is not self.route:
            self.route, self._facts = route, None

    def filled_with(self, inputs: Mapping[str, str]) -> None:
        if inputs:
            self.prompt_inputs, self._facts = inputs, None

    def made_of(self, version: str, inputs: Mapping[str, str]) -> None:
        """Of this version of the prompt that its directives name."""
        if self.directives.prompt_version is None:
            self.directives = replace(self.directives, prompt_version=version)
        self.prompt_inputs, self._facts = inputs or NO_WORDS, None

    def costs_count(self, spends: tuple[Spend, ...]) -> None:
        if spends:
            self.spends, self._facts = spends, None

    def tells(self, *headers: tuple[bytes, bytes]) -> None:
        """The answer says this besides."""
        self.own_headers = [*self.own_headers, *headers]

    def warn(self, warning: str) -> None:
        """Once, however often it is so."""
        known = self.directives.warning
        if known is None or warning not in known:
            self.directives = replace(self.directives, warning=warning if known is None else f"{known}; {warning}")

    @property
    def provider(self) -> str:
        return self.route.place.provider if self.route is not None else UNKNOWN

    @property
    def has_whole_answer(self) -> bool:
        """All of the answer was handed to the client: its announced length, or a stream with its end marker."""
        if self.answer is None:
            return False
        return self.answer.size == self.announced or (is_event_stream(self.answer_type) and has_ended(self.answer.ending(ENDING)))

    # The events

    def request_received(self, *, with_body: bool = True) -> RequestReceived:
        self.received = True
        omitted = self.directives.omit_request
        if with_body and not omitted:
            body = self._request_body()
        else:
            size = self.request_bytes or self.head.content_length or 0
            body = Body(size=size, content_type=self.head.content_type, omitted=omitted, truncated=not omitted)
        return RequestReceived(call=self.facts(), request=body)

    def response_completed(self, outcome: Outcome, now: float, latency_ms: float, error: str | None = None) -> ResponseCompleted:
        self.ended = True
        return ResponseCompleted(
            call=self.facts(),
            completed_at=instant(now),
            outcome=outcome,
            status=self.status,
            latency_ms=latency_ms,
            ttft_ms=self.ttft_ms,
            request_bytes=self.request_bytes,
            response=self._response_body(broken_off=outcome not in _WHOLE),
            request=self._request_body() if self._tells_no_usage(outcome) else NO_BODY,
            request_truncated=self.copy is not None and self.copy.truncated,
            error=error,
            **({} if self._asked_once(outcome) else self._tried(outcome)),
        )

    def _tells_no_usage(self, outcome: Outcome) -> bool:
        """The answer of a model does not say what was used: it broke off, or nobody asked for that. Both bodies go on together then."""
        answer = self.answer
        if answer is None or not answer.size or self.directives.omit_request or outcome in _UNCOUNTED or (self.status or 0) >= 400:
            return False
        if outcome is Outcome.COMPLETED and any(map(tells_usage, answer.ends(USAGE_SEARCHED))):
            return False
        if not 0 < self.request_bytes <= COUNTED_BYTES or self.request_bytes + answer.size > answer.limit or not self._asked_in_json:
            return False
        return self._what_was_asked().model is not None or any(path in self.target for path in MODELS_IN_PATH)

    @property
    def _asked_in_json(self) -> bool:
        said = self.whole if self.copy is None else self.copy.head
        return said is not None and _begins_an_object(said)

    def _asked_once(self, outcome: Outcome) -> bool:
        """The provider was, as in most calls, and there was no other way."""
        return not (self.tries or outcome in _NOT_ASKED) and self.fallback_index is None and self.cache_reference_id is None

    def _tried(self, outcome: Outcome) -> dict[str, Any]:
        """What came of the tries, and of the cache."""
        asked = 0 if outcome in _NOT_ASKED or self.cache_reference_id is not None else 1
        return {
            "attempts": len(self.tries) or asked,
            "tries": tuple(self.tries),
            "fallback_index": self.fallback_index,
            "cache_hit": self.cache_reference_id is not None,
            "cache_reference_id": self.cache_reference_id,
        }

    def facts(self) -> CallFacts:
        """Made once, when the request body is known; before that, as much as there is."""
        if self._facts is not None:
            return self._facts
        facts = self._make_facts()
        if self.whole is not None or self._asked is not None:
            self._facts = facts
        return facts

    def _make_facts(self) -> CallFacts:
        directives, asked = self.directives, self._what_was_asked()
        target, base = self._where()
        said: dict[str, Any] = {} if directives is NOTHING else said_by(directives)
        if self.prompt_inputs and not directives.omit_request:
            said["prompt_inputs"] = self.prompt_inputs
        if self.spends:
            said["spends"] = self.spends
        return CallFacts(
            call_id=self.call_id,
            request_id=self.request_id,
            organization=self.organization,
            created_at=instant(self.created_at),
            provider=self.provider,
            method=self.method.decode("latin-1"),
            path=target,
            target_url=base + target,
            model=asked.model,
            stream=asked.stream or b"alt=sse" in self.target,
            user_id=directives.user_id or asked.user,
            traceparent=self.head.traceparent,
            **said,
        )

    def _where(self) -> tuple[str, str]:
        """Path and query, and the origin before them; both without secrets."""
        target = self.target if self.route is None else self.route.target
        text = target.decode("utf-8", "replace")
        return (mask_target(text) if "?" in text else text), ("" if self.route is None else _text_of(self.route.place.origin))

    def _what_was_asked(self) -> Asked:
        if self._asked is not None:
            return self._asked
        if self.whole is not None and self.copy is None:
            self._asked = asked_of(self.whole)
            return self._asked
        return asked_of(self.copy.head) if self.copy is not None else NOT_SAID

    async def request_complete(self) -> None:
        """All of the request is known: `whole`, or a copy of it."""
        if self.copy is not None:
            self.copy.end()
        said = self.whole if self.copy is None else self.copy.head
        if said is not None:
            self._asked = await beside(len(said), asked_of, said)

    # The bodies

    @property
    def request_bytes(self) -> int:
        if self.copy is not None:
            return self.copy.size
        return len(self.whole) if self.whole is not None else 0

    def _request_body(self) -> Body:
        if self.copy is not None:
            return self.copy.body(self.head.content_type)
        if self.whole:
            return body_of(self.whole, self.head.content_type)
        return Body(content_type=self.head.content_type)

    def _response_body(self, *, broken_off: bool) -> Body:
        """The text travels even where the caller wants it not kept, since tokens are counted from it; `omitted` says to drop it then."""
        if self.answer is None:
            return Body()
        self.answer.end()
        body = self.answer.body(self.answer_type, omitted=self.directives.omit_response, broken_off=broken_off)
        return body if self.filled_in is None else without(self.filled_in, body)
