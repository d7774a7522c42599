"""Which texts there are in a body: leaves of JSON, and what is said in pieces by the events of a stream.

A text that is streamed is cut anywhere, so its pieces are read as one: those of the same event type, of the same choice or block, in the
same field. Shapes: the streaming guides of OpenAI (chat, completions, responses), Anthropic (messages), Google (generateContent) and
Ollama, and Bedrock's API reference (Converse, Titan, Llama; read 2026-11). Any other stream with such fields is read in the same way. All
is read as it is asked for: a body of 8 MB may have millions of events. No step takes all of a large body at once, since that would hold
up the event loop.
"""

import re
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from ingress.budget import CHANNEL, PIECE, Budget
from ingress.streams import is_event_stream
from ingress.views import Span

PIECED = frozenset(
    {"content", "text", "arguments", "partial_json", "thinking", "reasoning", "reasoning_content", "reasoning_text", "refusal", "delta"}
    | {"input", "transcript", "response", "completion", "summary", "output_text", "code", "generated_text", "token"}
    | {"outputText", "generation"}
)
"""Fields that hold a piece of a text. Whatever else there is in an event is said whole."""
PLACES = ("index", "output_index", "content_index", "summary_index", "contentBlockIndex")
"""Fields that tell which of several texts a piece belongs to."""
OF_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonl", "application/jsonlines")
NDJSON_LINES, SAMPLED_LINES = 2, 32
LONGEST_GAP = 8
"""Between two elements of an array."""
LONGEST_EVENT = 64 << 10
"""Bytes. A longer event says no piece of anything: it repeats the whole of it."""
AT_ONCE = 256 << 10
"""Bytes of JSON that are read in one step."""

Path = tuple[object, ...]

_INNER = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_TOKEN = re.compile(rb'"%b(?:"|\\?\Z)|[-+.0-9eE]+|[{}\[\]]' % _INNER, re.DOTALL)
_PIECE = re.compile(rb'"(?:%b)"[ \t\r\n]*:[ \t\r\n]*"(%b)"' % ("|".join(sorted(PIECED)).encode(), _INNER), re.DOTALL)
"""Within a string quotes are escaped: one that speaks of such a field is never taken for it."""
_BETWEEN = re.compile(rb'[^"0-9]{0,65536}+')
_NUMBER = re.compile(rb"[-+.0-9eE]++")
_WHOLE_NUMBER = re.compile(rb"[0-9]{4,}+")
_IN_STRING = re.compile(rb'[^"\\]{0,65536}+(?:\\.[^"\\]{0,4096}+){0,1024}+', re.DOTALL)
_OF_JSON = re.compile(rb"(?:[\s{}\[\],:0-9eE+.\-]{1,65536}+|true|false|null){1,1024}+")
_BEFORE_NUMBER = frozenset(b"+.eE")
_LINE = re.compile(rb"[^\r\n]+")
_EVENT_START = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n]*(?:data|event|id|retry)?:")
_BLANK = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_ELEMENT = re.compile(rb'\{\s*"candidates"')
_raw = msgspec.json.Decoder(msgspec.Raw)
_any: msgspec.json.Decoder[Any] = msgspec.json.Decoder()

_QUOTE, _BRACE, _BRACKET = b'"{['


class Framing(Enum):
    """What tells the events of a body apart."""

    NONE = auto()
    """It has none: one document, or any text."""
    SENT = auto()
    """Server-sent events."""
    LINES = auto()
    """A line of JSON each."""
    ARRAY = auto()
    """Elements of one array, as Google sends them."""


class Event(Struct):
    """Where an event lies, line by line."""

    lines: list[Span]
    said: bool = True
    """It is data, and no comment or name."""


class Text(Struct):
    """One text of a body: its parts there, and whether they are digits of a JSON number."""

    parts: list[Span]
    number: bool = False
    pieced: bool = False
    """It is said in pieces."""
    loose: bool = False
    """Each piece may be a text for itself as well: nobody says where one ends."""
    broken: bool = False
    """An event that was cut, or is no JSON: nobody can say whose piece it is."""


def is_json(body: bytes) -> bool:
    """Whether a body is JSON. A large one need only look like it in each of its tokens."""
    if len(body) > AT_ONCE:
        return _looks_like_json(body)
    try:
        _raw.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _looks_like_json(body: bytes) -> bool:
    last = body[-64:].rstrip()[-1:]
    if body[:64].lstrip()[:1] + last not in {b"{}", b"[]", b'""'}:
        return False
    place = 0
    while place < len(body):
        if body[place] == _QUOTE:
            end = _string_end(body, place + 1, len(body))
            if end == len(body):
                return False
            place = end + 1
        elif (found := _OF_JSON.match(body, place)) is not None:
            place = found.end()
        else:
            return False
    return True


def framing_of(body: bytes, content_type: str | None) -> Framing:
    """How a body is told apart that is there from its beginning, if not to its end."""
    if _is_sent(body, content_type):
        return Framing.SENT
    if body[:64].lstrip()[:1] == b"[" and b'"candidates"' in body[:4096]:
        return Framing.ARRAY
    return Framing.LINES if _is_lines(body, content_type) else Framing.NONE


def _is_sent(body: bytes, content_type: str | None) -> bool:
    return _EVENT_START.match(body) is not None or (is_event_stream(content_type) and body[:64].lstrip()[:1] not in {b"{", b"["})


def _is_lines(body: bytes, content_type: str | None) -> bool:
    """By what it is called, or by its first lines: one of them may be broken, and the last one cut."""
    if content_type is not None and content_type.lower().startswith(OF_LINES):
        return len(body) > AT_ONCE or not is_json(body)
    if body[:1] != b"{":
        return False
    lines = [body[slice(*match.span())] for match in islice(_LINE.finditer(body), SAMPLED_LINES)]
    objects = [_is_object(line, (0, len(line))) for line in lines]
    return len(lines) >= NDJSON_LINES and objects[0] and sum(objects) * 2 >= len(lines)


_BORDERS = {Framing.SENT: (b"\r\n\r\n", b"\n\n", b"\r\r"), Framing.LINES: (b"\n",)}


def whole_events(body: bytes, framing: Framing, *, begins_cut: bool, ends_cut: bool) -> bytes:
    """Of a stream that was cut, the events that were not; nothing where there is none. Anything but a stream as it is."""
    if framing is Framing.NONE:
        return body
    if framing is Framing.ARRAY:  # its end is seen by its brackets
        first = _ELEMENT.search(body) if begins_cut else None
        return body[first.start() if first else len(body) :] if begins_cut else body
    borders = _BORDERS[framing]
    begins = min((at + len(border) for border in borders if (at := body.find(border)) >= 0), default=len(body)) if begins_cut else 0
    ends = max((at + len(border) for border in borders if (at := body.rfind(border)) >= 0), default=0) if ends_cut else len(body)
    return body[begins:ends]


def events_of(body: bytes, framing: Framing, budget: Budget) -> Iterator[Event]:
    """The events of a stream, in their order."""
    if framing is Framing.SENT:
        return _sent_events(body, budget)
    if framing is Framing.ARRAY:
        return _elements(body, budget)
    return (Event([match.span()]) for match in _LINE.finditer(body))


def _sent_events(body: bytes, budget: Budget) -> Iterator[Event]:
    """Lines of one event that is written on several are data together. What is no data, a comment say, is an event for itself."""
    lines: list[Span] = []
    end = 0
    for match in _LINE.finditer(body):
        start, stop = match.span()
        if lines and _BLANK.search(body, end, start) is not None:
            yield Event(lines)
            lines = []
        end = stop
        if body.startswith(b"data:", start):
            if lines:
                budget.hold(PIECE)
            lines.append((start + 5 + body.startswith(b" ", start + 5), stop))
        else:
            yield Event([(start, stop)], said=False)
    if lines:
        yield Event(lines)


def _elements(body: bytes, budget: Budget) -> Iterator[Event]:
    """The objects of one array, and whatever else is long enough to be anything. The array may have begun before."""
    within = body[:64].lstrip()[:1] != b"["
    depth, start, end = int(within), 0, 0
    for match in _TOKEN.finditer(body):
        budget.tick()
        token = body[match.start()]
        if token in b"{[":
            depth += 1
            if depth == 2:  # right within the array
                start = match.start()
                if start - end > LONGEST_GAP:
                    yield Event([(end, start)])
        elif token in b"}]":
            depth -= 1
            if depth == 1:
                end = match.end()
                yield Event([(start, end)])
    if depth > 1:
        yield Event([(start, len(body))])
    elif len(body) - end > LONGEST_GAP:
        yield Event([(end, len(body))])


def leaves(body: bytes, start: int, end: int, budget: Budget) -> Iterator[Text]:
    """Strings and whole numbers of a piece of JSON, keys too."""
    place = start
    while place < end:
        budget.tick()
        place = _BETWEEN.match(body, place, end).end()  # type: ignore[union-attr]  # it matches nothing as well
        if place < end and body[place] == _QUOTE:
            last = _string_end(body, place + 1, end)
            yield Text([(place + 1, last)])
            place = last + 1
        elif place < end and body[place] not in _OTHERS:
            last = _NUMBER.match(body, place, end).end()  # type: ignore[union-attr]  # it begins with a digit
            if _WHOLE_NUMBER.fullmatch(body, place, last) and (place == start or body[place - 1] not in _BEFORE_NUMBER):
                yield Text([(place - (place > start and body[place - 1] == _MINUS), last)], number=True)
            place = last


_OTHERS = frozenset(range(256)) - frozenset(b"0123456789")
(_MINUS,) = b"-"


def _string_end(body: bytes, place: int, end: int) -> int:
    """Where the quote is that closes a string; `end` where none does."""
    while place < end:
        stop = _IN_STRING.match(body, place, end).end()  # type: ignore[union-attr]  # it matches nothing as well
        if stop >= end or body[stop] == _QUOTE:
            return min(stop, end)
        if stop == place:  # half an escape, at the end
            return end
        place = stop
    return end


def texts_of_events(body: bytes, events: Iterable[Event], framing: Framing, *, whole: bool, budget: Budget) -> Iterator[Text]:
    """With `whole` the texts of a stream that are not said in pieces, as they come; then those that are, put together."""
    streamed = _Streamed(body, framing, budget)
    for event in events:
        budget.tick()
        parts = _by_line(body, event.lines)
        for number, lines in enumerate(parts):
            pieces = _pieces_of(body, lines) if event.said else None
            if pieces is None:
                yield from streamed.unpieced(lines, said=event.said, goes_on=number + 1 < len(parts))
                continue
            streamed.take(body[lines[0][0]], pieces)
            if whole:
                said = {span for _, span in pieces}
                yield from (text for start, end in lines for text in leaves(body, start, end, budget) if text.parts[0] not in said)
    yield from streamed.texts.values()


class _Streamed:
    """The texts that the events of a stream said so far, by where they were said."""

    __slots__ = ("_body", "_budget", "_framing", "_shapes", "texts")

    def __init__(self, body: bytes, framing: Framing, budget: Budget) -> None:
        self._body, self._framing, self._budget = body, framing, budget
        self._shapes: set[int] = {_BRACE}
        """What events of JSON begin with here."""
        self.texts: dict[Path, Text] = {}

    def take(self, shape: int, pieces: list[tuple[Path, Span]]) -> None:
        self._shapes.add(shape)
        for path, span in pieces:
            self._join(path, span)

    def unpieced(self, lines: list[Span], *, said: bool, goes_on: bool) -> Iterator[Text]:
        """What is no JSON that says pieces: a comment, a name, an end marker, a token as it is, or an event that was cut."""
        begins = self._body[lines[0][0] : lines[0][0] + 1]
        cut = said and (self._framing is Framing.LINES or (begins != b"" and begins[0] in self._shapes and not self._is_marker(lines[0])))
        for start, end in lines:
            if cut and not is_json(self._body[start:end]):
                yield Text([(start, end)], broken=True)
            elif cut:
                yield from leaves(self._body, start, end, self._budget)
            elif said and self._framing is Framing.SENT:
                self._join((), (start, end + goes_on), loose=True)
            else:
                yield Text([(start, end)])

    def _is_marker(self, line: Span) -> bool:
        return _MARKER.fullmatch(self._body, *line) is not None

    def _join(self, path: Path, span: Span, *, loose: bool = False) -> None:
        known = self.texts.get(path)
        self._budget.hold(PIECE if known is not None else CHANNEL)
        if known is None:
            self.texts[path] = Text([span], pieced=True, loose=loose)
        else:
            known.parts.append(span)


_MARKER = re.compile(rb"\[[A-Za-z_ ]+\][ \t]*")


def _by_line(body: bytes, lines: list[Span]) -> list[list[Span]]:
    """Data on several lines is one event, as the standard says; some leave out the blank line between two."""
    if len(lines) == 1 or is_json(b"\n".join(body[start:end] for start, end in lines)):
        return [lines]
    first, _ = lines[0]
    if body[first : first + 1] == b"{" and not any(_is_object(body, line) for line in lines):  # written on several lines, and cut
        return [lines]
    return [[line] for line in lines]


def _is_object(body: bytes, line: Span) -> bool:
    start, end = line
    return body[start : start + 1] == b"{" and is_json(body[start:end])


def _pieces_of(body: bytes, event: list[Span]) -> list[tuple[Path, Span]] | None:
    """Where the pieces of an event are said, and where they lie. None: it is no JSON that may have any, or says a thing twice."""
    data = b"\n".join(body[start:end] for start, end in event)
    if not data or data[0] not in (_BRACE, _BRACKET, _QUOTE):
        return None
    if len(data) > LONGEST_EVENT:
        return [] if is_json(data) else None
    paths: list[Path] = []
    try:
        value = _any.decode(data)
        _walk(value, (), paths)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(value, str):
        start, end = event[0]
        return [(("",), (start + 1, body.rindex(b'"', start, end)))]
    spans = [match.span(1) for start, end in event for match in _PIECE.finditer(body, start, end)]
    return list(zip(paths, spans, strict=True)) if len(paths) == len(spans) else None


def _walk(value: Any, path: Path, paths: list[Path]) -> None:
    """In the order in which they are written."""
    if isinstance(value, dict):
        here = path + _places(value, top=not path)
        for name, inner in value.items():
            if isinstance(inner, str):
                if name in PIECED:
                    paths.append((*here, name))
            elif isinstance(inner, (dict, list)):
                _walk(inner, (*here, name), paths)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            numbered = isinstance(inner, dict) and isinstance(inner.get("index"), int)
            _walk(inner, path if numbered else (*path, position), paths)


def _places(value: dict[str, Any], *, top: bool) -> Path:
    """What tells this object's texts from those of others."""
    found = tuple((name, place) for name in PLACES if isinstance(place := value.get(name), int))
    return (("type", str(value.get("type"))), *found) if top else found


_LOGPROBS = re.compile(rb'"(?:logprobs|prompt_logprobs|logprobsResult|completion_probabilities)"[ \t\r\n]*:[ \t\r\n]*(?=[{\[])')


def logprobs_of(body: bytes, budget: Budget) -> Iterator[Span]:
    """Where a text is told once more, token by token."""
    place = 0
    while (found := _LOGPROBS.search(body, place)) is not None:
        depth, place = 0, len(body)
        for match in _TOKEN.finditer(body, found.end()):
            budget.tick()
            depth += {_BRACE: 1, _BRACKET: 1, _CLOSE_BRACE: -1, _CLOSE_BRACKET: -1}.get(body[match.start()], 0)
            if not depth:
                place = match.end()
                break
        yield found.end(), place


_CLOSE_BRACE, _CLOSE_BRACKET = b"}]"
