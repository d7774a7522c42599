"""A body as it is stored for an organization that has a rule: what is found there is replaced, all other bytes stay.

What passes the proxy is not touched; this is done to the copy. Whatever cannot be searched is not stored.
"""

import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Flag, auto
from itertools import chain, count
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from eventlog.events import Body
from ingress.budget import Budget, seconds_for
from ingress.detectors import CUT, Found, Rule, masked, merged
from ingress.framed import BadFrames, is_framed, sheets_of
from ingress.framing import Framing, Text, events_of, framing_of, is_json, leaves, logprobs_of, texts_of_events, whole_events
from ingress.prompts import LONGEST_INPUT
from ingress.views import DEPTH, View, found_in, may_be_in

BORDER = 512
"""Bytes of a text that are given up where the middle of a body is gone: what is longer than this may be found there by half."""
BORDER_RAW = 1_024
"""The same as it is written, with escapes."""
SHORT = 64
"""Texts below it, names and ids, are there again and again in a stream: once searched, they are known."""
MOST_KNOWN = 10_000
"""Of them."""
MOST_ESCAPES = 256
"""In a body that has but a short look."""
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


def redacted_body(body: Body, rule: Rule, budget: Budget | None = None) -> Redacted:
    """The body as it is stored. Raises GivenUp."""
    if body.undecodable is not None:
        return Redacted(unsearched(body, f"{body.undecodable}; {NOT_SEARCHED}"), {})
    counts: Counter[str] = Counter()
    budget = budget or Budget(seconds_for(body.size))
    search = Search(rule, budget, counts)
    raw = (body.text or "").encode() if body.base64 is None else base64.b64decode(body.base64)
    if is_framed(raw, body.content_type):
        return _redacted_frames(body, raw, search, counts, budget)
    if body.base64 is not None:
        data = search.redacted(raw, framing_of(raw, body.content_type), _cut_of(body))
        return Redacted(replace(body, base64=base64.b64encode(data).decode()), counts)
    if body.text is None:
        return Redacted(body, counts)
    head, tail = raw, None if body.tail is None else body.tail.encode()
    framing = framing_of(head, body.content_type)
    if tail is not None and body.size == len(head) + len(tail):  # nothing is missing between them
        text = _text(search.redacted(head + tail, framing, Cut.NOWHERE))
        return Redacted(replace(body, text=text, tail=None, truncated=False), counts)
    text = _text(search.redacted(head, framing, _cut_of(body)))
    if tail is None:
        return Redacted(replace(body, text=text), counts)
    after = search.redacted(tail, framing, Cut.BEGINNING)
    return Redacted(replace(body, text=text, tail=_text(after)), counts)


def _redacted_frames(body: Body, raw: bytes, search: "Search", counts: Counts, budget: Budget) -> Redacted:
    """Of a stream of frames that was cut, those that were not."""
    try:
        sheets = sheets_of(raw, budget)
        data = sheets.with_lines(search.redacted(sheets.lines, Framing.LINES, _cut_of(body)))
    except BadFrames as error:
        return Redacted(unsearched(body, f"{error}; {NOT_SEARCHED}"), {})
    return Redacted(replace(body, text=None, base64=base64.b64encode(data).decode(), tail=None), counts)


def redacted_inputs(inputs: Mapping[str, str], rule: Rule, counts: Counter[str], budget: Budget | None = None) -> dict[str, str]:
    """The inputs of a prompt as they are stored, their names too; of those that are named alike then, all but the first are numbered."""
    search = Search(rule, budget or Budget(), counts)
    kept: dict[str, str] = {}
    for name, value in inputs.items():
        shown = _of_input(name, search)
        kept[_unlike(shown, kept)] = _of_input(value, search)
    return kept


def _of_input(text: str, search: "Search") -> str:
    data = text.encode("utf-8", "replace")
    return _text(search.redacted(data, framing_of(data, None), Cut.END if len(text) >= LONGEST_INPUT else Cut.NOWHERE))


def _unlike(name: str, taken: Mapping[str, str]) -> str:
    names = chain([name], (f"{name} {number}" for number in count(2)))
    return next(each for each in names if each not in taken)


def is_clean(body: Body, rule: Rule, budget: Budget) -> bool:
    """Whether a short look tells that nothing is to be replaced in a body. Raises GivenUp."""
    if body.undecodable is not None or body.truncated or body.base64 is not None:
        return False
    data = (body.text or "").encode()
    few = data.count(b"\\") <= MOST_ESCAPES and not is_framed(data, body.content_type)
    return few and rule.by_part and framing_of(data, body.content_type) is Framing.NONE and not may_be_in(data, rule, budget)


def unsearched(body: Body, why: str) -> Body:
    """What is stored of a body that could not be searched: that there was one."""
    return Body(size=body.size, content_type=body.content_type, truncated=body.truncated, omitted=body.omitted, undecodable=why)


def _cut_of(body: Body) -> Cut:
    return Cut.END if body.truncated else Cut.NOWHERE


def _text(data: bytes) -> str:
    """A border may have cut a character in two."""
    return data.decode("utf-8", "ignore")


def redacted(data: bytes, rule: Rule, content_type: str | None, cut: Cut, counts: Counter[str], budget: Budget | None = None) -> bytes:
    """The same bytes, each thing found replaced by its name in brackets. Raises GivenUp."""
    return Search(rule, budget or Budget(seconds_for(len(data))), counts).redacted(data, framing_of(data, content_type), cut)


class Edit(NamedTuple):
    """What is put in the place of a part of a body: the name of what was found there in brackets, or nothing."""

    start: int
    end: int
    name: str = ""
    quoted: bool = False
    """As a string of JSON, where there was none."""


class Search:
    """The search of one body, or of several that count together."""

    def __init__(self, rule: Rule, budget: Budget, counts: Counter[str]) -> None:
        self._rule, self._budget, self._counts = rule, budget, counts

    def redacted(self, data: bytes, framing: Framing, cut: Cut) -> bytes:
        """The same bytes, each thing found replaced. Raises GivenUp."""
        data = whole_events(data, framing, begins_cut=Cut.BEGINNING in cut, ends_cut=Cut.END in cut)
        clean = self._rule.by_part and not may_be_in(data, self._rule, self._budget)
        if framing is not Framing.NONE:
            edits = self._in_stream(data, framing, cut, clean=clean)
        elif cut:
            edits = self._in_plain(data, cut)
        elif clean:
            return data
        elif is_json(data):
            edits = self._in_texts(data, leaves(data, 0, len(data), self._budget), cut)
        else:
            edits = self._in_plain(data, cut)
        if (edits or cut) and b"logprobs" in data:
            edits += [Edit(start, end, CUT, quoted=True) for start, end in logprobs_of(data, self._budget)]
        return self._edited(data, edits)

    def _in_stream(self, data: bytes, framing: Framing, cut: Cut, *, clean: bool) -> list[Edit]:
        events = events_of(data, framing, self._budget)
        return self._in_texts(data, texts_of_events(data, events, framing, whole=not clean, budget=self._budget), cut)

    def _in_plain(self, data: bytes, cut: Cut) -> list[Edit]:
        found = merged(found_in(data, self._rule, self._budget, DEPTH) + _borders(len(data), cut, BORDER_RAW))
        return [Edit(start, end, name) for start, end, name in found]

    def _in_texts(self, data: bytes, texts: Iterable[Text], cut: Cut) -> list[Edit]:
        edits: list[Edit] = []
        clean: set[bytes] = set()
        for text in texts:
            if text.broken:
                edits += [Edit(start, end, CUT) for start, end in text.parts]
                continue
            short = _short_of(data, text)
            if short is not None and (len(short) < self._rule.least or short in clean) and not (cut and text.pieced):
                continue
            view = View(data, text.parts, self._budget)
            found = self._found(data, text, view)
            if cut and text.pieced:
                found = merged(found + _borders(len(view.text), cut, BORDER))
            edits += _edits_of(text, view, found)
            if not found and short is not None and len(clean) < MOST_KNOWN:
                clean.add(short)
        return edits

    def _found(self, data: bytes, text: Text, view: View) -> list[Found]:
        """In a text that may be several: in each alone, then in all together."""
        if not text.loose:
            return found_in(view.text, self._rule, self._budget)
        found: list[Found] = []
        place = 0
        for part in text.parts:
            alone = View(data, [part], self._budget).text
            found += [Found(place + start, place + end, name) for start, end, name in found_in(alone, self._rule, self._budget)]
            place += len(alone)
        return merged(found + found_in(masked(view.text, found), self._rule, self._budget))

    def _edited(self, data: bytes, edits: list[Edit]) -> bytes:
        """What lies within another edit goes with it, and counts no more."""
        if not edits:
            return data
        edits.sort()
        source, result, place = memoryview(data), bytearray(), 0
        for start, end, name, quoted in edits:
            if start < place:
                place = max(place, end)
                continue
            result += source[place:start]
            result += _mark(name, quoted=quoted)
            place = end
            if name and name != CUT:
                self._counts[name] += 1
        result += source[place:]
        return bytes(result)


def _short_of(data: bytes, text: Text) -> bytes | None:
    """A text of one piece, so short that it may be there again."""
    (start, end), *others = text.parts[:2]
    return None if others or end - start >= SHORT else data[start:end]


def _edits_of(text: Text, view: View, found: list[Found]) -> list[Edit]:
    """What stands in several pieces is replaced in the first of them."""
    if text.number and found:  # a mark is no number
        return [Edit(*text.parts[0], found[0].name, quoted=True)]
    edits: list[Edit] = []
    for start, end, name in found:
        first, *others = view.spans(start, end)
        edits.append(Edit(*first, name))
        edits += [Edit(*span) for span in others]
    return edits


def _borders(length: int, cut: Cut, width: int) -> list[Found]:
    """What is given up of a text that goes on where the body was cut."""
    found = []
    if Cut.BEGINNING in cut and length:
        found.append(Found(0, min(width, length), CUT))
    if Cut.END in cut and length:
        found.append(Found(max(0, length - width), length, CUT))
    return found


def _mark(name: str, *, quoted: bool) -> bytes:
    if not name:
        return b""
    return f'"[redacted:{name}]"'.encode() if quoted else f"[redacted:{name}]".encode()
