"""A call that a client tells of afterwards: bytes and headers in, values out, or an error that names the field and the fix.

Metadata comes in headers, and in `providerRequest.meta`, which is read as more headers; real ones win. Both bodies are kept as they were
sent. Source: Helicone's `AsyncLog.ts` and manual logging docs, and what its packages send (read 2026-11-24).
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from eventlog.events import Source, Step, TokenUsage
from ingress.directives import PREFIX

BODY_CHARACTERS = 10 << 20
"""Helicone's limit."""
BODY_BYTES = 3 * BODY_CHARACTERS
"""As many characters as UTF-8 writes them at their longest, counted in JavaScript's way."""
META_TEXT_BYTES = 1 << 20
"""Of all that a client sends as `meta`."""
META_BYTES = 64 << 10
"""Names and values of what is read as headers: real ones may not be longer together."""
URL_CHARACTERS = 8_192
NAME_CHARACTERS = 100
AHEAD_S = 600.0
"""Clocks of other machines may be ahead by so much."""
LONGEST_TTFT_MS = 86_400_000.0
MOST_PIECES = 200_000
"""Of a stream in a list."""
MILLISECONDS_FROM = 4_102_444_800
"""Digits from this number on, the year 2100, are milliseconds; Helicone reads them so."""
MOST_USD = 1_000_000
MOST_TOKENS = 1_000_000_000

CANCELLED, TIMED_OUT, BLOCKED, FAILED = -3, -2, -4, -100
"""Helicone's statuses of calls that have none of HTTP's."""
NO_ANSWER = frozenset({CANCELLED, TIMED_OUT, BLOCKED, FAILED})

EVENTS, JSON, TEXT = "text/event-stream", "application/json", "text/plain"
EVENT_FIELDS = ("data:", "event:", ":", "id:", "retry:")

T = TypeVar("T")
Headers = Sequence[tuple[bytes, bytes]]
Saying = tuple[str, Raw, str]
"""A header's name, what is said in its place, and the path where."""

_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)", re.DOTALL)
_LONE = b"\\ufffd"
_NEXT = re.compile(r"[^\s,]")
_scan = json.JSONDecoder().raw_decode
_STEPS = frozenset(Step)
_DIGITS = re.compile(r"\d{1,15}(\.\d{1,9})?", re.ASCII)


class BadLog(Exception):
    """A field of what was sent cannot be understood. `field` is its path, the message says what would be right."""

    retryable = False

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Refused(Exception):
    """It is answered in plain words, as Helicone answers it, and nothing is written down."""

    retryable = False

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class TooLong(Refused):
    """There are more characters than anybody logs."""

    def __init__(self) -> None:
        super().__init__(400, "Payload too large")


class Times(Struct, frozen=True):
    """Seconds since 1970, and milliseconds from the beginning to the first token. Where nothing was said, now."""

    began: float
    ended: float
    ttft_ms: float | None = None
    told: bool = True


class Stated(Struct, frozen=True, kw_only=True):
    """What is known of a call beside its bodies, where it was understood before."""

    once: bool = False
    """Its call id is made of whose it is, its request id and its beginning: however often it is told, that is one id."""
    latency_ms: float | None = None
    """Where it is not what lies between the two times."""
    cache_reference_id: str | None = None
    """The call whose answer a cache gave again."""


NOTHING_STATED = Stated()


class Logged(Struct, frozen=True, kw_only=True):
    """A call as its caller tells of it."""

    url: str | None
    """Where it went: a URL, or a name that stands for one."""
    request: bytes
    """JSON, as it was sent."""
    response: bytes
    content_type: str
    status: int
    """HTTP's, or one of `NO_ANSWER`."""
    times: Times
    headers: Headers
    """All that is said of it by headers and by `meta`; names are lower-case."""
    from_meta: Mapping[bytes, str]
    """Names that `meta` says and no header does, with the path of each."""
    provider: str | None = None
    stated_cost: str | None = None
    """USD, in plain digits."""
    step: Step | None = None
    name: str | None = None
    """Of the tool, or the data."""
    model: str | None = None
    """Where the request does not name it."""
    usage: TokenUsage | None = None
    """Where no answer was sent that could tell it."""
    countable: bool = True
    """Both bodies have the words that were said, so that tokens may be counted from them."""
    source: Source = Source.ASYNC_LOG
    traceparent: str | None = None
    prompt_inputs: Mapping[str, str] = {}
    """What was filled into its prompt."""
    request_type: str = JSON
    stated: Stated = NOTHING_STATED


class _Whole(Struct):
    providerRequest: Raw = Raw()  # noqa: N815 the wire's names
    providerResponse: Raw = Raw()  # noqa: N815
    timing: Raw = Raw()
    provider: Raw = Raw()


class _Request(Struct):
    url: Raw = Raw()
    json: Raw = Raw()
    meta: Raw = Raw()


class _Response(Struct):
    json: Raw = Raw()
    textBody: Raw = Raw()  # noqa: N815
    status: Raw = Raw()
    headers: Raw = Raw()
    cost: Raw = Raw()


class _Timing(Struct):
    startTime: Raw = Raw()  # noqa: N815
    endTime: Raw = Raw()  # noqa: N815
    timeToFirstToken: Raw = Raw()  # noqa: N815


class _Clock(Struct):
    seconds: Raw = Raw()
    milliseconds: Raw = Raw()


class _PlainClock(Struct):
    seconds: float
    milliseconds: float

    @property
    def instant(self) -> float:
        return self.seconds + self.milliseconds / 1000


class _PlainTiming(Struct):
    """As nearly everybody sends it. What does not fit is read field by field, so that the one that is wrong can be named."""

    startTime: _PlainClock  # noqa: N815
    endTime: _PlainClock  # noqa: N815
    timeToFirstToken: float | None = None  # noqa: N815

    @property
    def sound(self) -> bool:
        figures = (self.startTime.seconds, self.startTime.milliseconds, self.endTime.seconds, self.endTime.milliseconds)
        return min(*figures, self.timeToFirstToken or 0) >= 0


class _Streamed(Struct):
    streamed_data: Raw = Raw()


class _Step(Struct):
    type: Raw = msgspec.field(default=Raw(), name="_type")
    toolName: Raw = Raw()  # noqa: N815
    name: Raw = Raw()


def parse_log(body: bytes, headers: Headers, now: float) -> Logged:
    """What a client posts to one of Helicone's endpoints. Raises BadLog and TooLong."""
    whole = struct_of(_Whole, body, "body")
    request = _struct(_Request, _required(whole.providerRequest, "providerRequest"), "providerRequest")
    response = _struct(_Response, _required(whole.providerResponse, "providerResponse"), "providerResponse")
    asked = _required(request.json, "providerRequest.json")
    if asked[:1] != b"{":
        raise BadLog("providerRequest.json", "must be an object: the request's body as it was sent to the provider")
    if said(response.headers) is not None and bytes(response.headers)[:1] != b"{":
        raise BadLog("providerResponse.headers", "must be an object of names and values, or left out")
    answer, content_type = _answer(response)
    all_headers, from_meta = merged(_of_meta(request.meta), headers, "providerRequest.meta")
    step, name = _step(asked)
    return Logged(
        url=text_or_none(request.url, "providerRequest.url", URL_CHARACTERS, "custom-model-nopath"),
        request=asked,
        response=answer,
        content_type=content_type,
        status=status_of(response.status, "providerResponse.status"),
        times=_times(whole.timing, now),
        headers=all_headers,
        from_meta=from_meta,
        provider=provider_name(whole.provider, "provider"),
        stated_cost=cost(response.cost, "providerResponse.cost"),
        step=step,
        name=name,
    )


def struct_of(kind: type[T], body: bytes, path: str) -> T:
    """All that was sent. Half a surrogate pair in it is replaced: pieces of a stream have that which were cut within a character.

    Raises BadLog and TooLong.
    """
    try:
        if len(body) > BODY_CHARACTERS and _units(body.decode()) > BODY_CHARACTERS:
            raise TooLong
        if not body.isascii():
            body.decode()
    except UnicodeDecodeError:
        raise BadLog(path, "must be JSON in UTF-8") from None
    try:
        return _struct(kind, body, path)
    except BadLog:
        if (whole := mended(body)) == body:
            raise
    return _struct(kind, whole, path)


def mended(body: bytes) -> bytes:
    """JSON in which half of a surrogate pair, which nobody can read, is replaced."""
    return _ESCAPE.sub(_mended, body) if b"\\ud" in body or b"\\uD" in body else body


def _units(text: str) -> int:
    """Characters as JavaScript counts them."""
    return len(text.encode("utf-16-le")) // 2


def _mended(found: re.Match[bytes]) -> bytes:
    text = found[0]
    return _LONE if len(text) == 6 and text[1:3].lower() == b"ud" else text


# The answer


def _answer(response: _Response) -> tuple[bytes, str]:
    """`textBody` wins where it says something. `streamed_data` becomes the events of a stream."""
    text = said(response.textBody)
    if text is not None:
        plain = value_of(response.textBody, "providerResponse.textBody")
        if not isinstance(plain, str):
            raise BadLog("providerResponse.textBody", "must be text, the answer's body as it came, or left out")
        if plain:
            return plain.encode(), _kind(plain)
    elif not bytes(response.json):
        raise BadLog("providerResponse.json", "is required, unless there is a textBody; {} is enough")
    answer = bytes(response.json)
    if answer in {b"", b"null"}:
        return b"", JSON
    if answer[:1] == b"[":
        return answer, JSON
    if answer[:1] != b"{":
        raise BadLog("providerResponse.json", "must be an object or a list; send text as providerResponse.textBody")
    streamed = _struct(_Streamed, answer, "providerResponse.json").streamed_data
    if said(streamed) is None:
        return answer, JSON
    return _streamed(bytes(streamed)), EVENTS


def _kind(text: str) -> str:
    start = text[:1024].lstrip("\ufeff \t\r\n")
    if start.startswith(EVENT_FIELDS):
        return EVENTS
    return JSON if start.startswith(("{", "[")) else TEXT


def _streamed(listed: bytes) -> bytes:
    path = "providerResponse.json.streamed_data"
    if listed[:1] != b"[":
        raise BadLog(path, "must be a list of the stream's pieces")
    events: list[bytes] = []
    for piece in _items(listed.decode()):
        events.append(_event(piece.encode(), f"{path}[{len(events)}]"))
        if len(events) > MOST_PIECES:
            raise BadLog(path, f"has more than {MOST_PIECES} pieces; send the stream as providerResponse.textBody")
    return b"".join(events)


def _items(listed: str) -> Iterator[str]:
    """Of a sound JSON list, one after the other: all at once they may take fifty times their text."""
    at = _begin(listed, 1)
    while listed[at] != "]":
        _, end = _scan(listed, at)
        yield listed[at:end]
        at = _begin(listed, end)


def _begin(listed: str, at: int) -> int:
    """Of the next item, or of the list's end."""
    found = _NEXT.search(listed, at)
    return len(listed) - 1 if found is None else found.start()


def _event(piece: bytes, path: str) -> bytes:
    """A piece that is text may be an event already, as it was received."""
    if piece[:1] == b'"':
        text = str(value_of(Raw(piece), path))
        if text.lstrip().startswith(EVENT_FIELDS):
            return text.rstrip("\r\n").encode() + b"\n\n"
        return b"".join(b"data: %b\n" % line.encode() for line in text.splitlines()) + b"\n"
    return b"data: %b\n\n" % b" ".join(piece.splitlines())


def status_of(raw: Raw, path: str) -> int:
    """Raises BadLog."""
    found = value_of(required(raw, path), path)
    if (
        not isinstance(found, bool)
        and isinstance(found, int | float)
        and (found in NO_ANSWER or (100 <= found <= 599 and found == int(found)))
    ):
        return int(found)
    raise BadLog(path, "must be the answer's HTTP status, a whole number from 100 to 599, or -3 where the caller cancelled")


# Times


def _times(raw: Raw, now: float) -> Times:
    if said(raw) is None:
        return Times(now, now, told=False)
    times = _plain_times(bytes(raw), now) or _times_by_field(bytes(raw), now)
    if times.began > times.ended:
        raise BadLog("timing.startTime", "cannot be greater than timing.endTime")
    if times.ttft_ms is not None and times.ttft_ms > LONGEST_TTFT_MS:
        raise BadLog("timing.timeToFirstToken", "must be milliseconds from startTime, such as 120; this looks like a time of day")
    return times


def _plain_times(text: bytes, now: float) -> Times | None:
    try:
        timing = msgspec.json.decode(text, type=_PlainTiming)
    except _UNREADABLE:
        return None
    if not timing.sound:
        return None
    began = not_ahead(timing.startTime.instant, "timing.startTime", now)
    return Times(began, not_ahead(timing.endTime.instant, "timing.endTime", now), timing.timeToFirstToken)


def _times_by_field(text: bytes, now: float) -> Times:
    timing = _struct(_Timing, text, "timing")
    began = instant_of(required(timing.startTime, "timing.startTime"), "timing.startTime", now)
    ended = instant_of(required(timing.endTime, "timing.endTime"), "timing.endTime", now)
    ttft_ms = None
    if said(timing.timeToFirstToken) is not None:
        ttft_ms = number(timing.timeToFirstToken, "timing.timeToFirstToken", "milliseconds from startTime, such as 120")
    return Times(began, ended, ttft_ms)


def instant_of(raw: Raw, path: str, now: float) -> float:
    """`{seconds, milliseconds}`, ISO 8601, or digits. Raises BadLog."""
    if bytes(raw)[:1] == b"{":
        clock = _struct(_Clock, bytes(raw), path)
        seconds = number(required(clock.seconds, f"{path}.seconds"), f"{path}.seconds", "seconds since 1970, such as 1764000000")
        parts = number(required(clock.milliseconds, f"{path}.milliseconds"), f"{path}.milliseconds", "the milliseconds beside them")
        return not_ahead(seconds + parts / 1000, path, now)
    return not_ahead(_written(value_of(raw, path), path), path, now)


def _written(found: object, path: str) -> float:
    if isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < 1e15:
        return float(found) if found < MILLISECONDS_FROM else found / 1000
    if isinstance(found, str) and _DIGITS.fullmatch(found):
        return _written(float(found), path)
    if isinstance(found, str):
        try:
            moment = datetime.fromisoformat(found)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            pass
    raise BadLog(path, 'must be {"seconds": …, "milliseconds": …} since 1970, or ISO 8601 such as 2026-11-24T12:00:00Z')


def not_ahead(instant: float, path: str, now: float) -> float:
    """Raises BadLog."""
    if instant < 0:
        raise BadLog(path, "must not be before 1970")
    if instant > now + AHEAD_S:
        raise BadLog(path, "is in the future; seconds are since 1970, and milliseconds are what is left beside them")
    return instant


# Headers, and what stands for them


def _of_meta(raw: Raw) -> list[Saying]:
    """Names that are no Helicone header are nobody's business here: LiteLLM sends all that it knows."""
    if said(raw) is None:
        return []
    meta = named_texts(raw, "providerRequest.meta")
    return [(name, value, f"providerRequest.meta.{name[:NAME_CHARACTERS]}") for name, value in meta.items()]


def named_texts(raw: Raw, path: str) -> dict[str, Raw]:
    """Raises BadLog."""
    if len(bytes(raw)) > META_TEXT_BYTES:
        raise BadLog(path, f"must be shorter than {META_TEXT_BYTES >> 20} MiB")
    try:
        return msgspec.json.decode(bytes(raw), type=dict[str, Raw])
    except _UNREADABLE:
        raise BadLog(path, "must be an object of names and texts") from None


def merged(sayings: Iterable[Saying], headers: Headers, whole: str) -> tuple[Headers, Mapping[bytes, str]]:
    """`headers`, and what is said in their place within `whole`; real ones win. With the path of each that does not stand in them.

    Raises BadLog.
    """
    named, size = {name for name, _ in headers}, 0
    more: dict[bytes, bytes] = {}
    paths: dict[bytes, str] = {}
    for name, value, path in sayings:
        plain = name.lower().encode()
        if not plain.startswith(PREFIX) or said(value) is None:
            continue
        size += len(plain) + len(bytes(value))
        if size > META_BYTES:
            raise BadLog(whole, f"has more than {META_BYTES >> 10} KiB of Helicone- names and values")
        if plain not in named:
            more[plain], paths[plain] = _header_text(value, path), path
    return [*headers, *more.items()], paths


def _header_text(raw: Raw, path: str) -> bytes:
    found = value_of(raw, path)
    if isinstance(found, bool):
        return b"true" if found else b"false"
    if isinstance(found, int | float):
        return bytes(raw)
    if not isinstance(found, str):
        raise BadLog(path, "must be text, as the header of that name is")
    return found.encode()


def _step(asked: bytes) -> tuple[Step | None, str | None]:
    told = _struct(_Step, asked, "providerRequest.json")
    kind = _words(told.type)
    if kind not in _STEPS:
        return None, None
    step = Step(kind)
    return step, _words({Step.TOOL: told.toolName, Step.DATA: told.name}.get(step, Raw()))


def _words(raw: Raw) -> str | None:
    found = value_of(raw, "providerRequest.json") if said(raw) is not None else None
    return found[:NAME_CHARACTERS] if isinstance(found, str) and found else None


# Small readers, for whoever reads another form of the same


def said(raw: Raw) -> bytes | None:
    """None where nothing was said, or null."""
    text = bytes(raw)
    return None if text in {b"", b"null"} else text


def value_of(raw: Raw, path: str) -> object:
    """One that is neither an object nor a list; those are not built, since nobody wants them here. Raises BadLog."""
    if bytes(raw)[:1] in {b"{", b"["}:
        return ()
    try:
        found: object = msgspec.json.decode(bytes(raw))
    except _UNREADABLE as error:
        why = "is a number that nobody can hold" if "out of range" in str(error) else "is no JSON that can be read"
        raise BadLog(path, why) from None
    return found


def number(raw: Raw, path: str, what: str) -> float:
    """Not negative. Raises BadLog."""
    found = value_of(raw, path)
    try:
        if isinstance(found, int | float) and not isinstance(found, bool) and found >= 0 and math.isfinite(float(found)):
            return float(found)
    except OverflowError:
        pass
    raise BadLog(path, f"must be a number, not negative: {what}")


def tokens(raw: Raw, path: str) -> int:
    """Raises BadLog."""
    found = number(raw, path, "tokens, a whole number")
    if found != int(found) or found > MOST_TOKENS:
        raise BadLog(path, "must be a whole number of tokens, such as 1000")
    return int(found)


def text_or_none(raw: Raw, path: str, longest: int, example: str) -> str | None:
    """Raises BadLog."""
    if said(raw) is None:
        return None
    found = value_of(raw, path)
    if not isinstance(found, str) or len(found) > longest:
        raise BadLog(path, f"must be text of at most {longest} characters, such as {example}")
    return found.strip() or None


def provider_name(raw: Raw, path: str) -> str | None:
    """In lower case, as providers are named here. Raises BadLog."""
    found = text_or_none(raw, path, NAME_CHARACTERS, "openai")
    return None if found is None else found.lower()


def cost(raw: Raw, path: str) -> str | None:
    """As it is written, to the last digit. Raises BadLog."""
    if said(raw) is None:
        return None
    found, text = value_of(raw, path), bytes(raw).decode()
    if isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < MOST_USD and len(text) <= NAME_CHARACTERS:
        try:
            return format(Decimal(text), "f")
        except InvalidOperation:
            pass
    raise BadLog(path, f"must be a number of USD from 0 to less than {MOST_USD}, such as 0.0042")


def _struct(kind: type[T], text: bytes, path: str) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except RecursionError:
        raise BadLog(path, "is nested deeper than anybody means") from None
    except msgspec.ValidationError:
        raise BadLog(path, "must be an object") from None
    except (msgspec.DecodeError, UnicodeError):
        raise BadLog(path, "must be JSON, an object") from None


def required(raw: Raw, path: str) -> Raw:
    """Raises BadLog."""
    if said(raw) is None:
        raise BadLog(path, "is required")
    return raw


def _required(raw: Raw, path: str) -> bytes:
    return bytes(required(raw, path))
