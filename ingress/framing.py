"""Which texts there are in a body: leaves of JSON, and what is said in pieces by the events of a stream.

A text that is streamed is cut anywhere, so its pieces are read as one: those of the same event type, of the same choice or block, in the
same field. Shapes: the streaming guides of OpenAI (chat, completions, responses), Anthropic (messages), Google (generateContent) and
Ollama (read 2026-11). Any other stream with such fields is read in the same way.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from ingress.streams import is_event_stream
from ingress.views import Span

PIECED = frozenset(
    {"content", "text", "arguments", "partial_json", "thinking", "reasoning", "reasoning_content", "reasoning_text", "refusal", "delta"}
    | {"input", "transcript", "response", "completion", "summary", "output_text", "code", "generated_text", "token"}
)
"""Fields that hold a piece of a text. Whatever else there is in an event is said whole."""
PLACES = ("index", "output_index", "content_index", "summary_index")
"""Fields that tell which of several texts a piece belongs to."""
NDJSON_LINES = 2
LONGEST_GAP = 8
"""Between two elements of an array."""

Path = tuple[object, ...]

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[-+.0-9eE]+|[{}\[\]]', re.DOTALL)
_LEAF = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|(?<![-+.0-9eE])-?[0-9]{4,}(?![.0-9eE])', re.DOTALL)
_PIECE = re.compile(rb'"(?:%b)"[ \t\r\n]*:[ \t\r\n]*"([^"\\]*+(?:\\.[^"\\]*+)*+)"' % "|".join(sorted(PIECED)).encode(), re.DOTALL)
"""Within a string quotes are escaped: one that speaks of such a field is never taken for it."""
_LINE = re.compile(rb"[^\r\n]+")
_EVENT_START = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n]*(?:data|event|id|retry)?:")
_BLANK = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINES = re.compile(rb"\n+")
_raw = msgspec.json.Decoder(msgspec.Raw)
_any: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


class Text(Struct):
    """One text of a body: its parts there, and whether they are digits of a JSON number."""

    parts: list[Span]
    number: bool = False
    pieced: bool = False
    """It is said in pieces."""
    broken: bool = False
    """An event that was cut, or is no JSON: nobody can say whose piece it is."""


def texts_of(body: bytes) -> list[Text] | None:
    """All texts of one JSON value; None of anything else, such as one that was cut."""
    return list(leaves(body, 0, len(body))) if is_json(body) else None


def is_json(body: bytes) -> bool:
    try:
        _raw.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def is_stream(body: bytes, content_type: str | None) -> bool:
    return _EVENT_START.match(body) is not None or (is_event_stream(content_type) and body[:64].lstrip()[:1] not in {b"{", b"["})


def events_of(body: bytes, content_type: str | None) -> list[list[Span]] | None:
    """Where the data of each event lies, line by line; None where there is no stream of events."""
    if is_stream(body, content_type):
        return list(_sent_events(body))
    if body[:64].lstrip()[:1] == b"[" and b'"candidates"' in body[:4096]:
        return _elements(body)
    lines = [match.span() for match in _LINE.finditer(body)] if body[:1] == b"{" and b"\n{" in body else []
    if len(lines) >= NDJSON_LINES and all(is_json(body[start:end]) for start, end in lines):
        return [[line] for line in lines]
    return None


def whole_events(body: bytes, content_type: str | None, *, begins_cut: bool, ends_cut: bool) -> bytes:
    """Of a stream that was cut, the events that were not; nothing where there is none. Anything but a stream as it is."""
    if is_stream(body, content_type) or (begins_cut and is_event_stream(content_type)):
        between = _BLANK
    elif body[:1] == b"{" and b"\n{" in body:
        between = _LINES
    else:
        return body
    borders = [match.end() for match in between.finditer(body)]
    if not borders:
        return b""
    return body[borders[0] if begins_cut else 0 : borders[-1] if ends_cut else len(body)]


def _sent_events(body: bytes) -> Iterator[list[Span]]:
    """Lines of one event that is written on several are data together. What is no data, a comment say, is an event for itself."""
    lines: list[Span] = []
    end = 0
    for match in _LINE.finditer(body):
        start, stop = match.span()
        if lines and len(_BLANK.findall(body, end, start)):
            yield lines
            lines = []
        end = stop
        if body.startswith(b"data:", start):
            lines.append((start + 5 + body.startswith(b" ", start + 5), stop))
        else:
            yield [(start, stop)]
    if lines:
        yield lines


def _elements(body: bytes) -> list[list[Span]]:
    """The objects of one array, and whatever else is long enough to be anything."""
    found: list[list[Span]] = []
    depth = start = end = 0
    for match in _TOKEN.finditer(body):
        token = body[match.start()]
        if token in b"{[":
            depth += 1
            if depth == 2:  # right within the array
                start = match.start()
                found += [[(end, start)]] if start - end > LONGEST_GAP else []
        elif token in b"}]":
            depth -= 1
            if depth == 1:
                end = match.end()
                found.append([(start, end)])
    return found + ([[(end, len(body))]] if len(body) - end > LONGEST_GAP else [])


def leaves(body: bytes, start: int, end: int) -> Iterator[Text]:
    """Strings and whole numbers of a piece of JSON, keys too."""
    for match in _LEAF.finditer(body, start, end):
        first, last = match.span()
        if body[first] == _QUOTE:
            closed = last - first > 1 and body[last - 1] == _QUOTE
            yield Text([(first + 1, last - closed)])
        else:
            yield Text([(first, last)], number=True)


_QUOTE, _BRACE = b'"{'


def texts_of_events(body: bytes, events: list[list[Span]], *, whole: bool) -> list[Text]:
    """The texts of a stream that are said in pieces, put together; with `whole` those too that are not."""
    pieced: dict[Path, Text] = {}
    texts: list[Text] = []
    for lines in events:
        for event in _by_line(body, lines):
            pieces = _pieces_of(body, event)
            if pieces is None:
                texts += _unpieced(body, event)
                continue
            for path, span in pieces:
                if (known := pieced.get(path)) is None:
                    pieced[path] = Text([span], pieced=True)
                else:
                    known.parts.append(span)
            if whole:
                said = {span for _, span in pieces}
                texts += [text for start, end in event for text in leaves(body, start, end) if text.parts[0] not in said]
    return texts + list(pieced.values())


def _by_line(body: bytes, lines: list[Span]) -> list[list[Span]]:
    """Data on several lines is one event, as the standard says; some leave out the blank line between two."""
    if len(lines) == 1 or is_json(b"\n".join(body[start:end] for start, end in lines)):
        return [lines]
    return [[line] for line in lines]


def _unpieced(body: bytes, event: list[Span]) -> Iterator[Text]:
    """What is no JSON object: a comment, a name, an end marker, or an object that was cut."""
    cut = body[event[0][0]] == _BRACE
    for line in event:
        if cut and not is_json(body[line[0] : line[1]]):
            yield Text([line], broken=True)
        elif cut:
            yield from leaves(body, *line)
        else:
            yield Text([line])


def _pieces_of(body: bytes, event: list[Span]) -> list[tuple[Path, Span]] | None:
    """Where the pieces of an event are said, and where they lie. None: it is no JSON object, or one that says a thing twice."""
    data = b"\n".join(body[start:end] for start, end in event)
    if data[:1] != b"{":
        return None
    paths: list[Path] = []
    try:
        _walk(_any.decode(data), (), paths)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
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
