r"""A text as its reader sees it, and where each part of it lies in the bytes that it was read from.

JSON writes a character in several ways: `@` is `\u0040` too. What is looked for is looked for in what was meant, and replaced where it
is written. Escapes within escapes (JSON in a string of JSON) are a view of a view.
"""

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable

from ingress.budget import RUN, Budget
from ingress.detectors import Found, Rule, masked, merged

Span = tuple[int, int]

DEPTH = 3
"""So many escapes within escapes are undone."""

_ESCAPE = re.compile(rb'\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|["\\/bfnrt])')
_SHORT = {rb"\"": b'"', rb"\\": b"\\", rb"\/": b"/", rb"\b": b"\b", rb"\f": b"\f", rb"\n": b"\n", rb"\r": b"\r", rb"\t": b"\t"}
_RUNS_AT_ONCE = 1_024


class View:
    """`text` is read from parts of a source. Runs of it lie there as they are; what was escaped is a run of its own, and never cut."""

    __slots__ = ("_at", "_budget", "_left", "_right", "text")

    def __init__(self, source: bytes, parts: Iterable[Span], budget: Budget) -> None:
        self._at, self._left, self._right = array("I"), array("I"), array("I")
        self._budget = budget
        text = bytearray()
        for start, end in parts:
            place = start
            for match in _escapes(source, start, end):
                first, last = match.span()
                if place < first:
                    self._run(len(text), place, first)
                    text += source[place:first]
                self._run(len(text), first, last)
                text += meant(match[0])
                place = last
            if place < end:
                self._run(len(text), place, end)
                text += source[place:end]
        self.text = bytes(text)

    def _run(self, at: int, left: int, right: int) -> None:
        self._at.append(at)
        self._left.append(left)
        self._right.append(right)
        if not len(self._at) % _RUNS_AT_ONCE:
            self._budget.hold(RUN * _RUNS_AT_ONCE)

    def spans(self, start: int, end: int) -> list[Span]:
        """Where that part of the text lies in the source; parts that adjoin are one."""
        found: list[Span] = []
        index = bisect_right(self._at, start) - 1
        while index < len(self._at) and self._at[index] < end:
            at, left, right = self._at[index], self._left[index], self._right[index]
            length = (self._at[index + 1] if index + 1 < len(self._at) else len(self.text)) - at
            if length == right - left:  # as it is; an escape is longer than what it means
                left, right = left + max(start - at, 0), left + min(end - at, length)
            if found and found[-1][1] == left:
                found[-1] = (found[-1][0], right)
            elif left < right:
                found.append((left, right))
            index += 1
        return found


def _escapes(source: bytes, start: int, end: int) -> Iterable["re.Match[bytes]"]:
    return _ESCAPE.finditer(source, start, end) if source.find(b"\\", start, end) >= 0 else ()


def meant(escape: bytes) -> bytes:
    """What an escape of JSON stands for. Half of a surrogate pair stands for nothing known."""
    if (short := _SHORT.get(escape)) is not None:
        return short
    codes = [int(code, 16) for code in escape.split(b"\\u")[1:]]
    text = "".join(map(chr, codes)) if len(codes) == 1 else chr(0x10000 + ((codes[0] - 0xD800) << 10) + codes[1] - 0xDC00)
    return text.encode("utf-8", "replace")


def unescaped(text: bytes, budget: Budget) -> bytes:
    """All of a text, with its escapes undone once."""
    plain, place = bytearray(), 0
    for count, match in enumerate(_ESCAPE.finditer(text)):
        first, last = match.span()
        plain += text[place:first]
        plain += meant(match[0])
        place = last
        if not count % _RUNS_AT_ONCE:
            budget.tick()
    plain += text[place:]
    return bytes(plain)


def may_be_in(text: bytes, rule: Rule, budget: Budget) -> bool:
    """Whether something may be found in the text, or in what its escapes mean."""
    for _ in range(DEPTH + 1):
        budget.tick()
        if rule.may_be_in(text):
            return True
        if b"\\" not in text:
            return False
        text = unescaped(text, budget)
    return False


def found_in(text: bytes, rule: Rule, budget: Budget, depth: int = DEPTH - 1) -> list[Found]:
    """What there is in a text, and in what its escapes mean. The innermost first: what is found there is found nowhere else."""
    found: list[Found] = []
    if depth and _ESCAPE.search(text) is not None:
        inner = View(text, [(0, len(text))], budget)
        for start, end, name in found_in(inner.text, rule, budget, depth - 1):
            spans = inner.spans(start, end)
            found.append(Found(spans[0][0], spans[-1][1], name))
    return merged(found + rule.found_in(masked(text, found) if found else text, budget))
