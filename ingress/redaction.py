"""A body as it is stored for an organization that has a rule: what is found there is replaced, all other bytes stay.

What passes the proxy is not touched; this is done to the copy. Whatever cannot be searched is not stored.
"""

import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Flag, auto

from msgspec import Struct
from msgspec.structs import replace

from eventlog.events import Body
from ingress.detectors import CUT, Found, Rule, merged
from ingress.framing import Text, events_of, texts_of, texts_of_events, whole_events
from ingress.prompts import LONGEST_INPUT
from ingress.views import DEPTH, View, found_in, may_be_in

BORDER = 512
"""Bytes of a text that are given up where the middle of a body is gone: what is longer than this may be found there by half."""
BORDER_RAW = 1_024
"""The same as it is written, with escapes."""
SHORT = 64
"""Texts below it, names and ids, are there again and again in a stream: once searched, they are known."""
NOT_SEARCHED = "not kept, since it cannot be searched for what is to be redacted"

Counts = Mapping[str, int]


class Cut(Flag):
    """Where the body goes on, and nobody knows how."""

    NOWHERE = 0
    BEGINNING = auto()
    END = auto()


class Redacted(Struct, frozen=True):
    """A body, and how often something was replaced there; and the inputs of the call's prompt."""

    body: Body
    counts: Counts
    inputs: Mapping[str, str] = {}


def redacted_body(body: Body, rule: Rule) -> Redacted:
    """The body as it is stored."""
    if body.undecodable is not None:
        return Redacted(unsearched(body, f"{body.undecodable}; {NOT_SEARCHED}"), {})
    counts: Counter[str] = Counter()
    if body.base64 is not None:
        data = redacted(base64.b64decode(body.base64), rule, None, _cut_of(body), counts)
        return Redacted(replace(body, base64=base64.b64encode(data).decode()), counts)
    if body.text is None:
        return Redacted(body, counts)
    head, tail = body.text.encode(), None if body.tail is None else body.tail.encode()
    if tail is not None and body.size == len(head) + len(tail):  # nothing is missing between them
        text = _text(redacted(head + tail, rule, body.content_type, Cut.NOWHERE, counts))
        return Redacted(replace(body, text=text, tail=None, truncated=False), counts)
    text = _text(redacted(head, rule, body.content_type, _cut_of(body), counts))
    if tail is None:
        return Redacted(replace(body, text=text), counts)
    after = redacted(tail, rule, body.content_type, Cut.BEGINNING, counts)
    return Redacted(replace(body, text=text, tail=_text(after)), counts)


def redacted_inputs(inputs: Mapping[str, str], rule: Rule, counts: Counter[str]) -> dict[str, str]:
    """The inputs of a prompt as they are stored."""
    return {
        name: _text(redacted(value.encode("utf-8", "replace"), rule, None, _cut_of_input(value), counts)) for name, value in inputs.items()
    }


def _cut_of_input(value: str) -> Cut:
    return Cut.END if len(value) >= LONGEST_INPUT else Cut.NOWHERE


def unsearched(body: Body, why: str) -> Body:
    """What is stored of a body that could not be searched: that there was one."""
    return Body(size=body.size, content_type=body.content_type, truncated=body.truncated, omitted=body.omitted, undecodable=why)


def _cut_of(body: Body) -> Cut:
    return Cut.END if body.truncated else Cut.NOWHERE


def _text(data: bytes) -> str:
    """A border may have cut a character in two."""
    return data.decode("utf-8", "ignore")


def redacted(data: bytes, rule: Rule, content_type: str | None, cut: Cut, counts: Counter[str]) -> bytes:
    """The same bytes, each thing found replaced by its name in brackets."""
    if cut:
        data = whole_events(data, content_type, begins_cut=Cut.BEGINNING in cut, ends_cut=Cut.END in cut)
    events = events_of(data, content_type)
    clean = rule.by_part and not may_be_in(data, rule)
    if events is None and not cut and clean:
        return data
    texts = texts_of(data) if events is None else texts_of_events(data, events, whole=not clean)
    edits = _edits_of_plain(data, rule, cut, counts) if texts is None else _edits(data, texts, rule, cut, counts)
    return _edited(data, edits)


Edit = tuple[int, int, bytes]


def _edits_of_plain(data: bytes, rule: Rule, cut: Cut, counts: Counter[str]) -> list[Edit]:
    found = merged(found_in(data, rule, DEPTH) + _borders(len(data), cut, BORDER_RAW))
    _count(found, counts)
    return [(start, end, _mark(name)) for start, end, name in found]


def _edits(data: bytes, texts: Iterable[Text], rule: Rule, cut: Cut, counts: Counter[str]) -> list[Edit]:
    edits: list[Edit] = []
    clean: set[bytes] = set()
    for text in texts:
        if text.broken:
            edits += [(start, end, _mark(CUT)) for start, end in text.parts]
            continue
        (start, end), *others = text.parts
        short = not others and end - start < SHORT
        if short and (end - start < rule.least or data[start:end] in clean) and not cut:
            continue
        view = View(data, text.parts)
        found = found_in(view.text, rule)
        if cut and text.pieced:
            found = merged(found + _borders(len(view.text), cut, BORDER))
        if found:
            _count(found, counts)
            edits += _edits_of(text, view, found)
        elif short:
            clean.add(data[start:end])
    return edits


def _edits_of(text: Text, view: View, found: list[Found]) -> list[Edit]:
    """What stands in several pieces is replaced in the first of them."""
    if text.number:  # a mark is no number
        (start, end), name = text.parts[0], found[0].name
        return [(start, end, b'"' + _mark(name) + b'"')]
    edits: list[Edit] = []
    for start, end, name in found:
        first, *others = view.spans(start, end)
        edits.append((*first, _mark(name)))
        edits += [(*span, b"") for span in others]
    return edits


def _borders(length: int, cut: Cut, width: int) -> list[Found]:
    """What is given up of a text that goes on where the body was cut."""
    found = []
    if Cut.BEGINNING in cut and length:
        found.append(Found(0, min(width, length), CUT))
    if Cut.END in cut and length:
        found.append(Found(max(0, length - width), length, CUT))
    return found


def _count(found: Iterable[Found], counts: Counter[str]) -> None:
    for each in found:
        if each.name != CUT:
            counts[each.name] += 1


def _mark(name: str) -> bytes:
    return f"[redacted:{name}]".encode()


def _edited(data: bytes, edits: list[Edit]) -> bytes:
    if not edits:
        return data
    pieces: list[bytes] = []
    place = 0
    for start, end, text in sorted(edits):
        pieces += (data[place:start], text)
        place = end
    return b"".join([*pieces, data[place:]])
